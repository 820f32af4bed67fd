"""Ranks by eq. (8) over a candidate store: a list that grows until the certificate proves it.

The engine's list is ranked again by the exact similarity, in float64 over the descriptors that the
store holds. So every similarity in an answer is exact, whatever the engine has computed; what the
``Proof`` says is whether a product may be missing.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from retrieval_server.exact_search.originals import BestSoFar, exact_cosines
from retrieval_server.exact_search.proof import Guarantee, Proof
from retrieval_server.exact_search.search import Query, SearchLevel
from retrieval_server.exact_search.similarity import Ranking
from retrieval_server.stores.candidate_store import CandidateStore, Selection, StoredRows, SumList
from retrieval_server.stores.certificate import SumCertificate

LEVEL = "store"  # what the vectors of a store are called among the levels of a search
SHORTEST_LIST = 128  # rows of the first list; most queries of photos need no more
GROWTH = 4  # of the list, each time it proves nothing
NARROW = 1024  # rows among which the first that may be found are listed
FETCHED_AT_ONCE = 1024  # rows; 16 MB at the paper's 3,968 values

TOO_SHORT = "{:,} candidates do not show that no other product is as similar."
NEGATIVE = (
    "A product with several negative factors 1 + alpha * cosine could be as similar, and the "
    "engine does not rank those first."
)
COMPRESSED = (
    "The engine's inner products differ by {:.1g} from those of the stored vectors, more than "
    "float32 explains: its index holds compressed vectors."
)
APPROXIMATE = (
    "The engine's index is {}, which may miss products with larger sums than those of its list of "
    "{:,}."
)


class StoreSearch:
    """Ranks the rows of a store; any number of threads may search.

    Args:
        store: holds the descriptors.
        rows: N, number of rows in the store.
        stored_bytes: size of their descriptors.
        budget_s: seconds after which a list does not grow any more.
    """

    def __init__(
        self, store: CandidateStore, rows: int, stored_bytes: int, budget_s: float
    ) -> None:
        self._store, self._rows = store, rows
        self._stored_bytes, self._budget_s = stored_bytes, budget_s

    def level_sizes(self) -> tuple[SearchLevel, ...]:
        """The vectors, which the engine reads."""
        return (SearchLevel(LEVEL, self._stored_bytes, is_resident=False),)

    def rank_all(
        self,
        query: Query,
        alphas: Sequence[float],
        top_k: int,
        exclude: int | None = None,
        allowed: StoredRows | None = None,
        factors: None = None,
        groups: None = None,
    ) -> Ranking:
        """Rank the rows that may be found.

        Args:
            query: one (C_n,) float32 descriptor for each backbone, of unit norm or zero.
            alphas: α_n ≥ 0 of eq. (8).
            top_k: length of the ranking; shorter where fewer rows may be found.
            exclude: a row to leave out.
            allowed: which rows may be found; None for all.
            factors: None; a store has no words that single rows could have factors for.
            groups: None; a store has no groups.

        Returns:
            The ranking with its proof. With ``Guarantee.EXACT`` it is that of brute force in
            float64, ties by ascending row.
        """
        selection = Selection() if allowed is None else allowed.selection
        return _OneSearch(self._store, query, alphas, top_k).rank_all(
            selection.without(exclude), self._rows, time.monotonic() + self._budget_s
        )

    def rank_rows(
        self,
        query: Query,
        alphas: Sequence[float],
        rows: NDArray[np.integer],
        top_k: int,
        factors: None = None,
        groups: None = None,
    ) -> Ranking:
        """Rank some rows only, exactly; see ``rank_all``.

        Args:
            query: one (C_n,) float32 descriptor for each backbone.
            alphas: α_n ≥ 0 of eq. (8).
            rows: (M,) distinct rows.
            top_k: length of the ranking; shorter where there are fewer rows.
            factors: None.
            groups: None.
        """
        return _OneSearch(self._store, query, alphas, top_k).rank_rows(rows.astype(np.int64))


class _OneSearch:
    """The search for one query."""

    def __init__(
        self, store: CandidateStore, query: Query, alphas: Sequence[float], top_k: int
    ) -> None:
        self._store, self._query, self._alphas, self._top_k = store, query, alphas, top_k
        self._best = BestSoFar(alphas, top_k)

    def rank_all(self, selection: Selection, rows: int, stop_at_s: float) -> Ranking:
        if not self._says_something():
            return self._first(selection, rows)
        certificate = SumCertificate(self._query, self._alphas, self._store.rectified)
        length = min(max(SHORTEST_LIST, 2 * self._top_k), self._store.longest_list)
        error = certificate.error
        while True:
            found = self._store.search_sum(certificate.sum_query, length, selection)
            error = max(error, self._read(found, certificate))
            if self._has_all(found, length, selection):
                return self._with(Proof(Guarantee.EXACT, len(found.rows)))
            is_last = length == self._store.longest_list or time.monotonic() >= stop_at_s
            is_enough = certificate.proves(self._best.last, float(found.sums[-1]), error)
            if is_enough or is_last:
                return self._with(self._proof(found, certificate, error, is_enough))
            length = min(GROWTH * length, self._store.longest_list)

    def rank_rows(self, rows: NDArray[np.int64]) -> Ranking:
        self._fetch(rows)
        return self._best.ranking

    def _says_something(self) -> bool:
        """Whether eq. (8) differs between rows at all."""
        return any(
            alpha > 0 and part.any() for alpha, part in zip(self._alphas, self._query, strict=True)
        )

    def _first(self, selection: Selection, rows: int) -> Ranking:
        """The ranking where all rows are equally similar: the first of them."""
        low, high = 0, rows  # top_k rows lie below high, if there are so many; fewer below low
        while high - low > NARROW:
            middle = (low + high) // 2
            if self._store.count(selection, middle) >= self._top_k:
                high = middle
            else:
                low = middle
        first = self._store.rows_below(high, selection)[: self._top_k]
        self._fetch(first)
        return self._with(Proof(Guarantee.EXACT, len(first)))

    def _read(self, found: SumList, certificate: SumCertificate) -> float:
        """Rank the new rows of a list; returns how much their sums differ from the exact ones."""
        unseen = self._best.unseen(found.rows)
        exact = certificate.sums(self._fetch(unseen))
        given = found.sums[np.isin(found.rows, unseen)]
        return float(np.abs(given - exact).max(initial=0.0))

    def _fetch(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Add rows to the best so far; returns their cosines (m, N)."""
        pieces = [np.empty((0, len(self._query)))]
        for first in range(0, len(rows), FETCHED_AT_ONCE):
            piece = rows[first : first + FETCHED_AT_ONCE]
            descriptors = self._store.fetch(piece)
            pieces.append(exact_cosines(descriptors, self._query, np.arange(len(piece))))
        cosines = np.concatenate(pieces)
        self._best.add(rows, cosines)
        return cosines

    def _has_all(self, found: SumList, length: int, selection: Selection) -> bool:
        """Whether a list has every row that may be found."""
        if len(found.rows) == length:
            return False
        return not self._store.approximation or self._store.count(selection) == len(found.rows)

    def _with(self, proof: Proof) -> Ranking:
        return replace(self._best.ranking, proof=proof)

    def _proof(
        self, found: SumList, certificate: SumCertificate, error: float, is_enough: bool
    ) -> Proof:
        candidates = len(found.rows)
        if error > certificate.error:
            return Proof(Guarantee.NONE, candidates, COMPRESSED.format(error))
        if is_enough:
            approximation = self._store.approximation
            if not approximation:
                return Proof(Guarantee.EXACT, candidates)
            return Proof(
                Guarantee.EXACT_FOR_LIST, candidates, APPROXIMATE.format(approximation, candidates)
            )
        if not certificate.covers(self._best.last):
            return Proof(Guarantee.NONE, candidates, NEGATIVE)
        return Proof(Guarantee.NONE, candidates, TOO_SHORT.format(candidates))
