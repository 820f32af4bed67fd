"""Rows read from a file one by one, without a memory map.

A page fault of a mapped file maps the 64 kB around it: a thousand scattered rows take some
milliseconds, and make the process as large as the file. ``pread`` of a row takes a microsecond and
adds nothing to the process; rows that are read often stay in the system's page cache all the same.
"""

from __future__ import annotations

import os
import weakref
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval_server.errors import IndexBundleError
from retrieval_server.exact_search.kernels.compilation import compiled
from retrieval_server.exact_search.kernels.reading import read_fully
from retrieval_server.exact_search.kernels.vector_instructions import address
from retrieval_server.storage.arrays import REBUILD


class RowFile:
    """The rows of an array on disk; any number of threads may read.

    Args:
        path: a ``.npy`` file.
        array: the file's array, mapped: (N, W), row-major.
        offset: bytes before the first row.

    Attributes:
        file: the open file, for compiled loops that read rows themselves.
        offset: bytes before the first row.
    """

    def __init__(self, path: Path, array: NDArray[Any], offset: int) -> None:
        self._path, self.offset = path, offset
        self._dtype, self._width = array.dtype, array.shape[1] * array.itemsize
        self.file = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self.file)
        if hasattr(os, "posix_fadvise"):  # macOS has none
            os.posix_fadvise(self.file, 0, 0, os.POSIX_FADV_RANDOM)

    def __getitem__(self, rows: NDArray[np.integer]) -> NDArray[Any]:
        """Read some rows, (m, W), as an array in memory gives them.

        Raises:
            IndexBundleError: if the file ends before a row, or the disk fails.
        """
        found = np.empty((len(rows), self._width), np.uint8)
        unread = _read_rows(self.file, self.offset, rows.astype(np.int32), found)
        if unread >= 0:
            raise self.unreadable(rows[unread])
        return found.view(self._dtype)

    def unreadable(self, row: int) -> IndexBundleError:
        """The error of a row that could not be read."""
        return IndexBundleError(
            f"The index file {self._path} cannot be read at row {row}. {REBUILD}"
        )


@compiled
def _read_rows(file: int, offset: int, rows: NDArray[np.int32], found: NDArray[np.uint8]) -> int:
    """Read rows; the first position that could not be read, or -1."""
    width = found.shape[1]
    for position in range(len(rows)):
        place = offset + np.int64(rows[position]) * width
        if not read_fully(file, address(found) + position * width, width, place):
            return position
    return -1
