"""A folder that a command writes, alone and with its disk's refusals as one error."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from export.folder_lock import lock_folder
from retrieval_server.errors import RetrievalError


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
