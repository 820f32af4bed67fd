"""Exact search over a version and its changes: the ranking of brute force over both.

The rows are searched in parts: those of the version, as ever, without what was replaced or deleted;
the changed rows that are encoded, in the levels of the version's own fit; and the newest ones, by a
scan. All parts give the same similarity for the same descriptors, bit by bit. Of equally similar
rows the smaller one comes first, and a changed row comes behind every row of the version.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from retrieval_server.exact_search.cascade import CascadeSearch
from retrieval_server.exact_search.groups import AllowedRows, Groups, RowGroups
from retrieval_server.exact_search.levels.encoding import Levels, append_rows, empty_levels
from retrieval_server.exact_search.row_factors import RowFactors
from retrieval_server.exact_search.scan import ScanSearch
from retrieval_server.exact_search.search import ExactSearch, Query, SearchLevel
from retrieval_server.exact_search.similarity import Ranking
from retrieval_server.index.searched_index import IndexSearch

CHANGES = "changes"  # what the level of the changed rows is called
ENCODED_AT_ONCE = 256  # fewer rows are scanned: a scan of these takes about a millisecond


class ChangedLevels:
    """The levels of changed rows, encoded with the fit of the version; one thread encodes.

    Args:
        levels: those of the version; None for a small version, whose changes are scanned.
        dimensions: C by backbone.
    """

    def __init__(self, levels: Levels | None, dimensions: Sequence[int]) -> None:
        self._levels = None if levels is None else empty_levels(levels.fit, dimensions, 0)
        self._search: CascadeSearch | None = None

    def searches(self, descriptors: Sequence[NDArray[Any]]) -> list[ExactSearch]:
        """What ranks the changed rows: those that are encoded, and the others behind them.

        Args:
            descriptors: (M, C_n) by backbone, all changed rows that there are now.
        """
        encoded = 0 if self._levels is None else self._levels.rows
        whole = len(descriptors[0]) // ENCODED_AT_ONCE * ENCODED_AT_ONCE
        if self._levels is not None and whole > encoded:
            new = [matrix[encoded:whole] for matrix in descriptors]
            self._levels, encoded = append_rows(self._levels, new), whole
            self._search = CascadeSearch([matrix[:whole] for matrix in descriptors], self._levels)
        searches: list[ExactSearch] = [] if self._search is None else [self._search]
        if encoded < len(descriptors[0]):
            searches.append(ScanSearch([matrix[encoded:] for matrix in descriptors]))
        return searches


class PartedGroups(Protocol):
    """Groups of the rows of a version and of its changes."""

    def part(self, rows: slice) -> RowGroups:
        """The groups of some rows in a run, by their own numbers from 0."""


class PartedRows(Protocol):
    """Which rows of a version and of its changes may be found: a mask, or what stands for one."""

    def __getitem__(self, rows: slice, /) -> AllowedRows:
        """Which of some rows in a run may be found, by their own numbers from 0."""


class ChangedSearch:
    """Ranks the rows of a version and of its changes; see ``ExactSearch``.

    Args:
        version: ranks the rows of the version.
        rows: number of these rows.
        changes: rank the changed rows; those of each come behind those of the one before.
        changed_bytes: size of the descriptors of the changed rows.

    Attributes:
        version: as given.
    """

    def __init__(
        self,
        version: IndexSearch,
        rows: int,
        changes: Sequence[ExactSearch],
        changed_bytes: int,
    ) -> None:
        self.version = version
        self._parts = [_Part(version, slice(0, rows))]
        for search in changes:
            first = self._parts[-1].rows.stop
            part = cast("IndexSearch", search)  # rows that may be found are always a mask here
            self._parts.append(_Part(part, slice(first, first + len(search))))
        self._changed_bytes = changed_bytes

    def over(self, version: IndexSearch) -> ChangedSearch:
        """This search, with another one of the rows of the version."""
        other = copy(self)
        other.version = version
        other._parts = [_Part(version, self._parts[0].rows), *self._parts[1:]]
        return other

    def level_sizes(self) -> tuple[SearchLevel, ...]:
        """What a search reads; see ``IndexSearch``."""
        sizes = self._parts[0].search.level_sizes()
        return (*sizes, SearchLevel(CHANGES, self._changed_bytes, True))

    def rank_all(
        self,
        query: Query,
        alphas: Sequence[float],
        top_k: int,
        exclude: int | None = None,
        allowed: AllowedRows | None = None,
        factors: RowFactors | None = None,
        groups: RowGroups | None = None,
    ) -> Ranking:
        """Rank all rows; see ``IndexSearch``."""
        mask = cast("PartedRows | None", allowed)  # what a ChangedIndex has made
        found = [
            part.search.rank_all(
                query,
                alphas,
                top_k,
                part.row(exclude),
                None if mask is None else mask[part.rows],
                part.factors(factors),
                part.groups(groups),
            )
            for part in self._parts
        ]
        return self._merged(found, top_k, groups)

    def rank_rows(
        self,
        query: Query,
        alphas: Sequence[float],
        rows: NDArray[np.integer],
        top_k: int,
        factors: RowFactors | None = None,
        groups: RowGroups | None = None,
    ) -> Ranking:
        """Rank some rows only; see ``IndexSearch``."""
        found = [
            part.search.rank_rows(
                query,
                alphas,
                rows[(rows >= part.rows.start) & (rows < part.rows.stop)] - part.rows.start,
                top_k,
                part.factors(factors),
                part.groups(groups),
            )
            for part in self._parts
        ]
        return self._merged(found, top_k, groups)

    def _merged(self, rankings: Sequence[Ranking], top_k: int, groups: RowGroups | None) -> Ranking:
        rows = np.concatenate(
            [
                ranking.rows + part.rows.start
                for ranking, part in zip(rankings, self._parts, strict=True)
            ]
        )
        similarities = np.concatenate([ranking.similarities for ranking in rankings])
        order = np.lexsort((rows, -similarities))
        order = order[:top_k] if groups is None else order[groups.first_of_each(rows[order], top_k)]
        cosines = np.concatenate([ranking.cosines for ranking in rankings])
        proof = rankings[0].proof  # what is not of the version is searched exactly
        return Ranking(rows[order], similarities[order], cosines[order], proof)


class _Part:
    """Some rows in a run, and what ranks them by their own numbers from 0."""

    def __init__(self, search: IndexSearch, rows: slice) -> None:
        self.search, self.rows = search, rows

    def row(self, row: int | None) -> int | None:
        """The number of a row here; None for a row of another part."""
        is_here = row is not None and self.rows.start <= row < self.rows.stop
        return cast("int", row) - self.rows.start if is_here else None

    def factors(self, factors: RowFactors | None) -> RowFactors | None:
        """The factors of the rows."""
        if factors is None:
            return None
        first, end = np.searchsorted(factors.rows, [self.rows.start, self.rows.stop]).tolist()
        start = np.int32(self.rows.start)
        return RowFactors(factors.rows[first:end] - start, factors.factors[first:end])

    def groups(self, groups: RowGroups | None) -> RowGroups | None:
        """The groups of the rows."""
        # they are what a ChangedIndex has made
        return None if groups is None else cast("PartedGroups", groups).part(self.rows)


def numbered(numbers: NDArray[np.int32], count: int) -> Groups:
    """Groups with new numbers from 0 without gaps, which keep their order: a search needs that.

    Args:
        numbers: (m,) of some rows.
        count: above the largest number.
    """
    is_used = np.zeros(count, np.bool_)
    is_used[numbers] = True
    places = np.cumsum(is_used, dtype=np.int32) - 1
    return Groups(places[numbers].astype(np.int32), int(np.count_nonzero(is_used)))
