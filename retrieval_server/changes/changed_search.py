"""Exact search over a version and its changes: the ranking of brute force over both.

The rows are searched in two parts: first those of the version, as ever, without what was replaced
or deleted; then the changed rows, in levels that are encoded with the version's own fit. What the
first part has computed of the query serves the second one, of which only rows are wanted that reach
the last of a full ranking of the first. So the second part costs little beside the first.

Both parts give the same similarity for the same descriptors, bit by bit. Of equally similar rows
the smaller one comes first, and a changed row comes behind every row of the version.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from retrieval_server.exact_search.cascade import CascadeSearch, CascadeSettings
from retrieval_server.exact_search.groups import AllowedRows, Groups, RowGroups
from retrieval_server.exact_search.levels.encoding import GrowingLevels, Levels, empty_levels
from retrieval_server.exact_search.prepared_query import PreparedQuery
from retrieval_server.exact_search.row_factors import RowFactors
from retrieval_server.exact_search.scan import ScanSearch
from retrieval_server.exact_search.search import ExactSearch, ExactWanted, Query, SearchLevel
from retrieval_server.exact_search.shared_scan import Search
from retrieval_server.exact_search.similarity import Ranking
from retrieval_server.index.searched_index import IndexSearch, IndexWanted

CHANGES = "changes"  # what the level of the changed rows is called
SETTINGS = CascadeSettings(few_eligible=200)  # the query is rotated already


class ChangedLevels:
    """The levels of changed rows, encoded with the fit of the version; one thread encodes.

    Args:
        levels: those of the version; None for a small version, whose changes are scanned.
        dimensions: C by backbone.
    """

    def __init__(self, levels: Levels | None, dimensions: Sequence[int]) -> None:
        self._growing = None
        if levels is not None:
            self._growing = GrowingLevels(empty_levels(levels.fit, dimensions, 0), dimensions)

    def search(self, descriptors: Sequence[NDArray[Any]]) -> ExactSearch:
        """What ranks the changed rows.

        Args:
            descriptors: (M, C_n) by backbone, all changed rows that there are now.
        """
        if self._growing is None:
            return ScanSearch(descriptors)
        encoded = self._growing.levels.rows
        if encoded < len(descriptors[0]):
            self._growing.append([matrix[encoded:] for matrix in descriptors])
        return CascadeSearch(descriptors, self._growing.levels, SETTINGS)


class ChangedSearch:
    """Ranks the rows of a version and of its changes; see ``IndexSearch``.

    Args:
        version: ranks the rows of the version.
        rows: number of these rows.
        changes: ranks the changed rows, which come behind those.

    Attributes:
        version: as given.
    """

    def __init__(self, version: IndexSearch, rows: int, changes: ExactSearch) -> None:
        self.version, self._changes = version, changes
        self._old, self._new = _Run(0, rows), _Run(rows, rows + len(changes))

    def over(self, version: IndexSearch) -> ChangedSearch:
        """This search, with another one of the rows of the version."""
        other = copy(self)
        other.version = version
        return other

    def level_sizes(self) -> tuple[SearchLevel, ...]:
        """What a search reads; see ``IndexSearch``."""
        changed_bytes = sum(matrix.nbytes for matrix in self._changes.descriptors)
        return (*self.version.level_sizes(), SearchLevel(CHANGES, changed_bytes, True))

    def ranking(self, wanted: IndexWanted) -> Search[Ranking]:
        """Rank all rows; see ``IndexSearch``."""
        query, old, new = PreparedQuery.of(wanted.query), self._old, self._new
        old_groups, new_groups = _by_part(wanted.groups)
        of_version = replace(
            wanted,
            query=query,
            exclude=old.row(wanted.exclude),
            allowed=old.mask(wanted.allowed),
            factors=old.factors(wanted.factors),
            groups=old_groups,
        )
        ranking = yield from self.version.ranking(of_version)
        if not len(self._changes):
            return ranking
        is_full = len(ranking.rows) == wanted.top_k
        of_changes = ExactWanted(
            query,
            wanted.alphas,
            wanted.top_k,
            new.row(wanted.exclude),
            cast("NDArray[np.bool_] | None", new.mask(wanted.allowed)),
            new.factors(wanted.factors),
            new_groups,
            float(ranking.similarities[-1]) if is_full else -np.inf,
        )
        changed = yield from self._changes.ranking(of_changes)
        return self._merged(ranking, changed, wanted.top_k, wanted.groups)

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
        query, old, new = PreparedQuery.of(query), self._old, self._new
        old_groups, new_groups = _by_part(groups)
        ranking = self.version.rank_rows(
            query, alphas, old.those(rows), top_k, old.factors(factors), old_groups
        )
        if not len(changed_rows := new.those(rows)):
            return ranking
        changed = self._changes.rank_rows(
            query, alphas, changed_rows, top_k, new.factors(factors), new_groups
        )
        return self._merged(ranking, changed, top_k, groups)

    def _merged(
        self, ranking: Ranking, changed: Ranking, top_k: int, groups: RowGroups | None
    ) -> Ranking:
        """The best of both rankings."""
        rows = np.concatenate([ranking.rows, changed.rows + self._new.first])
        similarities = np.concatenate([ranking.similarities, changed.similarities])
        order = np.lexsort((rows, -similarities))
        order = order[:top_k] if groups is None else order[groups.first_of_each(rows[order], top_k)]
        cosines = np.concatenate([ranking.cosines, changed.cosines])
        # what is not of the version is searched exactly, and needs no proof
        return Ranking(rows[order], similarities[order], cosines[order], ranking.proof)


class PartedGroups(Protocol):
    """Groups of the rows of a version and of its changes."""

    @property
    def version(self) -> RowGroups:
        """The groups of the rows of the version."""

    @property
    def changed(self) -> Groups:
        """The groups of the changed rows, by their own numbers from 0."""


class PartedRows(Protocol):
    """Which rows of a version and of its changes may be found: a mask, or what stands for one."""

    def __getitem__(self, rows: slice, /) -> AllowedRows:
        """Which of some rows in a run may be found, by their own numbers from 0."""


class _Run:
    """Rows in a run, from the first one to the last but one, and their own numbers from 0."""

    def __init__(self, first: int, last: int) -> None:
        self.first, self._last = first, last

    def row(self, row: int | None) -> int | None:
        """The own number of a row; None for a row that is not here."""
        return row - self.first if row is not None and self.first <= row < self._last else None

    def those(self, rows: NDArray[np.integer]) -> NDArray[np.integer]:
        """The own numbers of those of some rows that are here."""
        return rows[(rows >= self.first) & (rows < self._last)] - self.first

    def mask(self, allowed: AllowedRows | None) -> AllowedRows | None:
        """Which rows may be found."""
        rows = cast("PartedRows | None", allowed)  # what a ChangedIndex has made
        return None if rows is None else rows[self.first : self._last]

    def factors(self, factors: RowFactors | None) -> RowFactors | None:
        """The factors of the rows."""
        if factors is None:
            return None
        first, last = np.searchsorted(factors.rows, [self.first, self._last]).tolist()
        return RowFactors(
            factors.rows[first:last] - np.int32(self.first), factors.factors[first:last]
        )


def _by_part(groups: RowGroups | None) -> tuple[RowGroups | None, Groups | None]:
    """The groups of the rows of the version, and of the changed rows."""
    if groups is None:
        return None, None
    both = cast("PartedGroups", groups)  # what a ChangedIndex has made
    return both.version, both.changed
