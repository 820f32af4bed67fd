"""The command that makes one version of a version and its changes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from export.commands.index_summary import retention_summary
from export.commands.messages import Message, tell
from export.commands.options import KeepVersions
from export.index.compact import CompactedIndex
from export.index.compact import compact as compacted


def compact(
    index: Annotated[Path, typer.Argument(help="Index folder.")],
    *,
    keep_versions: KeepVersions = None,
) -> None:
    """Take the changes that a server has written into a new version, and make it current.

    It is that of a build from nothing on the changed catalogue. All servers go on. Changes that
    arrive meanwhile become changes to the new version.

    Example: beauty-export compact my_index --keep-versions 3
    """
    done = compacted(index, keep_versions)
    tell(_summary(done))
    tell(retention_summary(done.retention))


def _summary(done: CompactedIndex) -> Iterator[Message]:
    if not done.changes:
        yield Message(f"{done.folder}: there are no changes, nothing to do")
        return
    yield Message(
        f"{done.folder}: {done.products:,} products, is current and has {done.changes:,} changes"
    )
    if done.calibration is not None and done.calibration.obstacle:
        yield Message(
            f"it has no calibration: {done.calibration.obstacle} Run: beauty-export calibrate",
            is_warning=True,
        )
