"""Writes the bill of materials of an image, as CycloneDX 1.6: packages, models, and the base.

The Dockerfile runs it. Equal images have equal bills, byte for byte: nothing in it depends on the
time or on the order of files. The base image is one component; its distributor says what is in it.

Example:
    python sbom.py server /opt/beauty --models /models --base python:3.11-slim --output sbom.json
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import uuid
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any
from urllib.parse import quote

PROJECT = "beauty-retrieval"
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, PROJECT)  # of the serial numbers
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_LICENCE = "License :: OSI Approved :: "

Component = dict[str, Any]


def bill(image: str, environment: Path, models: Path, base: str, *, has_packages: bool) -> str:
    """Make the bill of an image.

    Args:
        image: ``server``, ``export`` or ``triton``.
        environment: the virtual environment with our package, whose version the image has.
        models: the image's model repository.
        base: name of its base image.
        has_packages: whether the image contains the environment.

    Returns:
        A JSON document.
    """
    packages = sorted(_packages(environment), key=_normal_name)
    (ours,) = (each for each in packages if _normal_name(each) == PROJECT)
    listed = packages if has_packages else []
    parts = [_base(base), *_models(models), *map(_package, listed)]
    named = f"{PROJECT}-{image}"
    root = {"type": "container", "bom-ref": named, "name": named, "version": ours.version}
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": root},
        "components": parts,
        "dependencies": [
            {"ref": named, "dependsOn": sorted(_direct(parts, listed))},
            *_dependencies(listed),
        ],
    }
    content = json.dumps(document, sort_keys=True)
    document["serialNumber"] = f"urn:uuid:{uuid.uuid5(NAMESPACE, content)}"
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def _packages(environment: Path) -> list[Distribution]:
    (folder,) = environment.glob("lib/python3*/site-packages")
    return list(distributions(path=[str(folder)]))


def _normal_name(package: Distribution) -> str:
    return _normal(package.metadata["Name"])


def _normal(name: str) -> str:
    """The name of a package as PEP 503 normalises it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _reference(package: Distribution) -> str:
    return f"pkg:pypi/{_normal_name(package)}@{quote(package.version)}"


def _package(package: Distribution) -> Component:
    reference = _reference(package)
    component: Component = {
        "type": "library",
        "bom-ref": reference,
        "name": _normal_name(package),
        "version": package.version,
        "purl": reference,
    }
    if licences := _licences(package):
        component["licenses"] = licences
    return component


def _licences(package: Distribution) -> list[Component]:
    told = package.metadata
    if expression := told.get("License-Expression"):
        return [{"expression": expression}]
    names = [
        text.removeprefix(_LICENCE)
        for text in told.get_all("Classifier") or ()
        if text.startswith(_LICENCE)
    ]
    text = told.get("License") or ""
    if not names and text and "\n" not in text:  # some have the whole licence there
        names = [text]
    return [{"license": {"name": name}} for name in sorted(set(names))]


def _base(image: str) -> Component:
    name, _, version = image.partition("@")[0].rpartition(":")
    component = {"type": "container", "bom-ref": f"base:{image}", "name": name or version}
    return component | ({"version": version} if name else {})


def _models(folder: Path) -> list[Component]:
    return [
        {
            "type": "machine-learning-model",
            "bom-ref": f"model:{path.relative_to(folder)}",
            "name": path.relative_to(folder).parts[0],
            "version": path.parent.name,
            "hashes": [{"alg": "SHA-256", "content": _digest(path)}],
        }
        for path in sorted(folder.rglob("*.onnx"))
    ]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _direct(parts: list[Component], packages: list[Distribution]) -> list[str]:
    """What an image consists of directly: the base, the models, and our package if it is there."""
    ours = {_reference(each) for each in packages if _normal_name(each) == PROJECT}
    return [
        part["bom-ref"] for part in parts if part["type"] != "library" or part["bom-ref"] in ours
    ]


def _dependencies(packages: list[Distribution]) -> list[Component]:
    references = {_normal_name(package): _reference(package) for package in packages}
    return [
        {
            "ref": _reference(package),
            "dependsOn": sorted({references[name] for name in _needs(package) & set(references)}),
        }
        for package in packages
    ]


def _needs(package: Distribution) -> set[str]:
    """The names of what a package requires; with our extras, without those of others."""
    needed = package.requires or []
    if _normal_name(package) != PROJECT:
        needed = [each for each in needed if "extra ==" not in each]
    found = (_NAME.match(each) for each in needed)
    return {_normal(name[0]) for name in found if name} - {_normal_name(package)}


def main() -> None:
    """Write a bill; overwrites."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("image", choices=("server", "export", "triton"))
    parser.add_argument("environment", type=Path)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--base", required=True)
    parser.add_argument("--models-only", action="store_true", help="the image has no environment")
    parser.add_argument("--output", type=Path, required=True)
    told = parser.parse_args()
    text = bill(
        told.image, told.environment, told.models, told.base, has_packages=not told.models_only
    )
    told.output.parent.mkdir(parents=True, exist_ok=True)
    told.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
