"""A folder that a command writes, alone and with its disk's refusals as one error."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from retrieval_server.errors import RetrievalError


@contextlib.contextmanager
def lock_folder(root: Path, advice: str) -> Iterator[None]:
    """Hold a folder; a kill lets go of it.

    Args:
        root: the folder.
        advice: what to do where another process holds it.

    Raises:
        RetrievalError: if another process holds it.
    """
    with (root / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RetrievalError(f"Another build is at work in {root}. {advice}") from error
        yield


@contextlib.contextmanager
def output_folder(folder: Path) -> Iterator[None]:
    """Make a folder and hold it; a kill lets go of it.

    Raises:
        RetrievalError: if another process holds it, or its disk refuses something meanwhile.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with lock_folder(folder, "Wait for it, or choose another --output."):
            yield
    except OSError as error:
        raise RetrievalError(
            f"Cannot write {folder}: {error.strerror or error}. Mend that and run the same command "
            "again; what is finished is kept."
        ) from error
