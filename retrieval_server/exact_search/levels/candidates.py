"""The candidates of one search: rows that may still be among the best, and their bounds of L."""

from __future__ import annotations

import threading
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval_server.exact_search.groups import Groups
from retrieval_server.exact_search.kernels.growth import grow_candidates, grow_rows
from retrieval_server.exact_search.kernels.largest import largest
from retrieval_server.exact_search.kernels.layout import BLOCK_ROWS, LANES
from retrieval_server.exact_search.kernels.selection import keep, keep_by_group, survivors
from retrieval_server.exact_search.row_factors import RowGrowth

_NO_ROWS = np.empty(0, np.int32)
_ALL_ROWS = np.empty(0, np.bool_)


class CoarseBounds(NamedTuple):
    """What the coarse level writes for one search.

    Attributes:
        estimates: (64 · blocks,) float32.
        upper_bounds: (64 · blocks,) float32.
        block_maxima: (blocks,) float32.
    """

    estimates: NDArray[np.float32]
    upper_bounds: NDArray[np.float32]
    block_maxima: NDArray[np.float32]


class Scratch(threading.local):
    """The working memory of a searching thread, of the size of the database.

    Searches that share a scan have a place each for what the coarse level writes. After it they run
    one after the other, in the same memory.

    Args:
        count: number of rows of the database.
    """

    def __init__(self, count: int) -> None:
        blocks = -(-count // BLOCK_ROWS)
        rows = BLOCK_ROWS * blocks
        self.estimates, self.upper_bounds = (np.empty(rows, np.float32) for _ in range(2))
        self._coarse_sizes, self._coarse = (rows, rows, blocks), list[CoarseBounds]()
        self.rows = np.empty(rows + LANES, np.int32)  # survivors() writes beyond the last
        self._count = count

    def coarse_bounds(self, place: int) -> CoarseBounds:
        """The memory of a place, which is made for the first search there."""
        while len(self._coarse) <= place:
            arrays = (np.empty(size, np.float32) for size in self._coarse_sizes)
            self._coarse.append(CoarseBounds(*arrays))
        return self._coarse[place]

    @cached_property
    def growth_of(self) -> NDArray[np.float32]:
        """(N,) what the factors of all rows do to bounds of L; made for the first such search."""
        return np.empty(self._count, np.float32)

    @cached_property
    def grown_estimates(self) -> NDArray[np.float32]:
        """(N,) estimates with the factors of their rows."""
        return np.empty(self._count, np.float32)

    @cached_property
    def place_of_group(self) -> NDArray[np.int32]:
        """(N,) the place of each group in a short list; -1 when it is not used."""
        return np.full(self._count, -1, np.int32)


class Candidates:
    """The candidates of one search: at first every row of the database, then those that were kept.

    The coarse level writes an estimate and an upper bound of L for every row, the other levels for
    every position in ``rows``.

    Args:
        scratch: the memory of this thread; the candidates use it until the next search, and the
            coarse level has their place in it.
        count: number of rows of the database.
        exclude: a row that may not be found.
        allowed: (N,) which rows may be found; None for all.
        growth: what factors of single rows do to bounds of L; None without factors.
        groups: groups of rows, of each of which only the best row is wanted; None for none.

    Attributes:
        count: number of candidates, M.
        allowed: (N,) which rows may be found; empty where all may.
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
        growth: RowGrowth | None = None,
        groups: Groups | None = None,
    ) -> None:
        self.estimates, self.upper_bounds = scratch.estimates, scratch.upper_bounds
        self._row_memory, self._is_narrowed = scratch.rows, False
        # One type for the kernel, which takes those of several searches: in order, and writable.
        self.allowed = np.require(
            _ALL_ROWS if allowed is None else allowed, requirements=["C", "W"]
        )
        self._exclude = exclude
        self._scratch, self._growth, self._groups = scratch, growth, groups
        self.count = count
        self.take_place(0)

    def take_place(self, place: int) -> None:
        """Take the place of this search among those that share a scan of the coarse level.

        Args:
            place: from 0.
        """
        self.coarse_estimates, self.coarse_upper_bounds, self.block_maxima = (
            self._scratch.coarse_bounds(place)
        )

    @property
    def rows(self) -> NDArray[np.int32]:
        """(M,) the rows that were kept, ascending; not before some were."""
        return self._row_memory[: self.count]

    def leave_out_excluded(self) -> None:
        """Set what the coarse level wrote of the excluded row to -inf, and of rows beyond the last.

        ``block_maxima`` stay as they are: they are still upper bounds.
        """
        for array in (self.coarse_estimates, self.coarse_upper_bounds):
            array[self.count :] = -np.inf
            if self._exclude is not None:
                array[self._exclude] = -np.inf

    def grow(self) -> None:
        """Apply the factors of single rows to what a stage wrote.

        The upper bounds change in place, since the next stage writes them anew. The estimates stay,
        since it adds to them; ``largest_estimates`` compares grown copies.
        """
        if (growth := self._growth) is None:
            return
        grown = self._scratch.grown_estimates
        if self._is_narrowed:
            grown[: self.count] = self.estimates[: self.count]
            grow_candidates(
                self.rows, self._scratch.growth_of, growth.shift, grown, self.upper_bounds
            )
        else:
            self._scratch.growth_of[:] = 1
            self._scratch.growth_of[growth.rows] = growth.growths
            grown[:] = self.coarse_estimates[: self.count]
            grow_rows(
                growth.rows, growth.growths, growth.shift,
                grown, self.coarse_upper_bounds, self.block_maxima,
            )  # fmt: skip

    def largest_estimates(self, wanted: int) -> NDArray[np.int32]:
        """The rows with the largest estimates, in no order; fewer where there are fewer.

        Where rows have groups, one row of each group.
        """
        estimates = self.estimates if self._is_narrowed else self.coarse_estimates
        if self._growth is not None:
            estimates = self._scratch.grown_estimates
        if self._groups is None:
            of_groups = (_NO_ROWS, _NO_ROWS)
        else:
            wanted = min(wanted, self._groups.count)
            of_groups = (self._groups.numbers, self._scratch.place_of_group)
        rows = self.rows if self._is_narrowed else _NO_ROWS
        positions = largest(estimates, self.count, wanted, rows, *of_groups)
        positions = positions[positions >= 0]
        return np.asarray(rows[positions] if self._is_narrowed else positions, np.int32)

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

    def keep_by_group(
        self,
        threshold: np.float32,
        known: NDArray[np.int32],
        thresholds: NDArray[np.float32],
    ) -> None:
        """Keep the candidates whose upper bound reaches a threshold, and that of their group.

        Args:
            threshold: the threshold of all candidates.
            known: (m,) the groups that have one of their own.
            thresholds: (m,) the thresholds of these.
        """
        assert self._groups is not None, "only groups have thresholds"
        if self._is_narrowed:
            self.keep(threshold)
            self.count = keep_by_group(
                self._row_memory, self.estimates, self.upper_bounds, self.count,
                self._groups.numbers, known, thresholds, self._scratch.place_of_group,
            )  # fmt: skip
        else:
            bounds = self.coarse_upper_bounds
            for group, of_group in zip(known.tolist(), thresholds, strict=True):
                rows = self._groups.rows_of(group)
                bounds[rows[bounds[rows] < of_group]] = -np.inf
            self.keep(threshold)
