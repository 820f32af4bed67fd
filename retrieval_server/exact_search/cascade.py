"""The cascade: each level drops the rows that provably are not among the best.

::

    coarse     2 to 8 bits on each of 320 axes        L(x)        136 bytes a row
    middle     4 to 8 bits on each of 768 axes        L(x)      + 328
    residual   3 bits on each dimension of the rest   L(x)      + 3 D / 8 + 8
    bytes      8 bits on each dimension               eq. (8)   + C + 8 a backbone
    originals  the stored descriptors                 exact

The first three levels are *stages* on L (see rotation and fused_bound). With every row a candidate,
each stage in turn

1. writes an estimate and an upper bound of L for every candidate;
2. reads its *probes*, the candidates with the largest estimates, from the originals: the last of
   the best rows so far is the similarity that a further row must reach;
3. keeps the candidates whose upper bound reaches it.

The byte level then bounds eq. (8) of the candidates that are left, and the originals are read by
descending bound, until the bound is below the last of the best. So whatever the estimates are
worth, no row of the result is ever dropped, and equal similarities are kept for the tie rule. No
stage's work on a row depends on another row's: idle cores may do a part of it (see parallelism).
Searches that wait at the same time share the pass over the coarse level (see shared_scan).

Factors of single rows, where a search has them, enter every step: see row_factors. Without them no
step differs from what it was.

Where rows have groups, the best rows are the best of different groups, and so are the probes. A row
must then also reach the best row of its own group, if a row of that group is among the best so far:
thousands of rows of one group cost little.

The middle and the residual level are left out where too few candidates are left to pay for rotating
the query further. All stages are left out where few rows may be found at all, and where the
inequality of the means does not cover the query (see fused_bound).

The byte level and the originals are most of the database. They stay on disk: the search reads their
rows from files, which are not mapped, so that the process does not grow into all of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval_server.exact_search.fused_bound import FusedBound
from retrieval_server.exact_search.groups import Groups
from retrieval_server.exact_search.levels.byte import ByteSearch
from retrieval_server.exact_search.levels.candidates import Candidates, Scratch
from retrieval_server.exact_search.levels.coarse import CoarseScan, CoarseStage
from retrieval_server.exact_search.levels.encoding import Levels
from retrieval_server.exact_search.levels.order import BYTE_LEVEL, COARSE_LEVEL, ROW_LEVELS
from retrieval_server.exact_search.levels.stage import RowStage, Stage, StageSettings
from retrieval_server.exact_search.originals import ORIGINALS, BestRows, RowSource
from retrieval_server.exact_search.parallelism import IntraQueryParallelism
from retrieval_server.exact_search.prepared_query import PreparedQuery
from retrieval_server.exact_search.row_factors import RowFactors
from retrieval_server.exact_search.scan import eligible_rows, originals_level
from retrieval_server.exact_search.search import ExactWanted, Query, SearchCounts, SearchLevel
from retrieval_server.exact_search.shared_scan import Search, finish
from retrieval_server.exact_search.similarity import Ranking

READ_AT_ONCE = 4  # originals; doubled each time, for databases full of ties
LARGEST_READ = 1024


@dataclass(frozen=True, kw_only=True)
class CascadeSettings(StageSettings):
    """What the speed of a cascade depends on, and never its result; see ``StageSettings`` too.

    Attributes:
        few_eligible: up to so many rows that may be found go straight to the byte level.
        probes: number of candidates with the largest estimates that the byte level estimates.
        extra_reads: number of probes beyond top_k that are read from the originals.
    """

    few_eligible: int = 1500
    probes: int = 32
    extra_reads: int = 3


DEFAULT_SETTINGS = CascadeSettings()


class CascadeSearch:
    """Ranks a large database by eq. (8), exactly, and reads little of it.

    Args:
        descriptors: (N, C_n) float32 or float16 by backbone.
        levels: levels of the descriptors.
        settings: what the speed depends on.
        parallelism: divides a search among idle cores; None for one core.
        originals: the sources that rows of the descriptors are read from; None for the descriptors
            themselves.
    """

    def __init__(
        self,
        descriptors: Sequence[NDArray[Any]],
        levels: Levels,
        settings: CascadeSettings = DEFAULT_SETTINGS,
        parallelism: IntraQueryParallelism | None = None,
        originals: Sequence[RowSource] | None = None,
    ) -> None:
        self.descriptors = tuple(descriptors)
        self.originals = self.descriptors if originals is None else tuple(originals)
        self.levels, self.settings = levels, settings
        self.parallelism = parallelism or IntraQueryParallelism()
        self.coarse, *self.row_stages = stages_of(levels, settings)
        self.scratch = Scratch(levels.rows)

    def __len__(self) -> int:
        return self.levels.rows

    def level_sizes(self) -> tuple[SearchLevel, ...]:  # noqa: D102 - see ExactSearch
        return (*self.levels.sizes(), originals_level(self.descriptors))

    def rank_all(
        self,
        query: Query,
        alphas: Sequence[float],
        top_k: int,
        exclude: int | None = None,
        allowed: NDArray[np.bool_] | None = None,
        factors: RowFactors | None = None,
        groups: Groups | None = None,
        counts: SearchCounts | None = None,
    ) -> Ranking:
        """Rank the whole database.

        Args:
            query: one (C_n,) float32 descriptor for each backbone, of unit norm or zero.
            alphas: α_n ≥ 0 of eq. (8).
            top_k: length of the ranking, ≥ 1; shorter where there are fewer rows or groups.
            exclude: a row to leave out.
            allowed: (N,) which rows may be found; None for all.
            factors: factors of single rows; None for none.
            groups: groups of rows, of each of which the best row is ranked; None ranks all rows.
            counts: filled with the number of rows of each level that the search touches.

        Returns:
            The ranking that brute force in float64 gives, ties by ascending row.
        """
        wanted = ExactWanted(query, alphas, top_k, exclude, allowed, factors, groups)
        return finish(self.ranking(wanted, counts))

    def ranking(  # noqa: D102 - see ExactSearch
        self, wanted: ExactWanted, counts: SearchCounts | None = None
    ) -> Search[Ranking]:
        search = _OneSearch(
            self,
            wanted.query,
            wanted.alphas,
            wanted.top_k,
            wanted.factors,
            wanted.groups,
            wanted.floor,
            counts,
        )
        rows = yield from search.candidates(wanted.exclude, wanted.allowed)
        with self.parallelism.searching():
            return search.rank(rows)

    def rank_rows(  # noqa: D102 - see ExactSearch
        self,
        query: Query,
        alphas: Sequence[float],
        rows: NDArray[np.integer],
        top_k: int,
        factors: RowFactors | None = None,
        groups: Groups | None = None,
    ) -> Ranking:
        with self.parallelism.searching():
            return _OneSearch(self, query, alphas, top_k, factors, groups).rank(rows)


def stages_of(
    levels: Levels, settings: CascadeSettings = DEFAULT_SETTINGS
) -> tuple[CoarseStage, *tuple[RowStage, ...]]:
    """The stages on L, in the order of the cascade."""
    coarse = COARSE_LEVEL.stage(levels.fit, levels.arrays[COARSE_LEVEL.name], settings)
    rows = (level.stage(levels.fit, levels.arrays[level.name], settings) for level in ROW_LEVELS)
    return coarse, *rows


class _OneSearch:
    """The search for one query.

    ``rank(candidates(...))`` ranks the whole database, ``rank(rows)`` some rows.
    """

    def __init__(
        self,
        search: CascadeSearch,
        query: Query,
        alphas: Sequence[float],
        top_k: int,
        factors: RowFactors | None = None,
        groups: Groups | None = None,
        floor: float = -np.inf,
        counts: SearchCounts | None = None,
    ) -> None:
        self._search, self._levels, self._settings = search, search.levels, search.settings
        self._query, self._alphas, self._top_k = PreparedQuery.of(query), alphas, top_k
        self._factors, self._groups, self._floor = factors, groups, floor
        self._counts = SearchCounts() if counts is None else counts
        rounded = self._query.rounded(search.levels.fit.parameters.code_offsets)
        self._bytes = ByteSearch(search.levels.arrays[BYTE_LEVEL.name], rounded, alphas)
        self._best = BestRows(search.originals, query, alphas, top_k, factors, groups, floor)

    def candidates(
        self, exclude: int | None, allowed: NDArray[np.bool_] | None
    ) -> Search[NDArray[np.int32]]:
        """Find the rows that may be among the best; all others provably are not."""
        eligible = partial(eligible_rows, self._levels.rows, exclude, allowed)
        if not any(self._alphas):  # eq. (8) is 1 for all, so the factors and the rows decide
            first = self._first(eligible())
            if self._factors is None:
                return first
            best = self._factors.best(self._top_k, exclude, allowed, self._groups)
            return np.union1d(first, best)
        if allowed is not None and np.count_nonzero(allowed) <= self._settings.few_eligible:
            return eligible()
        bound = FusedBound(self._alphas, self._rectified(), self._factors)
        rotated = self._query.rotated(self._levels.fit, bound.weights)
        candidates = Candidates(
            self._search.scratch, len(self._search), exclude, allowed, bound.growth(), self._groups
        )
        yield CoarseScan(self._search.coarse, rotated, candidates, self._search.parallelism)
        with self._search.parallelism.searching():
            if not self._narrow(self._search.coarse, candidates, bound):
                return eligible()
            for stage in self._search.row_stages:
                if candidates.count < stage.fewest_candidates:
                    break
                stage.bound(rotated, candidates, self._search.parallelism)
                if not self._narrow(stage, candidates, bound):
                    return eligible()
        return self._with_outliers(candidates.rows, exclude, allowed)

    def rank(self, some_rows: NDArray[np.integer]) -> Ranking:
        """Rank some rows, and those read before, by descending upper bound of eq. (8)."""
        rows = some_rows.astype(np.int32)
        if len(rows) <= self._top_k + self._settings.extra_reads:
            self._read(rows)
            return self._best.ranking
        upper_bounds = self._with_factors(self._bytes.bounds(rows)[1], rows)
        self._counts[BYTE_LEVEL.name] += len(rows)
        wanted = np.flatnonzero(upper_bounds >= self._best.reach(rows))
        order = wanted[np.argsort(-upper_bounds[wanted])]
        first, count = 0, READ_AT_ONCE
        while first < len(order) and upper_bounds[order[first]] >= self._best.last:
            chunk = order[first : first + count]
            self._read(rows[chunk[upper_bounds[chunk] >= self._best.reach(rows[chunk])]])
            first, count = first + count, min(2 * count, LARGEST_READ)
        return self._best.ranking

    def _first(self, rows: NDArray[np.int32]) -> NDArray[np.int32]:
        """The first of some rows, as many as the ranking may have; of each group one."""
        if self._groups is None:
            return rows[: self._top_k]
        return rows[self._groups.first_of_each(rows, self._top_k)]

    def _narrow(self, stage: Stage, candidates: Candidates, bound: FusedBound) -> bool:
        """Keep what may be among the best after a stage; False where no bound says."""
        self._counts[stage.name] += candidates.count
        candidates.grow()
        if stage is not self._search.coarse or self._floor == -np.inf:
            self._read_probes(candidates)  # few rows pass the first stage and a floor
        return self._keep(candidates, bound)

    def _keep(self, candidates: Candidates, bound: FusedBound) -> bool:
        """Keep the candidates that may still be among the best; False where no bound says."""
        if self._groups is None:
            if not bound.covers(self._best.last):
                return False
            candidates.keep(bound.threshold(self._best.last))
            return True
        groups, similarities = self._best.of_groups()
        of_all, of_groups = np.split(
            bound.thresholds(np.append(self._best.last, similarities)), [1]
        )
        candidates.keep_by_group(of_all[0], groups, of_groups)
        return bound.covers(similarities.max(initial=self._best.last))

    def _rectified(self) -> list[bool]:
        """Whether the cosines of a backbone cannot be negative, by backbone."""
        return [
            is_rectified and bool((descriptor >= 0).all())
            for is_rectified, descriptor in zip(self._levels.rectified, self._query, strict=True)
        ]

    def _read_probes(self, candidates: Candidates) -> None:
        """Read candidates that are probably among the best.

        The byte level puts those with the largest estimates of L in the order of eq. (8).
        """
        probes = candidates.largest_estimates(max(self._settings.probes, 2 * self._top_k))
        order = np.argsort(-self._with_factors(self._bytes.bounds(probes)[0], probes))
        self._counts[BYTE_LEVEL.name] += len(probes)
        self._read(probes[order[: self._top_k + self._settings.extra_reads]])

    def _with_factors(
        self, similarities: NDArray[np.float64], rows: NDArray[np.int32]
    ) -> NDArray[np.float64]:
        """Values or bounds of eq. (8), times the factors of their rows."""
        return similarities if self._factors is None else similarities * self._factors.of(rows)

    def _with_outliers(
        self,
        rows: NDArray[np.int32],
        exclude: int | None,
        allowed: NDArray[np.bool_] | None,
    ) -> NDArray[np.int32]:
        """Add the rows that the stages cannot bound."""
        outliers = self._levels.outliers
        if len(outliers) == 0:
            return rows
        is_eligible = np.ones(len(outliers), np.bool_) if allowed is None else allowed[outliers]
        return np.union1d(rows, outliers[is_eligible & (outliers != exclude)])

    def _read(self, rows: NDArray[np.int32]) -> None:
        """Read the originals of rows that were not read yet."""
        unread = self._best.unseen(rows)
        if len(unread):
            self._best.read(unread)
            self._counts[ORIGINALS] += len(unread)
