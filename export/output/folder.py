"""The output folder of a command: locked against other commands; a disk error says what to do."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from retrieval_server.errors import RetrievalError

LOCK_FILE = ".lock"


@contextlib.contextmanager
def lock_folder(root: Path, advice: str) -> Iterator[None]:
    """Lock a folder; the system releases the lock when the process ends, even by a kill.

    Args:
        root: the folder; it must exist.
        advice: what a person should do if another process has the lock.

    Raises:
        RetrievalError: if another process has the lock.
    """
    with (root / LOCK_FILE).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RetrievalError(f"Another build is at work in {root}. {advice}") from error
        yield


@contextlib.contextmanager
def output_folder(
    folder: Path, advice: str = "Wait for it, or choose another --output."
) -> Iterator[None]:
    """Make a folder, and lock it as ``lock_folder`` does.

    Args:
        folder: the folder.
        advice: what a person should do if another process has the lock.

    Raises:
        RetrievalError: if another process has the lock, or an operation in the block raises an
            ``OSError``, such as a full disk.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with lock_folder(folder, advice):
            yield
    except OSError as error:
        raise RetrievalError(
            f"Cannot write {folder}: {error.strerror or error}. Correct that and run the same "
            "command again; what is finished is kept."
        ) from error
