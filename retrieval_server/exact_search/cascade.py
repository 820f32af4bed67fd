"""The cascade: each level drops the rows that provably are not among the best.

::

    coarse    all rows         4 bits on 256 axes                    L(x)       132 bytes a row
    middle    what is left     6 bits on 256, 4 on 512               L(x)     + 332
    residual  what is left     3 bits on each dimension of the rest  L(x)     + 3 D / 8 + 8
    bytes     what is left     8 bits on each dimension              eq. (8)  + C + 8 a backbone
    originals, by descending bound, until the bound is below the last of the best

A level bounds each row from above; a row stays if its bound reaches the last of the best rows found
so far, the *seeds*: those with the best estimates of the level, read exactly. So whatever the
estimates are worth, no row of the result is ever dropped, and equal similarities are kept for the
tie rule. The middle and the residual level are left out where too few rows are left to pay for
rotating the query further, and all levels on L where the inequality of the means does not cover the
query (see fused_bound). No level's work on a row depends on another row's, so cores that are idle
may do a part of it (see parallelism).

The byte level and the originals are most of the database, and stay on disk: the few rows of them
are read from their files, not mapped, so that the process does not grow into all of it.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval_server.exact_search import byte_level, coarse_level, middle_level, residual_level
from retrieval_server.exact_search.fused_bound import FusedBound
from retrieval_server.exact_search.kernels.middle import middle_bounds
from retrieval_server.exact_search.kernels.residual import residual_bounds
from retrieval_server.exact_search.kernels.selection import keep, largest, survivors
from retrieval_server.exact_search.layout import BLOCK_ROWS
from retrieval_server.exact_search.levels import Levels
from retrieval_server.exact_search.originals import BestRows, RowSource
from retrieval_server.exact_search.parallelism import IntraQueryParallelism
from retrieval_server.exact_search.rotation import FloatArray, RotatedQuery
from retrieval_server.exact_search.scan import eligible_rows, originals_level
from retrieval_server.exact_search.search import Query, SearchLevel
from retrieval_server.exact_search.similarity import Ranking, fused_similarity
from retrieval_server.exact_search.tuning import DEFAULT_TUNING, Tuning

READ_AT_ONCE = 4  # originals; doubled each time, for databases full of ties
LARGEST_READ = 1024
BOUND_AT_ONCE = 256  # rows of the byte level: a megabyte, which stays in the processor's cache


@dataclass
class SearchCounts:
    """How many rows each level of one search touched; for benchmarks and tests."""

    coarse: int = 0
    middle: int = 0
    residual: int = 0
    bytes: int = 0
    originals: int = 0


class _Scratch(threading.local):
    """A thread's working memory, of the size of the database."""

    def __init__(self, blocks: int) -> None:
        rows = BLOCK_ROWS * blocks
        self.values, self.uppers, self.values_left, self.uppers_left = (
            np.empty(rows, np.float32) for _ in range(4)
        )
        self.block_max = np.empty(blocks, np.float32)
        self.rows = np.empty(rows + 1, np.int32)  # survivors() writes one beyond


