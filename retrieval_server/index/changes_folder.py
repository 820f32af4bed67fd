"""Where the changes to a version are: in a folder beside the versions, see the room changes."""

from __future__ import annotations

import shutil
from pathlib import Path

CHANGES_FOLDER = "changes"
SEGMENT_SUFFIX = ".log"
SEGMENT_HEADER_BYTES = 56


def changes_folder(version_folder: Path) -> Path:
    """The folder of a version's log; it is there if the version was changed.

    Args:
        version_folder: the folder of the version.
    """
    resolved = version_folder.resolve()
    return resolved.parent / CHANGES_FOLDER / resolved.name


def has_changes(version_folder: Path) -> bool:
    """Whether servers have taken changes to a version; an empty log may have a header."""
    folder = changes_folder(version_folder)
    return folder.is_dir() and any(
        path.suffix == SEGMENT_SUFFIX and path.stat().st_size > SEGMENT_HEADER_BYTES
        for path in folder.iterdir()
    )


def remove_changes(version_folder: Path) -> None:
    """Remove the log of a version that is being removed itself."""
    shutil.rmtree(changes_folder(version_folder), ignore_errors=True)
