"""Makes a compacted version current, itself or through the server that writes the changes."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

from retrieval_server.changes.hand_over import CompactedVersion, Switch, is_offered, offer, withdraw
from retrieval_server.changes.log_writer import WriterLock
from retrieval_server.errors import ChangeLogError, NotWriterError
from retrieval_server.index.changes_folder import CHANGES_FOLDER
from retrieval_server.index.publish import readable_current

PATIENCE_S = 600.0  # the server first reads the whole version
LOOK_EVERY_S = 0.1


def hand_over(root: Path, compacted: CompactedVersion) -> None:
    """Make a version current: itself if no server writes changes, or else by asking that server.

    Args:
        root: the index folder.
        compacted: the version.

    Raises:
        ChangeLogError: if the server does not do it in time, or the version was not made of what is
            current now.
        OSError: if a file cannot be written.
    """
    give_up_at = time.monotonic() + PATIENCE_S
    offer(root, compacted)
    try:
        while (writer := _switched_here(root, compacted)) is not None:
            if not is_offered(root):  # the server has taken it
                _require(root, compacted)
                return
            if time.monotonic() > give_up_at:
                raise ChangeLogError(
                    f"{compacted.version} is finished, but not current: the server that writes the "
                    f"changes has not taken it within {PATIENCE_S:g} s. {writer} Its log says why; "
                    "it has to follow the index folder and to reload (--reload-every-s)."
                )
            time.sleep(LOOK_EVERY_S)
    finally:
        withdraw(root)


def _switched_here(root: Path, compacted: CompactedVersion) -> NotWriterError | None:
    """Make the version current, unless a server has the lock; who has it."""
    try:
        lock = WriterLock(root / CHANGES_FOLDER)
    except NotWriterError as error:
        return error
    try:
        if is_offered(root) and readable_current(root) == compacted.base:
            with closing(Switch(root, compacted)) as switch:
                switch.copy()
                switch.finish()
        else:
            _require(root, compacted)
    finally:
        lock.close()
    return None


def _require(root: Path, compacted: CompactedVersion) -> None:
    current = readable_current(root)
    if current != compacted.version:
        raise ChangeLogError(
            f"{compacted.version} is finished, but {current} has become current meanwhile. "
            f"Run: beauty-export compact {root}"
        )
