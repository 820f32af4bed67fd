"""Checkers of others: the schemas of Kubernetes and of the operators, and checkov.

Each runs in an environment of its own in ``build/deploy_checks``, which ``make`` sets up on first
use from a list in ``deploy/checks``: they pin versions that disagree with ours. promtool lies there
too; ``rule_tests`` runs it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import yaml

from deploy.policies.rendering import Object
from deploy.policies.rendering.kubectl import ROOT, TOOLS

VALIDATE = ROOT / "deploy" / "checks" / "validate.py"
KUBERNETES = ("1.31", "1.37")  # the oldest we apply to, and the newest with schemas
CHECKOV = ("--skip-download", "--compact", "--quiet", "--framework", "kubernetes", "-o", "json")


def programs_of(environment: str) -> Path:
    """The folder of an environment's programs; sets the environment up if it is not there.

    Args:
        environment: name of its list in ``deploy/checks``, such as ``schemas``.

    Raises:
        RuntimeError: with the message of ``make``, if it cannot be set up.
    """
    folder = TOOLS / environment
    target = (folder / ".installed").relative_to(ROOT)
    made = subprocess.run(  # noqa: S603 - a target of our Makefile
        ["make", "--silent", str(target), f"PYTHON={sys.executable}"],  # noqa: S607
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if made.returncode:
        raise RuntimeError(f"make {target} failed: {' '.join((made.stdout + made.stderr).split())}")
    return folder / "bin"


def validate(objects: Sequence[Object], version: str) -> list[list[str]]:
    """What the schemas find, a list for each object.

    Args:
        objects: any Kubernetes objects.
        version: of Kubernetes, one of ``KUBERNETES``.

    Raises:
        RuntimeError: if the schemas cannot be installed or run.
    """
    done = subprocess.run(  # noqa: S603 - a script of ours
        [programs_of("schemas") / "python", VALIDATE, "--version", version],
        input=json.dumps(objects),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{VALIDATE.name} failed: {done.stderr.strip()}")
    found: list[list[str]] = json.loads(done.stdout)
    return found


def checkov(objects: Sequence[Object]) -> tuple[list[tuple[str, str]], int]:
    """What checkov finds and no annotation of the object answers.

    Args:
        objects: any Kubernetes objects; checkov passes over those of operators.

    Returns:
        The objects, as ``Kind/name``, each with what is wrong; and how many checks passed.

    Raises:
        RuntimeError: if checkov cannot be installed or run.
    """
    program = programs_of("checkov") / "checkov"
    with tempfile.TemporaryDirectory(dir=TOOLS) as scratch:
        path = Path(scratch) / "objects.yaml"
        path.write_text(yaml.safe_dump_all(objects), encoding="utf-8")
        done = subprocess.run(  # noqa: S603 - checkov on a file of ours
            [program, *CHECKOV, "--file", str(path)], capture_output=True, text=True, check=False
        )
    try:
        report = json.loads(done.stdout)
    except json.JSONDecodeError as error:
        raise RuntimeError(f"checkov failed: {done.stderr.strip()}") from error
    found = []
    for each in report["results"]["failed_checks"]:
        kind, _, name = each["resource"].split(".", 2)  # Kind.namespace.name
        words = f"{kind}/{name} fails {each['check_id']}, {each['check_name']}"
        found.append((f"{kind}/{name}", words))
    return sorted(set(found)), int(report["summary"]["passed"])
