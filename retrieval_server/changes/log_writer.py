"""Writes the log of changes: one process at a time, and each group durable before it is told.

The writer has a lock of the system (``flock``) on ``changes/writer.lock``. The lock ends with the
process, even by a kill, and the next writer takes over: it cuts a torn frame and goes on. A writer
that is killed at any moment leaves a log that a reader opens, with every change that was told to be
durable.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import socket
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from retrieval_server.changes.log_reader import LogReader
from retrieval_server.changes.segment import (
    BEGINS,
    checksum_of,
    continuing,
    frame_bytes,
    header_bytes,
    header_link,
    segment_name,
    segment_names,
)
from retrieval_server.errors import ChangeWriteError, NotWriterError
from retrieval_server.storage.files import SYSTEM_FILES, Files

log = logging.getLogger(__name__)

LOCK_FILE = "writer.lock"
SEGMENT_BYTES = 2**26  # a longer segment is followed by another one
COPIED_AT_ONCE = 1000  # changes
COPIED_BYTES = 2**25


class WriterLock:
    """The right to write the logs of an index folder, until it is closed.

    Args:
        folder: with the logs of all versions; it is made if it is missing.
        files: makes the folder.

    Raises:
        NotWriterError: if another process has it.
        ChangeWriteError: if the folder cannot be written, or has no locks.
    """

    def __init__(self, folder: Path, files: Files = SYSTEM_FILES) -> None:
        path = folder / LOCK_FILE
        try:
            files.make_folder(folder)
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise ChangeWriteError(f"Cannot write {path}: {error.strerror}.") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._descriptor, 200, 0).decode(errors="replace").strip()
            os.close(self._descriptor)
            if isinstance(error, BlockingIOError):
                raise NotWriterError(
                    f"Another server writes the changes of this index ({holder or 'unknown'}). "
                    "Send changes to that one; this one takes over when it has ended."
                ) from error
            raise ChangeWriteError(f"Cannot lock {path}: {error.strerror}.") from error
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{socket.gethostname()}, process {os.getpid()}".encode(), 0)

    def close(self) -> None:
        """Let others write."""
        os.close(self._descriptor)


class LogWriter:
    """Appends to the log of a version; the caller has the ``WriterLock``. One thread at a time.

    Opening reads the log, syncs it, and cuts a torn frame.

    Args:
        folder: of the log; it is made with the first change.
        version: name of the index version.
        files: writes the files.

    Raises:
        ChangeLogError: if the log is damaged or of a newer format.
        ChangeWriteError: if it cannot be written.
    """

    def __init__(self, folder: Path, version: str, files: Files = SYSTEM_FILES) -> None:
        self._folder, self._version, self._files = folder, version, files
        self._segment: Path | None = None
        self._descriptor: int | None = None
        try:
            reader = LogReader(folder, version)
            reader.read()
            self._end = reader.end
            if reader.segment is not None:
                if reader.unread:
                    log.warning(
                        "%s ends with %s bytes of a change that was never finished: they are cut",
                        folder / reader.segment,
                        f"{reader.unread:,}",
                    )
                self._reopen(folder / reader.segment)
        except OSError as error:
            raise ChangeWriteError(f"Cannot write {folder}: {error.strerror}.") from error

    @property
    def position(self) -> int:
        """The position of the last durable change."""
        return self._end.position

    def append(self, changes: Sequence[bytes]) -> int:
        """Write a group of changes, and wait until it is on the disk.

        Args:
            changes: the content of each, at least one.

        Returns:
            The position of the last one.

        Raises:
            ChangeWriteError: if it cannot be written; the log then has none of them.
        """
        try:
            descriptor = self._open_segment()
            content, end = frame_bytes(changes, self._end)
            self._files.write(descriptor, content)
            self._files.sync(descriptor)
        except OSError as error:
            self._cut()
            raise ChangeWriteError(
                f"Cannot write {self._folder}: {error.strerror}. Nothing was changed."
            ) from error
        self._end = end
        return end.position

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            self._files.close(self._descriptor)
            self._descriptor = None

    def _open_segment(self) -> int:
        """The segment that the next frame goes to."""
        if self._segment is None or self._end.offset > SEGMENT_BYTES:
            self._begin_segment()
        elif self._descriptor is None:
            self._reopen(self._segment)
        assert self._descriptor is not None, "a segment is open"
        return self._descriptor

    def _reopen(self, segment: Path) -> None:
        """Open a segment that is there, and cut what is behind the last durable change."""
        self._segment = segment
        descriptor = self._files.open(segment)
        try:
            self._files.truncate(descriptor, self._end.offset)
            self._files.sync(descriptor)
        except BaseException:
            self._files.close(descriptor)
            raise
        self._descriptor = descriptor

    def _begin_segment(self) -> None:
        """Write the header of the next segment; the file gets its name when it is whole."""
        self.close()
        previous = BEGINS if self._segment is None else continuing(self._end.checksum)
        header = header_bytes(self._version, self._end.position, previous)
        path = _write_segment(self._folder, self._end.position, [header], self._files)
        self._segment, self._end = path, header_link(self._end.position, checksum_of(header))
        self._reopen(path)

    def _cut(self) -> None:
        """Cut off what may have been written of a group; if that fails, the next call does it."""
        self.close()
        if self._segment is not None:
            with contextlib.suppress(OSError):
                self._reopen(self._segment)


def begin_log(
    folder: Path, version: str, position: int, changes: Sequence[bytes], files: Files
) -> None:
    """Begin a log in one step, in place of one that the version may have.

    Args:
        folder: of the log.
        version: name of the index version.
        position: of the last change before it; not below that of the log it replaces.
        changes: the content of each.
        files: writes the files.

    Raises:
        OSError: if it cannot be written; the log is as it was.
    """
    header = header_bytes(version, position, BEGINS)
    content, end = [header], header_link(position, checksum_of(header))
    for group in groups_of(changes):
        frame, end = frame_bytes(group, end)
        content.append(frame)
    _write_segment(folder, position, content, files)


def groups_of(changes: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Changes in their order, as many at once as make a frame of a reasonable size."""
    group: list[bytes] = []
    size = 0
    for change in changes:
        if group and (len(group) == COPIED_AT_ONCE or size + len(change) > COPIED_BYTES):
            yield group
            group, size = [], 0
        group.append(change)
        size += len(change)
    if group:
        yield group


def remove_former_log(folder: Path, version: str, files: Files) -> None:
    """Remove the segments that are before the beginning of a log.

    Args:
        folder: of the log.
        version: name of the index version.
        files: removes them.

    Raises:
        ChangeLogError: if the log is damaged or of a newer format.
        OSError: if a file cannot be read or removed.
    """
    reader = LogReader(folder, version)
    reader.read()
    if reader.start is not None:
        for name in segment_names(folder):
            if name < segment_name(reader.start + 1):
                files.remove(folder / name)


def _write_segment(folder: Path, position: int, content: Iterable[bytes], files: Files) -> Path:
    """Write a segment, which gets its name when it is whole."""
    for each in (folder.parent, folder):
        files.make_folder(each)
    path = folder / segment_name(position + 1)
    files.replace(path, path.with_suffix(".new"), content)
    return path
