"""The rows that have a factor of their own, by falling factor."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retrieval_server.exact_search.row_factors import RowFactors

LOOKED_AT_ONCE = 128  # rows; 2 MB at the paper's 3,968 values
GROWTH = 8  # of what is sorted at once: mostly few rows are needed of very many


class RowsByFactor:
    """Gives rows by falling factor; of equal factors the smaller rows first.

    Args:
        factors: factors of single rows; None for none.
    """

    def __init__(self, factors: RowFactors | None) -> None:
        self._factors = factors
        self._sorted = np.empty(0, np.int64)
        self._taken = 0

    @property
    def largest_left(self) -> float:
        """The largest factor of a row that was not taken; 1 where none is left."""
        _, factors = self.head(1)
        return float(factors[0]) if len(factors) else 1.0

    def head(self, count: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The next rows and their factors, at most ``count``."""
        if self._factors is None:
            return np.empty(0, np.int64), np.empty(0)
        last = self._taken + count
        if last > len(self._sorted) < len(self._factors.rows):
            length = max(last, GROWTH * len(self._sorted), LOOKED_AT_ONCE)
            self._sorted = self._factors.best(length, None, None, None).astype(np.int64)
        rows = self._sorted[self._taken : last]
        return rows, self._factors.of(rows)

    def take(self, count: int) -> None:
        """Leave out the next rows from now on."""
        self._taken += count
