"""Exact search over a version and its changes: the ranking of brute force over both.

The version is searched as ever, without the rows that were replaced or deleted. Changed rows are
scanned. Both give the same similarity for the same descriptors, bit by bit. Of equally similar rows
the smaller one comes first, and a changed row comes behind every row of the version.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from retrieval_server.exact_search.groups import AllowedRows, Groups, RowGroups
from retrieval_server.exact_search.row_factors import RowFactors
from retrieval_server.exact_search.scan import ScanSearch, eligible_rows
from retrieval_server.exact_search.search import Query, SearchLevel
from retrieval_server.exact_search.similarity import Ranking
from retrieval_server.index.searched_index import IndexSearch

CHANGES = "changes"  # what the level of the changed rows is called


class ChangedSearch:
    """Ranks the rows of a version and of its changes; see ``ExactSearch``.

    Args:
        version: ranks the rows of the version.
        rows: N, number of these rows.
        changes: ranks the changed rows, which are N, N + 1, … here.
    """

    def __init__(self, version: IndexSearch, rows: int, changes: ScanSearch) -> None:
        self._version, self._rows, self._changes = version, rows, changes
        self._groups_of_version: tuple[Groups, Groups] | None = None

    def level_sizes(self) -> tuple[SearchLevel, ...]:
        """What a search reads; see ``IndexSearch``."""
        changed_bytes = sum(matrix.nbytes for matrix in self._changes.descriptors)
        return (*self._version.level_sizes(), SearchLevel(CHANGES, changed_bytes, True))

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
        mask = cast("NDArray[np.bool_] | None", allowed)  # what a ChangedIndex has made
        groups = cast("Groups | None", groups)  # likewise
        rows = self._rows
        old = self._version.rank_all(
            query,
            alphas,
            top_k,
            exclude if exclude is not None and exclude < rows else None,
            None if mask is None else mask[:rows],
            self._factors_of_version(factors),
            self._of_version(groups),
        )
        changed = eligible_rows(len(self._changes), None, None if mask is None else mask[rows:])
        changed = changed[changed + rows != exclude] if exclude is not None else changed
        new = self._rank_changed(query, alphas, changed, top_k, factors, groups)
        return _merged(old, new, top_k, groups)

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
        groups = cast("Groups | None", groups)  # what a ChangedIndex has made
        is_old = rows < self._rows
        old = self._version.rank_rows(
            query,
            alphas,
            rows[is_old],
            top_k,
            self._factors_of_version(factors),
            self._of_version(groups),
        )
        changed = rows[~is_old] - self._rows
        new = self._rank_changed(query, alphas, changed, top_k, factors, groups)
        return _merged(old, new, top_k, groups)

    def _rank_changed(
        self,
        query: Query,
        alphas: Sequence[float],
        slots: NDArray[np.integer],
        top_k: int,
        factors: RowFactors | None,
        groups: Groups | None,
    ) -> Ranking:
        if factors is not None:
            first = int(np.searchsorted(factors.rows, self._rows))
            factors = RowFactors(factors.rows[first:] - self._rows, factors.factors[first:])
        ranking = self._changes.rank_rows(
            query, alphas, slots, top_k, factors, None if groups is None else self._behind(groups)
        )
        return Ranking(ranking.rows + self._rows, ranking.similarities, ranking.cosines)

    def _factors_of_version(self, factors: RowFactors | None) -> RowFactors | None:
        if factors is None:
            return None
        end = int(np.searchsorted(factors.rows, self._rows))
        return RowFactors(factors.rows[:end], factors.factors[:end])

    def _of_version(self, groups: Groups | None) -> Groups | None:
        """The groups of the version's rows, numbered without gaps: their search needs that."""
        if groups is None:
            return None
        kept = self._groups_of_version
        if kept is None or kept[0] is not groups:  # a thread may do this beside another one
            kept = groups, _numbered(groups.numbers[: self._rows], groups.count)
            self._groups_of_version = kept
        return kept[1]

    def _behind(self, groups: Groups) -> Groups:
        """The groups of the changed rows."""
        return _numbered(groups.numbers[self._rows :], groups.count)


def _numbered(numbers: NDArray[np.int32], count: int) -> Groups:
    """Groups with new numbers from 0, which keep their order.

    Args:
        numbers: (m,) of some rows.
        count: above the largest number.
    """
    is_used = np.zeros(count, np.bool_)
    is_used[numbers] = True
    places = np.cumsum(is_used, dtype=np.int32) - 1
    return Groups(places[numbers].astype(np.int32), int(np.count_nonzero(is_used)))


def _merged(old: Ranking, new: Ranking, top_k: int, groups: Groups | None) -> Ranking:
    rows = np.concatenate([old.rows, new.rows])
    similarities = np.concatenate([old.similarities, new.similarities])
    order = np.lexsort((rows, -similarities))
    order = order[:top_k] if groups is None else order[groups.first_of_each(rows[order], top_k)]
    cosines = np.concatenate([old.cosines, new.cosines])
    return Ranking(rows[order], similarities[order], cosines[order])
