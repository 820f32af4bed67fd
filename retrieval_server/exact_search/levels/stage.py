"""A stage of the cascade: a level that bounds L, and the candidates that it bounds.

The coarse level has a stage of its own; the levels after it have a ``RowStage`` each.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval_server.exact_search.groups import Groups
from retrieval_server.exact_search.kernels.growth import grow_candidates, grow_rows
from retrieval_server.exact_search.kernels.layout import BLOCK_ROWS
from retrieval_server.exact_search.kernels.row_kernel import RowKernel
from retrieval_server.exact_search.kernels.selection import (
    keep,
    keep_by_group,
    largest,
    largest_of_groups,
    survivors,
    survivors_by_group,
)
from retrieval_server.exact_search.levels.digits import DigitQuery
from retrieval_server.exact_search.levels.level import Level, LevelArrays
from retrieval_server.exact_search.levels.rotation import RotatedQuery, SearchFit
from retrieval_server.exact_search.parallelism import IntraQueryParallelism
from retrieval_server.exact_search.row_factors import RowGrowth


class Scratch(threading.local):
    """The working memory of a searching thread, of the size of the database.

    Args:
        count: number of rows of the database.
    """

    def __init__(self, count: int) -> None:
        blocks = -(-count // BLOCK_ROWS)
        rows = BLOCK_ROWS * blocks
        self.coarse_estimates, self.coarse_upper_bounds, self.estimates, self.upper_bounds = (
            np.empty(rows, np.float32) for _ in range(4)
        )
        self.block_maxima = np.empty(blocks, np.float32)
        self.rows = np.empty(rows + 1, np.int32)  # survivors() writes one beyond
        self._count = count

    @cached_property
    def growth_of(self) -> NDArray[np.float32]:
        """(N,) what the factors of all rows do to bounds of L; made for the first such search."""
        return np.empty(self._count, np.float32)

    @cached_property
    def grown_estimates(self) -> NDArray[np.float32]:
        """(N,) estimates with the factors of their rows."""
        return np.empty(self._count, np.float32)

    @cached_property
    def by_group(self) -> NDArray[np.float32]:
        """(N,) a value of each group, of which there are N at most; -inf when it is not used."""
        return np.full(self._count, -np.inf, np.float32)

    @cached_property
    def position_by_group(self) -> NDArray[np.int32]:
        """(N,) a position of each group."""
        return np.empty(self._count, np.int32)


class Candidates:
    """The candidates of one search: at first every row of the database, then those that were kept.

    The coarse level writes an estimate and an upper bound of L for every row, the other levels for
    every position in ``rows``.

    Args:
        scratch: the memory of this thread; the candidates use it until the next search.
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
        self.coarse_estimates = scratch.coarse_estimates
        self.coarse_upper_bounds = scratch.coarse_upper_bounds
        self.block_maxima = scratch.block_maxima
        self.estimates, self.upper_bounds = scratch.estimates, scratch.upper_bounds
        self._row_memory, self._is_narrowed = scratch.rows, False
        self.allowed = np.empty(0, np.bool_) if allowed is None else allowed
        self._exclude = exclude
        self._scratch, self._growth, self._groups = scratch, growth, groups
        if growth is not None:
            scratch.growth_of[:] = 1
            scratch.growth_of[growth.rows] = growth.growths
        self.count = count

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
            positions = largest(estimates, self.count, wanted)
        else:
            groups = self._groups.numbers
            positions = largest_of_groups(
                estimates, groups[self.rows] if self._is_narrowed else groups, self.count, wanted,
                self._scratch.by_group[: self._groups.count], self._scratch.position_by_group,
            )  # fmt: skip
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

    def keep_by_group(
        self,
        threshold: np.float32,
        known: NDArray[np.int32],
        thresholds: Sequence[np.float32],
    ) -> None:
        """Keep the candidates whose upper bound reaches a threshold, and that of their group.

        Args:
            threshold: the threshold of all candidates.
            known: (m,) the groups that have one of their own.
            thresholds: (m,) the thresholds of these.
        """
        assert self._groups is not None, "only groups have thresholds"
        groups, by_group = self._groups.numbers, self._scratch.by_group
        by_group[known] = thresholds
        if self._is_narrowed:
            self.count = keep_by_group(
                self._row_memory, self.estimates, self.upper_bounds, self.count, threshold,
                groups, by_group,
            )  # fmt: skip
        else:
            self.count = survivors_by_group(
                self.coarse_upper_bounds, self.block_maxima, self.count, threshold,
                groups, by_group, self._row_memory,
            )  # fmt: skip
            self._is_narrowed = True
        by_group[known] = -np.inf


@dataclass(frozen=True, kw_only=True)
class StageSettings:
    """What the speed of the stages depends on, and never their result.

    Attributes:
        few_rows: up to so many candidates go straight to the byte level, which then costs less
            than rotating the query further.
        piece_blocks: number of blocks of the coarse level to hand to another core at once.
        piece_rows: number of rows of the middle and the residual level to hand over at once.
    """

    few_rows: int = 1000
    piece_blocks: int = 500
    piece_rows: int = 2000


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


class StageLevel(Level, Protocol):
    """A level that has a stage."""

    def stage(self, fit: SearchFit, arrays: LevelArrays, settings: StageSettings) -> Stage:
        """The level of a database as a stage of the cascade.

        Args:
            fit: the fit of the database.
            arrays: codes and bounds of the level.
            settings: what the speed depends on.
        """


@dataclass(frozen=True)
class RowStage:
    """A stage that bounds the candidates that earlier stages kept, row by row.

    Attributes:
        name: the name of the level.
        arrays: codes and bounds, one row for each row of the database.
        rounded: rounds a query for the kernel; rotates it further if need be.
        kernel: estimates and bounds some rows.
        piece: number of rows to hand to another core at once.
        follows_coarse: whether the stage before wrote an estimate of every row of the database,
            instead of one for each candidate.
        fewest_candidates: see ``Stage``.
    """

    name: str
    arrays: LevelArrays
    rounded: Callable[[RotatedQuery], DigitQuery]
    kernel: RowKernel
    piece: int
    follows_coarse: bool = False
    fewest_candidates: int = 0

    def bound(  # noqa: D102 - see Stage
        self, query: RotatedQuery, candidates: Candidates, parallelism: IntraQueryParallelism
    ) -> None:
        rounded, rows = self.rounded(query), candidates.rows
        earlier = candidates.coarse_estimates if self.follows_coarse else candidates.estimates

        def bound_rows(first: int, last: int) -> None:
            self.kernel(
                self.arrays.codes, self.arrays.bounds, rows, first, last, earlier,
                rounded.digits, rounded.scales, rounded.terms,
                candidates.estimates, candidates.upper_bounds,
            )  # fmt: skip

        parallelism.share(bound_rows, candidates.count, self.piece)
