"""Which models of a repository can be served: those whose files are all there."""

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
    """What to load.

    Attributes:
        names: models to load, members before their ensembles.
        missing: what the others lack, by model.
    """

    names: tuple[str, ...]
    missing: dict[str, str]


def servable_models(repository: Path, chosen: Sequence[str] = ()) -> ServableModels:
    """Look through a model repository.

    Args:
        repository: the folder that Triton serves.
        chosen: models to load, with the members of the ensembles among them; empty for every one
            that is complete.

    Returns:
        The models to load and what the others lack.

    Raises:
        LocalTritonError: if there is nothing to load or a chosen model is not complete.
    """
    if not repository.is_dir():
        raise LocalTritonError(f"No model repository {repository}")
    folders = sorted(path.parent for path in repository.glob(f"*/{CONFIG_FILE}"))
    members = {folder.name: _members(folder) for folder in folders}
    missing = {folder.name: lack for folder in folders if (lack := _lack_of_files(folder))}
    for name, needed in members.items():
        absent = [member for member in needed if member not in members or member in missing]
        if absent and name not in missing:
            missing[name] = f"its members {', '.join(absent)} cannot be served"
    complete = [name for name in members if name not in missing]
    for name in chosen:
        if name not in complete:
            lack = missing.get(name, "no such folder")
            known = ", ".join(complete) or "none"
            raise LocalTritonError(f"Cannot serve {name}: {lack}. Complete models: {known}")
    if not complete:
        raise LocalTritonError(f"No complete model in {repository}: {_sentence(missing)}")
    wanted = set(chosen or complete)
    wanted |= {member for name in wanted for member in members[name]}
    names = tuple(sorted(wanted, key=lambda name: (bool(members[name]), name)))
    return ServableModels(names=names, missing={} if chosen else missing)


def _lack_of_files(folder: Path) -> str:
    """What keeps a folder from being served; empty if nothing does."""
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
    """The models that an ensemble's steps name; none for any other model."""
    config = _config(folder)
    if "ensemble_scheduling" not in config:
        return []
    return sorted(set(re.findall(r'\bmodel_name\s*:\s*"([^"]+)"', config)))


def _config(folder: Path) -> str:
    text = (folder / CONFIG_FILE).read_text(encoding="utf-8")
    return re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE)


def _sentence(missing: dict[str, str]) -> str:
    return "; ".join(f"{name}: {lack}" for name, lack in missing.items()) or "it is empty"
