"""Files that are replaced while the server runs: certificates and tokens are rotated."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from retrieval_server.errors import RetrievalError

log = logging.getLogger(__name__)

Content = TypeVar("Content")
State = tuple[tuple[int, int, int], ...]  # of each file: inode, size, time of change


class WatchedFiles(Generic[Content]):
    """The content of some files; all of them are read again when one has changed.

    Thread-safe. If the changed files cannot be used, as in the middle of a rotation, the content
    that was read before stays in use, and the log says so.

    Args:
        paths: the files.
        read: reads all of them; raises RetrievalError if they cannot be used.

    Raises:
        RetrievalError: if they cannot be used at the start.
    """

    def __init__(self, paths: tuple[Path, ...], read: Callable[[], Content]) -> None:
        self._paths = paths
        self._read = read
        self._lock = threading.Lock()
        self._state = self._current_state()
        self._content = read()

    def content(self) -> Content:
        """Return what the files hold now, or held when they could last be used."""
        with self._lock:
            if (state := self._current_state()) == self._state:
                return self._content
            try:
                content = self._read()
            except RetrievalError as error:
                log.error("%s What was read before is still used.", error)
            else:
                if self._current_state() != state:  # replaced meanwhile: the next call reads it
                    return self._content
                self._content = content
                log.info("read again: %s", ", ".join(map(str, self._paths)))
            self._state = state
            return self._content

    def _current_state(self) -> State:
        return tuple(_state(path) for path in self._paths)


def _state(path: Path) -> tuple[int, int, int]:
    try:
        status = path.stat()
    except OSError:
        return (0, 0, 0)
    return (status.st_ino, status.st_size, status.st_mtime_ns)


def file_content(path: Path, option: str) -> bytes:
    """Read a file that an option names.

    Raises:
        RetrievalError: naming the file and the option, if it cannot be read or is empty.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RetrievalError(f"Cannot read {path} ({option}): {error.strerror}.") from error
    if not content.strip():
        raise RetrievalError(f"{path} ({option}) is empty.")
    return content
