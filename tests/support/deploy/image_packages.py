"""What an image has installed, for processes of this machine, which has everything installed.

The packages of an image are those that its stage of the Dockerfile installs, with all that they
require. A process of the image cannot import any other one.
"""

import os
import re
from functools import cache
from importlib import metadata

from packaging.requirements import Requirement

from tests.support.deploy.dockerfile import build_stages
from tests.support.paths import ROOT

PROJECT = "beauty-retrieval"
START = ROOT / "tests" / "support" / "image_packages"  # its sitecustomize.py is imported first


def environment_of_image(stage: str) -> dict[str, str]:
    """The variables with which Python finds only the packages of an image.

    Args:
        stage: of the Dockerfile, such as ``server``.
    """
    if stage not in {"server", "export"}:
        return {}
    search_path = os.pathsep.join(map(str, (START, ROOT)))
    return {"PYTHONPATH": search_path, "MISSING_PACKAGES": " ".join(missing_modules(stage))}


@cache
def missing_modules(stage: str) -> tuple[str, ...]:
    """The modules on top that are installed here and not in an image."""
    installed = required(extras_of(stage))
    ours = {"tests"}
    return tuple(
        sorted(
            module
            for module, owners in metadata.packages_distributions().items()
            if not installed & {normal(each) for each in owners} and module not in ours
        )
    )


def extras_of(stage: str) -> set[str]:
    """The extras of our project that a stage of the Dockerfile installs."""
    stages = [each for each in build_stages().values() if each.name.startswith(f"{stage}-")]
    runs = " ".join(run for each in stages for run in each.arguments("RUN"))
    found = re.findall(r"\.\[([\w,]+)\]", runs)
    assert found, runs
    return {extra for words in found for extra in words.split(",")}


def required(extras: set[str]) -> set[str]:
    """The distributions that our project with some extras requires, itself among them."""
    found: set[str] = set()
    waiting = {(PROJECT, extra) for extra in {"", *extras}}
    seen: set[tuple[str, str]] = set()
    while waiting:
        name, extra = waiting.pop()
        seen.add((name, extra))
        found.add(name)
        try:
            requirements = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue  # for another platform
        for requirement in map(Requirement, requirements):
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                key = normal(requirement.name)
                waiting |= {(key, each) for each in {"", *requirement.extras}} - seen
    return found


def normal(name: str) -> str:
    """A distribution's name as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()
