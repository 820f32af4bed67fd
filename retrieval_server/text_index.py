"""The textual index D(i) of eq. (7): for each product, the rows with a similar description.

Compressed sparse rows, memory-mapped; nothing is parsed when an index is opened.

===============================  =======  =========================================================
file                             dtype    content
===============================  =======  =========================================================
``text_neighbours.indptr.npy``   int64    (N + 1,): row i's neighbours are indptr[i] to indptr[i+1]
``text_neighbours.rows.npy``     int32    rows j ≠ i with cosine > τ, cosine descending, then row
``text_neighbours.cosines.npy``  uint16   their cosines, as round(cosine * 65535)
===============================  =======  =========================================================

A product without a description in the index has an empty list: rows stay catalogue rows.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval_server.errors import IndexBundleError
from retrieval_server.feature_store import REBUILD, open_array

COSINE_SCALE = 65_535
_STEM = "text_neighbours"


class TextIndex:
    """Read-only textual index.

    Args:
        folder: where the three files stand.

    Raises:
        IndexBundleError: if a file is missing, damaged, or contradicts another.
    """

    def __init__(self, folder: Path) -> None:
        self._indptr = open_array(folder / f"{_STEM}.indptr.npy", np.int64, 1)
        self._rows = open_array(folder / f"{_STEM}.rows.npy", np.int32, 1)
        self._cosines = open_array(folder / f"{_STEM}.cosines.npy", np.uint16, 1)
        pairs = self._indptr[-1] if len(self._indptr) else None
        if not len(self._rows) == len(self._cosines) == pairs:
            raise IndexBundleError(f"The textual index in {folder} contradicts itself. {REBUILD}")

    def __len__(self) -> int:
        return len(self._indptr) - 1

    @property
    def pair_count(self) -> int:
        """Ordered pairs (product, neighbour)."""
        return len(self._rows)

    def neighbours(self, row: int) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Look up D(row).

        Returns:
            rows (M,) int32 and text cosines (M,) float64, cosine descending, then row ascending.
        """
        span = slice(self._indptr[row], self._indptr[row + 1])
        return self._rows[span], self._cosines[span] / COSINE_SCALE


def write_text_index(
    folder: Path,
    indptr: NDArray[np.int64],
    rows: NDArray[np.int32],
    cosines: NDArray[np.float64],
) -> None:
    """Write the three files; overwrites.

    Args:
        folder: where to.
        indptr: (N + 1,) int64.
        rows: (nnz,) int32, each list by cosine descending, then row ascending.
        cosines: (nnz,) float64 in [0, 1].
    """
    np.save(folder / f"{_STEM}.indptr.npy", indptr.astype(np.int64))
    np.save(folder / f"{_STEM}.rows.npy", rows.astype(np.int32))
    np.save(
        folder / f"{_STEM}.cosines.npy",
        np.rint(np.clip(cosines, 0, 1) * COSINE_SCALE).astype(np.uint16),
    )
