"""Asks OSV, a database of vulnerabilities, for those of the pinned packages; `make lint` runs it.

Runs pip-audit in the environment of audit.txt. Where the database cannot be reached, it says so and
passes: a laptop without a network can still be worked on.

Example: python audit.py constraints.txt
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

PIP_AUDIT = Path(sys.executable).with_name("pip-audit")
OPTIONS = ("--no-deps", "--disable-pip", "--progress-spinner=off", "--format=json")
UNREACHABLE = ("ConnectionError", "ConnectTimeout", "ReadTimeout", "ProxyError", "SSLError")
ACCEPTED: dict[str, str] = {}  # identifiers that do not concern us, each with the reason


def main(arguments: list[str]) -> int:
    """Print the vulnerabilities; the exit status is 1 if there is one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("requirements", help="a file of exact versions")
    parser.add_argument("--osv-url", help="another database than OSV's own")
    told = parser.parse_args(arguments)
    database = () if told.osv_url is None else ("--osv-url", told.osv_url)
    done = subprocess.run(  # noqa: S603 - pip-audit on a file of ours
        [PIP_AUDIT, "--requirement", told.requirements, *OPTIONS, "-s", "osv", *database],
        capture_output=True,
        text=True,
        check=False,
    )
    if not done.stdout.strip():
        return _failed(done.stderr)
    checked = json.loads(done.stdout)["dependencies"]
    found = [line for package in checked for line in _lines(package)]
    summary = f"audit: {len(checked)} packages; vulnerabilities: {len(found)}"
    sys.stdout.writelines(f"{line}\n" for line in (*found, summary))
    return 1 if found else 0


def _failed(errors: str) -> int:
    """What it means that pip-audit has printed no result."""
    last = errors.strip().rpartition("\n")[2]
    if any(name in last for name in UNREACHABLE):
        sys.stdout.write(
            "audit: the database of vulnerabilities cannot be reached; nothing was checked\n"
        )
        return 0
    sys.stderr.write(f"audit: pip-audit failed: {last}\n")
    return 1


def _lines(package: dict[str, Any]) -> list[str]:
    return [
        f"{package['name']} {package['version']}: {vulnerability['id']}, fixed in "
        f"{', '.join(vulnerability['fix_versions']) or 'no version'}"
        for vulnerability in package.get("vulns", ())
        if vulnerability["id"] not in ACCEPTED
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
