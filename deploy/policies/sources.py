"""Policies on the sources: every file is used, and everything is written once."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from deploy.policies.rendering import Object, components, manifests, overlays

NO_MANIFESTS = {"policies", "checks"}  # folders whose files look like manifests
DEPRECATED = {
    "bases",
    "commonLabels",
    "imageTags",
    "patchesJson6902",
    "patchesStrategicMerge",
    "vars",
}

TRANSFORMERS = "../../transformers"


def current_kustomizations(deploy: Path) -> Iterator[str]:
    """No kustomization has a deprecated field, and each names every file beside it."""
    folders = (deploy / "base", deploy / "transformers")
    parts = [path.parent for path in deploy.glob("*/*/*/kustomization.yaml")]
    for folder in (*folders, *deploy.glob("components/*"), *deploy.glob("overlays/*"), *parts):
        name = folder.relative_to(deploy)
        path = folder / "kustomization.yaml"
        if not path.is_file():
            yield f"{name} has no kustomization.yaml"
            continue
        (kustomization,) = read_yaml(path)
        for field in sorted(set(kustomization) & DEPRECATED):
            yield f"{name}/kustomization.yaml has the deprecated field {field}"
        text = json.dumps(kustomization)
        for each in sorted(folder.iterdir()):
            if each.name != "kustomization.yaml" and each.name not in text:
                yield f"{name}/{each.name} is not used by its kustomization.yaml"


def everything_once(deploy: Path) -> Iterator[str]:
    """An object is made in one file of the base; a setting and the namespace are written once."""
    made: set[str] = set()
    for path, document in _documents(deploy / "base"):
        if path.name != "kustomization.yaml":
            name = f"{document['kind']}/{document['metadata']['name']}"
            if name in made:
                yield f"{path.relative_to(deploy)} makes {name} a second time"
            made.add(name)
    yield from _literal_findings(deploy)
    yield from _namespace_findings(deploy)
    for path, document in _documents(deploy / "base"):
        if "newTag" in str(document) and path.name != "kustomization.yaml":
            yield f"{path.relative_to(deploy)} has an image tag"


def _namespace_findings(deploy: Path) -> Iterator[str]:
    """Each overlay names the namespace, and nothing else does."""
    for path, document in _documents(deploy):
        name = path.relative_to(deploy)
        is_overlay = name.match("overlays/*/kustomization.yaml")
        has_one = "namespace" in document or "namespace" in (document.get("metadata") or ())
        if has_one is not is_overlay:
            yield f"{name} {'has no' if is_overlay else 'has a'} namespace"
        if is_overlay and TRANSFORMERS not in document.get("transformers", ()):
            yield f"{name} does not list {TRANSFORMERS}, which write the namespace"


def _literal_findings(deploy: Path) -> Iterator[str]:
    values: dict[str, set[str]] = {}
    for path, document in _documents(deploy):
        for generator in document.get("configMapGenerator", ()):
            for literal in generator.get("literals", ()):
                name, _, value = literal.partition("=")
                where = f"{path.relative_to(deploy)} sets {literal}"
                if value in values.setdefault(name, set()):
                    yield f"{where} again"
                elif values[name] and deploy / "base" in path.parents:
                    yield f"{where} a second time in the base"
                values[name].add(value)


def images_of_the_dockerfile(deploy: Path) -> Iterator[str]:
    """The images are stages of the Dockerfile, at the version of the project."""
    dockerfile = (deploy / "images" / "Dockerfile").read_text(encoding="utf-8")
    stages = re.findall(r"^FROM .* AS (\S+)$", dockerfile, re.MULTILINE)
    images = {f"beauty-retrieval-{stage}" for stage in stages}
    project = tomllib.loads((deploy.parent / "pyproject.toml").read_text(encoding="utf-8"))
    version = project["project"]["version"]
    named = _images_of(deploy / "base")
    for name, tag in named.items():
        if tag != version:
            yield f"base/kustomization.yaml gives {name} the tag {tag}, not {version}"
        if name not in images:
            yield f"base/kustomization.yaml has the image {name}, no stage of the Dockerfile"
    if "cpu-dev" in overlays(deploy):
        rendered = manifests("cpu-dev", (), deploy)
        used = {each["image"].partition(":")[0] for p in rendered.pods() for each in p.containers}
        for name in sorted(used ^ set(named)):
            yield f"base/kustomization.yaml: {name} is not both used and under images"
    yield from _base_findings(deploy, dockerfile)
    yield from _python_findings(deploy, dockerfile)
    for overlay in overlays(deploy):
        own = _images_of(deploy / "overlays" / overlay)
        for name in sorted(set(own) ^ set(named)) if own or overlay.endswith("-prod") else ():
            yield f"overlays/{overlay}: {name} is not both in it and in the base"


def _base_findings(deploy: Path, dockerfile: str) -> Iterator[str]:
    """Triton's base is as new as the configurations of the models need it."""
    readme = (deploy.parent / "model_repository" / "README.md").read_text(encoding="utf-8")
    oldest = re.findall(r"container (\d+\.\d+) or later", readme)
    tags = re.findall(r"^ARG TRITON_IMAGE=\S+?:(\d+\.\d+)", dockerfile, re.MULTILINE)
    if len(oldest) != 1 or len(tags) != 1:
        yield "images/Dockerfile or model_repository/README.md names no version of Triton"
    elif _version(tags[0]) < _version(oldest[0]):
        yield f"images/Dockerfile has Triton {tags[0]}; the configurations need {oldest[0]}"


def _python_findings(deploy: Path, dockerfile: str) -> Iterator[str]:
    """The interpreter is the one that the versions of constraints.txt were tested with."""
    project = tomllib.loads((deploy.parent / "pyproject.toml").read_text(encoding="utf-8"))
    oldest = project["project"]["requires-python"].removeprefix(">=")
    if not re.search(rf"^ARG PYTHON_IMAGE=\S+?:{re.escape(oldest)}\.", dockerfile, re.MULTILINE):
        yield f"images/Dockerfile has another PYTHON_IMAGE than one of Python {oldest}"


def _version(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))


def documented_components(deploy: Path) -> Iterator[str]:
    """The README has a row for every component."""
    text = (deploy / "README.md").read_text(encoding="utf-8")
    rows = set(re.findall(r"^\| `components/([a-z-]+)`", text, re.MULTILINE))
    for name in sorted(set(components(deploy)) - rows):
        yield f"components/{name} is not in the table of deploy/README.md"


def _images_of(folder: Path) -> dict[str, str | None]:
    (kustomization,) = read_yaml(folder / "kustomization.yaml")
    return {each["name"]: each.get("newTag") for each in kustomization.get("images", ())}


def read_yaml(path: Path) -> list[Any]:
    """The documents of a file.

    Raises:
        ValueError: if the file is not YAML, naming it and the line.
    """
    try:
        return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        raise ValueError(f"{path.name} is not YAML: {error.problem}, line {line}") from error


def _documents(folder: Path) -> Iterator[tuple[Path, Object]]:
    """Every YAML document of the manifests; without lists, which are JSON patches."""
    for path in sorted(folder.rglob("*.yaml")):
        if NO_MANIFESTS & {parent.name for parent in path.parents}:
            continue
        for document in read_yaml(path):
            if isinstance(document, dict):
                yield path, document
