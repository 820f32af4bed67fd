"""Arrays in nameless scratch files: they may exceed memory, and a kill leaves no file behind."""

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

LARGE_BYTES = 1 << 27  # pages of a smaller array cost more to map again than to keep


@contextmanager
def scratch_array(folder: Path, size: int, dtype: DTypeLike) -> Iterator[NDArray[Any]]:
    """Make an array (size,) of zeros in a nameless file.

    Args:
        folder: a folder on the disk to use.
        size: number of elements.
        dtype: type of the elements.

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


def release_if_large(array: NDArray[Any]) -> None:
    """Release the mapped pages of an array beyond ``LARGE_BYTES``; the file keeps its content."""
    if array.nbytes > LARGE_BYTES and isinstance(array.base, mmap.mmap):
        array.base.madvise(mmap.MADV_DONTNEED)
