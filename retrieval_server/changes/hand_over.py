"""The hand-over to a compacted version: the changes that have arrived meanwhile go with it.

A compaction reads the log of the current version up to a place, and stores the next version beside
it. Then the next version becomes current in a *switch*, which only who has the ``WriterLock`` may
make:

1. The log of the next version begins with the changes behind the place, under their numbers.
2. ``current`` names the next version.

A switch that takes long begins the log without the lock, and copies what has arrived meanwhile when
it has the lock. Each step is atomic. After a crash before the second one, the version before is
current with its whole log, and the switch can be made again: it begins the log of the next version
anew.

A server that has the lock makes the switch itself. It learns of the finished version from the file
``changes/compacted.json``, and removes the file afterwards.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from retrieval_server.changes.log_reader import LogReader, LogRewrittenError
from retrieval_server.changes.log_writer import LogWriter, begin_log, groups_of, remove_former_log
from retrieval_server.changes.segment import Link, Place
from retrieval_server.errors import ChangeLogError, ChangeWriteError
from retrieval_server.index.changes_folder import CHANGES_FOLDER
from retrieval_server.index.current_lock import current_lock
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


class Switch:
    """Makes a compacted version current, with the changes that have arrived since.

    Where it fails, ``current`` tells which version is current: both have every change.

    Args:
        root: the index folder.
        compacted: the version.
        files: writes the files.
    """

    def __init__(
        self, root: Path, compacted: CompactedVersion, files: Files = SYSTEM_FILES
    ) -> None:
        self._root, self._compacted, self._files = root, compacted, files
        self._base = root / CHANGES_FOLDER / compacted.base
        self._folder = root / CHANGES_FOLDER / compacted.version
        self._reader = LogReader(self._base, compacted.base, compacted.place)
        self._log: LogWriter | None = None

    def copy(self) -> int:
        """Copy the changes that have arrived into the log of the version.

        Others may write changes meanwhile, unless the version is that which was compacted: then the
        caller has the ``WriterLock``, and writes none.

        Returns:
            How many were copied.

        Raises:
            ChangeLogError: if another version is current, or the version was not made of this log.
            ChangeWriteError: if a file cannot be written.
        """
        self._require_base()
        try:
            arrived = self._reader.read()
            if self._log is None:
                former = LogReader(self._folder, self._compacted.version)
                former.read()
                position = max(self._compacted.place.end.position, former.position)
                begin_log(self._folder, self._compacted.version, position, arrived, self._files)
                self._log = LogWriter(self._folder, self._compacted.version, self._files)
            else:
                for group in groups_of(arrived):
                    self._log.append(group)
        except LogRewrittenError:
            raise ChangeLogError(
                f"{self._compacted.version} was made of another log than {self._base} is now. "
                f"Run: beauty-export compact {self._root}"
            ) from None
        except OSError as error:
            raise self._failed(error) from error
        return len(arrived)

    def finish(self) -> None:
        """Make the version current.

        The caller has had the ``WriterLock`` since before the last ``copy``, and wrote no change.

        Raises:
            ChangeLogError: if another version is current.
            ChangeWriteError: if a file cannot be written.
        """
        try:
            with current_lock(self._root):
                self._require_base()
                make_current(
                    self._root, self._compacted.version, is_approved=True, files=self._files
                )
            remove_former_log(self._folder, self._compacted.version, self._files)
        except OSError as error:
            raise self._failed(error) from error

    def close(self) -> None:
        """Close the log of the version."""
        if self._log is not None:
            self._log.close()

    def _require_base(self) -> None:
        current = readable_current(self._root)
        if current != self._compacted.base:
            raise ChangeLogError(
                f"{self._compacted.version} was made of {self._compacted.base}, but {current} is "
                f"current. Run: beauty-export compact {self._root}"
            )

    def _failed(self, error: OSError) -> ChangeWriteError:
        return ChangeWriteError(
            f"Cannot make {self._compacted.version} current: {error.strerror or error}."
        )


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


@contextlib.contextmanager
def staying_current(root: Path, version: str) -> Iterator[None]:
    """Keep a version current in the block, in which a change to it is written.

    Args:
        root: the index folder.
        version: the version that is served.

    Raises:
        ChangeWriteError: if another version is current, or it cannot be known.
    """
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(current_lock(root))
        except OSError as error:
            raise ChangeWriteError(f"Cannot write {root}: {error.strerror}.") from error
        if readable_current(root) != version:
            raise ChangeWriteError(NEW_VERSION)
        yield


NEW_VERSION = "the index has a new version. Send the change again."


def _path(root: Path) -> Path:
    return root / CHANGES_FOLDER / COMPACTED_FILE
