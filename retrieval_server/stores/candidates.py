"""The rows of a store that one search has read: their exact similarities, and the best of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from retrieval_server.exact_search.groups import RowGroups
from retrieval_server.exact_search.originals import BestSoFar, exact_cosines
from retrieval_server.exact_search.row_factors import RowFactors
from retrieval_server.exact_search.search import Query
from retrieval_server.stores.candidate_store import CandidateStore, Selection
from retrieval_server.stores.stored_groups import StoredGroups

FETCHED_AT_ONCE = 1024  # rows; 16 MB at the paper's 3,968 values


class Candidates(BestSoFar):
    """The best rows of a search so far, which it reads from a store.

    Args:
        store: holds the descriptors.
        query: one (C_n,) float32 descriptor for each backbone.
        alphas: α_n ≥ 0 of eq. (8).
        top_k: number of rows to keep.
        factors: factors of single rows; None for none.
        groups: groups of rows, of each of which only the best row is kept; None keeps any rows.
    """

    def __init__(
        self,
        store: CandidateStore,
        query: Query,
        alphas: Sequence[float],
        top_k: int,
        factors: RowFactors | None,
        groups: RowGroups | None,
    ) -> None:
        super().__init__(alphas, top_k, factors, groups)
        self._store, self._query = store, query

    def read(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Read distinct rows that were not read yet; returns their cosines (m, N)."""
        pieces = [np.empty((0, len(self._query)))]
        for first in range(0, len(rows), FETCHED_AT_ONCE):
            piece = rows[first : first + FETCHED_AT_ONCE]
            descriptors = self._store.fetch(piece)
            pieces.append(exact_cosines(descriptors, self._query, np.arange(len(piece))))
        cosines = np.concatenate(pieces)
        if len(rows):
            self.add(rows, cosines)
        return cosines

    def read_first(self, rows: NDArray[np.int64]) -> None:
        """Read the first of distinct rows, as many as the ranking may have; of each group one."""
        if self._groups is not None and len(rows):
            rows = rows[self._groups.first_of_each(rows, self.top_k)]
        self.read(rows[: self.top_k])

    @property
    def is_complete(self) -> bool:
        """Whether the ranking is as long as it can be, by the number of groups there are."""
        if self._groups is None:
            return self.is_full
        return len(self.ranking.rows) >= min(self.top_k, self._groups.count)

    def without_read(self, selection: Selection) -> Selection:
        """A selection without the rows that were read."""
        return selection.without_rows(self._seen)

    def without_groups(
        self, selection: Selection, is_settled: Callable[[float], bool] = lambda similarity: True
    ) -> Selection:
        """A selection without groups of the ranking.

        Args:
            selection: the selection.
            is_settled: whether a group is left out, by the similarity of its best row.
        """
        if self._groups is None:
            return selection
        settled = [
            int(group)
            for group, similarity in zip(*self.of_groups(), strict=True)
            if is_settled(float(similarity))
        ]
        return selection.without_values(cast("StoredGroups", self._groups).values_of(settled))
