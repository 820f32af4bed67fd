"""The hand-over to a compacted version: the changes that have arrived meanwhile go with it.

A compaction reads the log of the current version up to a place, and stores the next version beside
it. Then the next version becomes current in a *switch*, which only who has the ``WriterLock`` may
make:

1. The log of the next version begins with the changes behind the place, under their numbers.
2. ``current`` names the next version.

Each step is atomic. After a crash between the two, the version before is current with its whole
log, and the switch can be made again: it begins the log of the next version anew.

A server that has the lock makes the switch itself. It learns of the finished version from the file
``changes/compacted.json``, and removes the file afterwards.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from retrieval_server.changes.log_reader import LogReader, LogRewrittenError
from retrieval_server.changes.log_writer import begin_log, remove_former_log
from retrieval_server.changes.segment import Link, Place
from retrieval_server.errors import ChangeLogError, ChangeWriteError
from retrieval_server.index.changes_folder import CHANGES_FOLDER
from retrieval_server.index.publish import make_current, readable_current
from retrieval_server.storage.files import SYSTEM_FILES, Files
from retrieval_server.storage.json_record import check_types, read_json

COMPACTED_FILE = "compacted.json"


@dataclass(frozen=True)
class CompactedVersion:
    """A finished version that is to become current.

    Attributes:
        version: its name.
        base: the name of the version that it was made of.
        place: how far it has taken up the log of ``base``.
    """

    version: str
    base: str
    place: Place


def offer(root: Path, compacted: CompactedVersion, files: Files = SYSTEM_FILES) -> None:
    """Tell the server that has the lock of a finished version.

    Args:
        root: the index folder.
        compacted: the version.
        files: writes the file.

    Raises:
        OSError: if it cannot be written.
    """
    path = _path(root)
    content = json.dumps(asdict(compacted)).encode()
    files.replace(path, path.with_suffix(".new"), [content])


def is_offered(root: Path) -> bool:
    """Whether there is a finished version that is to become current."""
    return _path(root).is_file()


def offered(root: Path) -> CompactedVersion | None:
    """The finished version that is to become current; None if there is none.

    Args:
        root: the index folder.

    Raises:
        ChangeLogError: if the file that names it is damaged.
    """
    path = _path(root)
    try:
        fields = read_json(path)
        place = fields["place"]
        compacted = CompactedVersion(
            fields["version"], fields["base"], Place(place["segment"], Link(**place["end"]))
        )
        check_types(compacted)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ChangeLogError(
            f"Cannot read {path} ({error}). Remove it, and run: beauty-export compact {root}"
        ) from error
    return compacted


def withdraw(root: Path, files: Files = SYSTEM_FILES) -> None:
    """Say nothing more of a finished version.

    Args:
        root: the index folder.
        files: removes the file.

    Raises:
        OSError: if it cannot be removed.
    """
    files.remove(_path(root))


def switch(
    root: Path,
    compacted: CompactedVersion,
    *,
    check: Callable[[], object] = lambda: None,
    files: Files = SYSTEM_FILES,
) -> None:
    """Make a compacted version current, with the changes that have arrived since.

    The caller has the ``WriterLock``, and writes no change meanwhile. Where the switch fails,
    ``current`` tells which version is current: both have every change.

    Args:
        root: the index folder.
        compacted: the version.
        check: raises what prevents the switch; the log of the version is there by then.
        files: writes the files.

    Raises:
        ChangeLogError: if another version is current, or the version was not made of this log.
        ChangeWriteError: if a file cannot be written.
    """
    current = readable_current(root)
    if current != compacted.base:
        raise ChangeLogError(
            f"{compacted.version} was made of {compacted.base}, but {current} is current. "
            f"Run: beauty-export compact {root}"
        )
    folder = root / CHANGES_FOLDER / compacted.version
    try:
        arrived = _arrived(root, compacted)
        former = LogReader(folder, compacted.version)
        former.read()
        position = max(compacted.place.end.position, former.position)
        begin_log(folder, compacted.version, position, arrived, files)
        check()
        make_current(root, compacted.version, is_approved=True, files=files)
        remove_former_log(folder, compacted.version, files)
    except OSError as error:
        raise ChangeWriteError(
            f"Cannot make {compacted.version} current: {error.strerror or error}."
        ) from error


def require_current(root: Path, version: str, files: Files = SYSTEM_FILES) -> None:
    """Refuse to write changes to a version that is not current any more.

    Args:
        root: the index folder.
        version: the version that is served.
        files: makes sure that a crash cannot take ``current`` back.

    Raises:
        ChangeWriteError: if another version is current, or it cannot be known.
    """
    try:
        files.sync_folder(root)
    except OSError as error:
        raise ChangeWriteError(f"Cannot write {root}: {error.strerror}.") from error
    if readable_current(root) != version:
        raise ChangeWriteError(NEW_VERSION)


NEW_VERSION = "the index has a new version. Send the change again."


def _arrived(root: Path, compacted: CompactedVersion) -> list[bytes]:
    """The changes that the version has not taken up."""
    folder = root / CHANGES_FOLDER / compacted.base
    try:
        return LogReader(folder, compacted.base, compacted.place).read()
    except LogRewrittenError:
        raise ChangeLogError(
            f"{compacted.version} was made of another log than {folder} is now. "
            f"Run: beauty-export compact {root}"
        ) from None


def _path(root: Path) -> Path:
    return root / CHANGES_FOLDER / COMPACTED_FILE