class CascadeSearch:
    """Ranks a large database by eq. (8), exactly, and reads little of it.

    Args:
        descriptors: (N, C_n) float32 or float16 by backbone.
        levels: their levels.
        tuning: what the speed depends on.
        parallelism: who helps; None for nobody.
        originals: where rows of the descriptors are read; None for the descriptors themselves.
    """

    def __init__(
        self,
        descriptors: Sequence[NDArray[Any]],
        levels: Levels,
        tuning: Tuning = DEFAULT_TUNING,
        parallelism: IntraQueryParallelism | None = None,
        originals: Sequence[RowSource] | None = None,
    ) -> None:
        self.descriptors = tuple(descriptors)
        self.originals = self.descriptors if originals is None else tuple(originals)
        self.levels = levels
        self.tuning = tuning
        self.parallelism = parallelism or IntraQueryParallelism()
        self.scratch = _Scratch(len(levels.arrays["coarse.codes"]))

    def __len__(self) -> int:
        return self.levels.rows

    def level_sizes(self) -> tuple[SearchLevel, ...]:
        """What is read, from what is read whole to what is read a few rows of."""
        return (
            *(
                SearchLevel(name, size, name != "bytes")
                for name, size in self.levels.sizes().items()
            ),
            originals_level(self.descriptors),
        )

    def rank_all(
        self,
        query: Query,
        alphas: Sequence[float],
        top_k: int,
        exclude: int | None = None,
        allowed: NDArray[np.bool_] | None = None,
        counts: SearchCounts | None = None,
    ) -> Ranking:
        """Rank the whole database.

        Args:
            query: one (C_n,) float32 descriptor for each backbone, of unit norm or zero.
            alphas: α_n ≥ 0 of eq. (8).
            top_k: length of the ranking, ≥ 1; shorter where the database is.
            exclude: a row to leave out.
            allowed: (N,) which rows may be found; None for all.
            counts: is told how many rows each level touched.

        Returns:
            The ranking that brute force in float64 gives, ties by ascending row.
        """
        one = _OneSearch(self, query, alphas, top_k, counts or SearchCounts())
        with self.parallelism.searching():
            return one.whole(exclude, allowed)

    def rank_rows(
        self, query: Query, alphas: Sequence[float], rows: NDArray[np.integer], top_k: int
    ) -> Ranking:
        """Rank some rows only; see ``rank_all``.

        Args:
            query: one (C_n,) float32 descriptor for each backbone.
            alphas: α_n ≥ 0 of eq. (8).
            rows: (M,) distinct rows.
            top_k: length of the ranking; shorter where there are fewer rows.
        """
        with self.parallelism.searching():
            return _OneSearch(self, query, alphas, top_k, SearchCounts()).part(rows)


