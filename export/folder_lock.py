"""One piece of work at a time in a folder that keeps unfinished work."""

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
