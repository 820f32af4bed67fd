"""The ranking where eq. (8) is 1 for all rows of a store: by their factors, then by their number.

That is so where no α is above 0, or the query's descriptors are zero.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retrieval_server.stores.candidate_store import CandidateStore, Selection
from retrieval_server.stores.candidates import Candidates
from retrieval_server.stores.rows_by_factor import LOOKED_AT_ONCE, RowsByFactor

NARROW = 1024  # rows among which the first that may be found are listed


class EqualRows:
    """Reads the rows of such a ranking.

    Args:
        store: holds the rows.
        rows: N, number of rows in the store.
        candidates: the rows that were read; none yet.
        by_factor: the rows with factors of their own.
    """

    def __init__(
        self, store: CandidateStore, rows: int, candidates: Candidates, by_factor: RowsByFactor
    ) -> None:
        self._store, self._rows = store, rows
        self._best, self._by_factor = candidates, by_factor

    def read(self, selection: Selection) -> None:
        """Read the rows that make the ranking.

        Args:
            selection: which rows may be found.
        """
        while not self._best.is_complete and self._by_factor.largest_left > 1:
            some, _ = self._by_factor.head(max(LOOKED_AT_ONCE, self._best.top_k))
            self._by_factor.take(len(some))
            is_new = self._store.passing(some, self._best.without_groups(selection))
            self._best.read_first(some[is_new])
        selection = self._best.without_read(selection)
        while not self._best.is_complete:
            selection = self._best.without_groups(selection)
            first = self._first(selection)
            self._best.read_first(first)
            if len(first) < self._best.top_k:
                return
            selection = selection.without_rows(first.tolist())

    def _first(self, selection: Selection) -> NDArray[np.int64]:
        """The first rows that may be found, as many as the ranking has at most."""
        low, high = 0, self._rows  # top_k rows lie below high, if there are so many
        while high - low > NARROW:  # fewer than top_k lie below low
            middle = (low + high) // 2
            if self._store.count(selection, middle) >= self._best.top_k:
                high = middle
            else:
                low = middle
        return self._store.rows_below(high, selection)[: self._best.top_k]
