"""Whether the calibration of the current version holds for the one that is being built.

It depends on how a similarity comes about: the profile with its models, the pixels, the words, and
the textual index. It does not depend on single products, so it outlives a change of the catalogue.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from export.text_index.settings import TextSettings
from retrieval_server.errors import IndexBundleError
from retrieval_server.index.calibration import CALIBRATION_FILE, read_calibration
from retrieval_server.index.manifest import Manifest, read_manifest
from retrieval_server.index.publish import readable_current


@dataclass(frozen=True)
class CarriedCalibration:
    """What has become of the calibration of the version that was current.

    Attributes:
        version: that version.
        obstacle: why the new version has no calibration; empty if it has that one.
    """

    version: str
    obstacle: str = ""


def carry_calibration(root: Path, folder: Path, manifest: Manifest) -> CarriedCalibration | None:
    """Copy the calibration of the current version to a version that is not sealed yet.

    Args:
        root: the index folder.
        folder: of the new version.
        manifest: of the new version.

    Returns:
        What has become of it; None if the current version has none.
    """
    version = readable_current(root)
    if version is None or not (root / version / CALIBRATION_FILE).is_file():
        return None
    try:
        old, _ = read_manifest(root / version)
        calibration = read_calibration(root / version)
    except IndexBundleError as error:
        return CarriedCalibration(version, str(error))
    if calibration is None:
        return CarriedCalibration(version, "It was made by another version of this program.")
    if changed := [name for name, value in _basis(old).items() if _basis(manifest)[name] != value]:
        return CarriedCalibration(
            version, f"It was made with other settings of: {', '.join(changed)}."
        )
    shutil.copyfile(root / version / CALIBRATION_FILE, folder / CALIBRATION_FILE)
    return CarriedCalibration(version)


def _basis(manifest: Manifest) -> dict[str, Any]:
    """All that a calibration depends on, by what a person calls it."""
    words = manifest.words
    return {
        "profile": manifest.profile,
        "models": {name: model.digest for name, model in manifest.models.items()},
        "preprocessing": manifest.preprocessing,
        "precision": manifest.precision,
        "words": (words.grams, words.columns, words.reader, sorted(words.fields)),
        "textual index": {
            field.name: manifest.text.get(field.name) for field in fields(TextSettings)
        },
    }
