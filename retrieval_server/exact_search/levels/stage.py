"""A stage of the cascade, and the candidates that it bounds.

The coarse, the middle and the residual level each have a stage, in their modules.
"""

from __future__ import annotations

import threading
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval_server.exact_search.kernels.layout import BLOCK_ROWS
from retrieval_server.exact_search.kernels.selection import keep, largest, survivors
from retrieval_server.exact_search.levels.rotation import RotatedQuery
from retrieval_server.exact_search.parallelism import IntraQueryParallelism


class Scratch(threading.local):
    """The working memory of a searching thread, of the size of the database.

    Args:
        blocks: number of blocks of the coarse level.
    """

    def __init__(self, blocks: int) -> None:
        rows = BLOCK_ROWS * blocks
        self.coarse_estimates, self.coarse_upper_bounds, self.estimates, self.upper_bounds = (
            np.empty(rows, np.float32) for _ in range(4)
        )
        self.block_maxima = np.empty(blocks, np.float32)
        self.rows = np.empty(rows + 1, np.int32)  # survivors() writes one beyond


class Candidates:
    """The candidates of one search: at first every row of the database, then those that were kept.

    The coarse level writes an estimate and an upper bound of L for every row, the other levels for
    every position in ``rows``.

    Args:
        scratch: the memory of this thread; the candidates use it until the next search.
        count: number of rows of the database.
        exclude: a row that may not be found.
        allowed: (N,) which rows may be found; None for all.

    Attributes:
        count: number of candidates, M.
        coarse_estimates: (64 · blocks,) float32, of every row.
        coarse_upper_bounds: (64 · blocks,) float32.
        block_maxima: (blocks,) float32, the largest upper bound of each block, or more.
        estimates: float32, the first M by position in ``rows``.
        upper_bounds: float32, likewise.
    """

    def __init__(
        self,
        scratch: Scratch,
        count: int,
        exclude: int | None = None,
        allowed: NDArray[np.bool_] | None = None,
    ) -> None:
        self.coarse_estimates = scratch.coarse_estimates
        self.coarse_upper_bounds = scratch.coarse_upper_bounds
        self.block_maxima = scratch.block_maxima
        self.estimates, self.upper_bounds = scratch.estimates, scratch.upper_bounds
        self._row_memory, self._is_narrowed = scratch.rows, False
        self._exclude, self._allowed = exclude, allowed
        self.count = count

    @property
    def rows(self) -> NDArray[np.int32]:
        """(M,) the rows that were kept, ascending; not before some were."""
        return self._row_memory[: self.count]

    def leave_out_ineligible(self) -> None:
        """Set what the coarse level wrote to -inf for rows that may not be found, or do not exist.

        ``block_maxima`` stay as they are: they are still upper bounds.
        """
        for array in (self.coarse_estimates, self.coarse_upper_bounds):
            array[self.count :] = -np.inf
            if self._allowed is not None:
                np.copyto(array[: self.count], -np.inf, where=~self._allowed)
            if self._exclude is not None:
                array[self._exclude] = -np.inf

    def largest_estimates(self, wanted: int) -> NDArray[np.int32]:
        """The rows with the largest estimates, in no order; fewer where there are fewer."""
        estimates = self.estimates if self._is_narrowed else self.coarse_estimates
        positions = largest(estimates, self.count, wanted)
        positions = positions[positions >= 0]
        rows = self.rows[positions] if self._is_narrowed else positions
        return np.asarray(rows, np.int32)

    def keep(self, threshold: np.float32) -> None:
        """Keep the candidates whose upper bound reaches a threshold."""
        if self._is_narrowed:
            self.count = keep(
                self._row_memory, self.estimates, self.upper_bounds, self.count, threshold
            )
        else:
            self.count = survivors(
                self.coarse_upper_bounds, self.block_maxima, self.count, threshold, self._row_memory
            )
            self._is_narrowed = True


class Stage(Protocol):
    """A level that bounds L(x), see rotation, as a stage of the cascade."""

    @property
    def name(self) -> str:
        """The name of the level."""

    @property
    def fewest_candidates(self) -> int:
        """A search with fewer candidates leaves out this stage and the stages after it."""

    def bound(
        self, query: RotatedQuery, candidates: Candidates, parallelism: IntraQueryParallelism
    ) -> None:
        """Write an estimate and an upper bound of L for every candidate.

        Args:
            query: the query; the stage rounds it for its kernel.
            candidates: what earlier stages wrote; takes what this stage writes.
            parallelism: shares the work among idle cores.
        """
