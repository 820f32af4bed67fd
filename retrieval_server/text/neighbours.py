"""The textual index D(i) of eq. (7): for each product, the rows with a similar description.

The format is compressed sparse rows, memory-mapped: no parsing when an index is opened.

===============================  =======  =========================================================
file                             dtype    content
===============================  =======  =========================================================
``text_neighbours.indptr.npy``   int64    (N + 1,): row i's neighbours are indptr[i] to indptr[i+1]
``text_neighbours.rows.npy``     int32    rows j ≠ i with cosine > τ, cosine descending, then row
``text_neighbours.cosines.npy``  uint16   their cosines, as round(cosine * 65535)
===============================  =======  =========================================================

A product without a description in the index has an empty list, so rows are those of the index.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval_server.errors import IndexBundleError
from retrieval_server.storage.arrays import REBUILD, create_array, open_array

COSINE_SCALE = 65_535
_STEM = "text_neighbours"


class TextIndex:
    """Read-only textual index.

    Args:
        folder: folder with the three files.

    Raises:
        IndexBundleError: if a file is missing or damaged, or the files do not match.
    """

    def __init__(self, folder: Path) -> None:
        self._indptr = open_array(folder / f"{_STEM}.indptr.npy", np.int64, 1, random_access=True)
        self._rows = open_array(folder / f"{_STEM}.rows.npy", np.int32, 1, random_access=True)
        self._cosines = open_array(
            folder / f"{_STEM}.cosines.npy", np.uint16, 1, random_access=True
        )
        pairs = self._indptr[-1] if len(self._indptr) else None
        if not len(self._rows) == len(self._cosines) == pairs:
            raise IndexBundleError(
                f"The files of the textual index in {folder} do not match. {REBUILD}"
            )

    def __len__(self) -> int:
        return len(self._indptr) - 1

    @property
    def pair_count(self) -> int:
        """Number of ordered pairs (product, neighbour)."""
        return len(self._rows)

    def neighbours(self, row: int) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Look up D(row), the rows with a description similar to that of a row.

        Returns:
            Rows (M,) int32 and their text cosines (M,) float64, in descending order of the cosine,
            then in ascending order of the row.
        """
        span = slice(self._indptr[row], self._indptr[row + 1])
        return self._rows[span], self._cosines[span] / COSINE_SCALE

    def lists(
        self, first: int, last: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.uint16]]:
        """Read the lists of the rows [first, last), with the cosines as stored.

        Returns:
            Lengths of the lists (last - first,) int64, fewer at the end of the index; the rows of
            all lists int32, concatenated; their cosines uint16, concatenated.
        """
        offsets = self._indptr[first : last + 1]
        span = slice(offsets[0], offsets[-1])
        return np.diff(offsets), self._rows[span], self._cosines[span]


def create_text_index(
    folder: Path, indptr: NDArray[np.int64]
) -> tuple[NDArray[np.int32], NDArray[np.uint16]]:
    """Make the three files, and map rows and cosines for writing; overwrites.

    Args:
        folder: folder of the bundle.
        indptr: (N + 1,) int64, the content of ``text_neighbours.indptr.npy``.

    Returns:
        Rows (nnz,) int32 and cosines (nnz,) uint16, all zero, for the caller to fill.

    Raises:
        OSError: if the disk has no space for the files.
    """
    np.save(folder / f"{_STEM}.indptr.npy", indptr.astype(np.int64))
    shape = (int(indptr[-1]),)
    rows = create_array(folder / f"{_STEM}.rows.npy", np.int32, shape)
    return rows, create_array(folder / f"{_STEM}.cosines.npy", np.uint16, shape)
