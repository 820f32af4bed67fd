"""Selects the models of a repository that can be served: those with all their files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from errors import LocalTritonError

CONFIG_FILE = "config.pbtxt"
DEFAULT_MODEL_FILE = "model.onnx"


@dataclass(frozen=True, kw_only=True)
class ServableModels:
    """The models to load.

    Attributes:
        names: models to load, members before their ensembles.
        skipped: the reason why a model is not loaded, by name of the model.
    """

    names: tuple[str, ...]
    skipped: dict[str, str]


def servable_models(repository: Path, chosen: Sequence[str] = ()) -> ServableModels:
    """Select the models of a repository that can be served.

    Args:
        repository: the folder that Triton serves.
        chosen: models to load; the members of an ensemble are added. Empty for every complete
            model.

    Returns:
        The models to load, and the reasons why the others are skipped.

    Raises:
        LocalTritonError: if there is no model to load, or a chosen model is not complete.
    """
    if not repository.is_dir():
        raise LocalTritonError(f"No model repository {repository}")
    folders = sorted(path.parent for path in repository.glob(f"*/{CONFIG_FILE}"))
    members = {folder.name: _members(folder) for folder in folders}
    skipped = {folder.name: reason for folder in folders if (reason := _missing_file(folder))}
    for name, needed in members.items():
        absent = [member for member in needed if member not in members or member in skipped]
        if absent and name not in skipped:
            skipped[name] = f"its members {', '.join(absent)} cannot be served"
    complete = [name for name in members if name not in skipped]
    for name in chosen:
        if name not in complete:
            reason = skipped.get(name, "no such folder")
            known = ", ".join(complete) or "none"
            raise LocalTritonError(f"Cannot serve {name}: {reason}. Complete models: {known}")
    if not complete:
        raise LocalTritonError(f"No complete model in {repository}: {_sentence(skipped)}")
    selected = set(chosen or complete)
    selected |= {member for name in selected for member in members[name]}
    names = tuple(sorted(selected, key=lambda name: (bool(members[name]), name)))
    return ServableModels(names=names, skipped={} if chosen else skipped)


def _missing_file(folder: Path) -> str:
    """The file or folder that a model lacks, as a phrase; empty if the model is complete."""
    versions = sorted(int(path.name) for path in folder.iterdir() if path.name.isdecimal())
    if not versions:
        return "no version folder"
    config = _config(folder)
    if _members(folder):
        return ""
    named = re.search(r'\bdefault_model_filename\s*:\s*"([^"]+)"', config)
    file = Path(str(versions[-1]), named[1] if named else DEFAULT_MODEL_FILE)
    return "" if (folder / file).is_file() else f"no file {file}"


def _members(folder: Path) -> list[str]:
    """The models in the steps of an ensemble; empty for any other model."""
    config = _config(folder)
    if "ensemble_scheduling" not in config:
        return []
    return sorted(set(re.findall(r'\bmodel_name\s*:\s*"([^"]+)"', config)))


def _config(folder: Path) -> str:
    text = (folder / CONFIG_FILE).read_text(encoding="utf-8")
    return re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE)


def _sentence(skipped: dict[str, str]) -> str:
    return "; ".join(f"{name}: {reason}" for name, reason in skipped.items()) or "it is empty"
