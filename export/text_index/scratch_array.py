"""Arrays in nameless files: data larger than memory, of which a kill leaves nothing behind."""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

LARGE_BYTES = 1 << 27  # below it, mapping the pages again costs more than they do


@contextmanager
def scratch_array(folder: Path, size: int, dtype: DTypeLike) -> Iterator[NDArray[Any]]:
    """Make an array (size,) of zeros in a nameless file.

    Args:
        folder: on the disk to use.
        size: number of elements.
        dtype: of the elements.

    Yields:
        The array, for reading and writing.

    Raises:
        OSError: if the disk has no room for it.
    """
    if not size:
        yield np.empty(0, dtype)
        return
    with tempfile.TemporaryFile(dir=folder) as file:
        length = size * np.dtype(dtype).itemsize
        file.truncate(length)
        if hasattr(os, "posix_fallocate"):  # a full disk is an error here, not a killed process
            os.posix_fallocate(file.fileno(), 0, length)
        yield np.memmap(file, dtype, "r+", shape=(size,))


def release_pages(array: NDArray[Any]) -> None:
    """Let go of the memory that a large mapped array holds; what was written stays in its file."""
    if array.nbytes > LARGE_BYTES and isinstance(array.base, mmap.mmap):
        array.base.madvise(mmap.MADV_DONTNEED)
