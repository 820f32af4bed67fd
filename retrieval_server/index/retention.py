"""Which versions of an index stay, and the removal of the others.

The current version stays, the approved one, the newest ones up to a number, and every version that
a process has open. Only folders whose name has the digest of their manifest are versions; nothing
else in an index folder is removed.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from retrieval_server.index.changes_folder import remove_changes
from retrieval_server.index.manifest import has_its_digest
from retrieval_server.index.publish import (
    approved_version,
    finished_versions,
    is_version,
    readable_current,
)
from retrieval_server.index.version_lock import version_to_oneself
from retrieval_server.storage.arrays import sync

REMOVED = ".removed-"  # begins the name of a folder that is being removed


@dataclass(frozen=True)
class Retention:
    """Outcome of the removal of old versions.

    Attributes:
        removed: names of the versions that were removed.
        in_use: names of the versions that are old, but stay: a process has them open, or the
            file system cannot tell.
    """

    removed: tuple[str, ...] = ()
    in_use: tuple[str, ...] = ()

    def followed_by(self, later: Retention) -> Retention:
        """The outcome of this removal and a later one together."""
        return Retention(self.removed + later.removed, later.in_use)


def remove_old_versions(root: Path, keep: int, spared: Collection[str | None] = ()) -> Retention:
    """Remove the old versions of an index that nobody has open.

    A version disappears in one step, by a new name. What a killed removal left is removed, too.
    Nothing is removed where ``current`` names no version. The caller has the index folder's lock.

    Args:
        root: the index folder.
        keep: how many versions stay, 1 or more: the current one and the newest others.
        spared: names of versions that stay beside these; None among them means nothing.

    Raises:
        OSError: if a folder cannot be renamed.
    """
    for leftover in root.glob(f"{REMOVED}*"):
        shutil.rmtree(leftover, ignore_errors=True)
    current = readable_current(root)
    if current is None or not is_version(root / current):
        return Retention()
    old = list(_old_versions(root, current, keep, {*spared, approved_version(root)}))
    removed = tuple(version for version in old if _remove(root, version))
    return Retention(removed, tuple(version for version in old if version not in removed))


def _old_versions(
    root: Path, current: str, keep: int, spared: Collection[str | None]
) -> Iterator[str]:
    """The versions beyond the number to keep, the newest first."""
    others = [
        version
        for version in finished_versions(root)
        if version != current and _is_ours(root / version)
    ]
    return (version for version in others[keep - 1 :] if version not in spared)


def _is_ours(folder: Path) -> bool:
    """Whether a folder was written by a build, and not by a person or another program."""
    try:
        return not folder.is_symlink() and has_its_digest(folder)
    except OSError:
        return False


def _remove(root: Path, version: str) -> bool:
    """Remove a version if nobody has it open."""
    removed = root / f"{REMOVED}{version}"
    with version_to_oneself(root / version) as is_alone:
        if not is_alone:
            return False
        (root / version).rename(removed)
        remove_changes(root / version)
    sync(root)
    shutil.rmtree(removed, ignore_errors=True)  # what stays is removed the next time
    return True