class _OneSearch:
    """One query on its way down."""

    def __init__(
        self,
        search: CascadeSearch,
        query: Query,
        alphas: Sequence[float],
        top_k: int,
        counts: SearchCounts,
    ) -> None:
        self._levels, self._scratch, self._tuning = search.levels, search.scratch, search.tuning
        self._parallelism = search.parallelism
        self._query, self._alphas, self._top_k = query, alphas, top_k
        self._counts = counts
        self._best = BestRows(search.originals, query, alphas, top_k)
        self._byte_queries = [
            byte_level.byte_query(vector, offset)
            for vector, offset in zip(query, search.levels.fit.parameters.code_offsets, strict=True)
        ]

    def whole(self, exclude: int | None, allowed: NDArray[np.bool_] | None) -> Ranking:
        """Rank the rows that are allowed."""
        if not any(self._alphas):  # every similarity is 1, so the first rows are the best
            return self.part(eligible_rows(self._levels.rows, exclude, allowed)[: self._top_k])
        rectified = [
            is_rectified and bool((vector >= 0).all())
            for is_rectified, vector in zip(self._levels.rectified, self._query, strict=True)
        ]
        bound = FusedBound(self._alphas, rectified)
        rotated = RotatedQuery(self._levels.fit, self._query, bound.weights)
        self._scan(rotated, exclude, allowed)
        self._seed(self._scratch.values, self._levels.rows)
        if not (self._best.is_full and bound.covers(self._best.last)):
            return self.part(eligible_rows(self._levels.rows, exclude, allowed))
        candidates = self._candidates(rotated, bound)
        if len(self._levels.outliers):
            outliers = self._levels.outliers
            wanted = np.ones(len(outliers), np.bool_) if allowed is None else allowed[outliers]
            wanted &= outliers != exclude
            candidates = np.union1d(candidates, outliers[wanted])
        return self.part(candidates)

    def part(self, some_rows: NDArray[np.integer]) -> Ranking:
        """Rank some rows, and those read before."""
        rows = some_rows.astype(np.int32)
        if len(rows) <= self._top_k + self._tuning.more_seeds:
            self._read(rows)
            return self._best.ranking
        uppers = byte_level.similarity_upper_bounds(*self._bytes(rows), self._alphas)
        wanted = np.flatnonzero(uppers >= self._best.last)
        order = wanted[np.argsort(-uppers[wanted])]
        first, count = 0, READ_AT_ONCE
        while first < len(order) and uppers[order[first]] >= self._best.last:
            chunk = order[first : first + count]
            self._read(rows[chunk[uppers[chunk] >= self._best.last]])
            first, count = first + count, min(2 * count, LARGEST_READ)
        return self._best.ranking

    def _scan(
        self,
        rotated: RotatedQuery,
        exclude: int | None,
        allowed: NDArray[np.bool_] | None,
    ) -> None:
        """Bound every row by the coarse level; what may not be found gets -inf."""
        arrays, scratch = self._levels.arrays, self._scratch
        codes, bounds = arrays["coarse.codes"], arrays["coarse.bounds"]
        query = coarse_level.coarse_query(self._levels.fit, rotated)
        values, uppers, block_max = scratch.values, scratch.uppers, scratch.block_max

        def scan(first: int, last: int) -> None:
            blocks = range(first, last)
            coarse_level.scan(codes, bounds, query, blocks, values, uppers, block_max)

        self._parallelism.share(scan, len(codes), self._tuning.blocks_at_once)
        self._counts.coarse += self._levels.rows
        for array in (values, uppers):
            array[self._levels.rows :] = -np.inf
            if allowed is not None:
                np.copyto(array[: self._levels.rows], -np.inf, where=~allowed)
            if exclude is not None:
                array[exclude] = -np.inf

    def _candidates(self, rotated: RotatedQuery, bound: FusedBound) -> NDArray[np.int32]:
        """The rows that the levels on L leave, outliers aside."""
        arrays, scratch, fit = self._levels.arrays, self._scratch, self._levels.fit
        rows, values, uppers = scratch.rows, scratch.values_left, scratch.uppers_left
        count = survivors(
            scratch.uppers, scratch.block_max, self._levels.rows, self._threshold(bound), rows
        )
        if count <= self._tuning.few_rows:
            return rows[:count]
        query = middle_level.middle_query(fit, rotated)
        base = scratch.values  # of this thread

        def bound_by_middle(first: int, last: int) -> None:
            middle_bounds(
                arrays["middle.codes"], arrays["middle.bounds"], rows, first, last,
                base, query.digits, query.scales, query.terms, values, uppers,
            )  # fmt: skip

        self._parallelism.share(bound_by_middle, count, self._tuning.rows_at_once)
        self._counts.middle += count
        self._seed(values, count, rows)
        count = keep(rows, values, uppers, count, self._threshold(bound))
        rest = residual_level.residual_query(fit, rotated)

        def bound_by_residual(first: int, last: int) -> None:
            residual_bounds(
                arrays["residual.codes"], arrays["residual.bounds"], rows, first, last,
                rest.digits, rest.scales, rest.terms, values, uppers,
            )  # fmt: skip

        self._parallelism.share(bound_by_residual, count, self._tuning.rows_at_once)
        self._counts.residual += count
        self._seed(values, count, rows)
        return rows[: keep(rows, values, uppers, count, self._threshold(bound))]

    def _threshold(self, bound: FusedBound) -> np.float32:
        return bound.threshold(self._best.last)

    def _seed(
        self, values: NDArray[np.float32], count: int, rows: NDArray[np.int32] | None = None
    ) -> None:
        """Read rows that are probably among the best.

        Args:
            values: (count,) estimates of L.
            count: how many.
            rows: (count,) whose; None for the rows of the database.
        """
        places = largest(values, count, max(self._tuning.seeds, 2 * self._top_k))
        places = places[places >= 0]
        seeds = (places if rows is None else rows[places]).astype(np.int32)
        cosines, _ = self._bytes(seeds)
        order = np.argsort(-fused_similarity(cosines.T, self._alphas))
        self._read(seeds[order[: self._top_k + self._tuning.more_seeds]])

    def _bytes(self, rows: NDArray[np.int32]) -> tuple[FloatArray, FloatArray]:
        """Cosines (N, m) by the byte level, and their radii."""
        found = [
            byte_level.estimates(
                *self._levels.bytes_.rows(rows[first : first + BOUND_AT_ONCE]), self._byte_queries
            )
            for first in range(0, max(1, len(rows)), BOUND_AT_ONCE)
        ]
        self._counts.bytes += len(rows)
        cosines, radii = (np.concatenate(parts, axis=1) for parts in zip(*found, strict=True))
        return cosines, radii

    def _read(self, rows: NDArray[np.int32]) -> None:
        unread = self._best.unseen(rows)
        if len(unread):
            self._best.read(unread)
            self._counts.originals += len(unread)
