"""Ranks by eq. (8) over a candidate store: a list that grows until the certificate proves it.

The engine's list is ranked again by the exact similarity, in float64 over the descriptors that the
store holds. So every similarity in an answer is exact, whatever the engine has computed; what the
``Proof`` says is whether a product may be missing.

Where single rows have factors, each list is read together with rows by falling factor. Where rows
have groups, the best rows are the best of different groups. A group is *settled* when no row that
was not read can reach its best one: further lists leave out the settled groups of the ranking, so
thousands of images of one product do not fill them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from retrieval_server.exact_search.groups import RowGroups
from retrieval_server.exact_search.proof import Guarantee, Proof
from retrieval_server.exact_search.row_factors import RowFactors
from retrieval_server.exact_search.search import Query, SearchLevel
from retrieval_server.exact_search.similarity import Ranking
from retrieval_server.stores.candidate_store import CandidateStore, Selection, StoredRows, SumList
from retrieval_server.stores.candidates import Candidates
from retrieval_server.stores.certificate import SumCertificate
from retrieval_server.stores.rows_by_factor import LOOKED_AT_ONCE, RowsByFactor

LEVEL = "store"  # what the vectors of a store are called among the levels of a search
SHORTEST_LIST = 128  # rows of the first list; most queries of photos need no more
GROWTH = 4  # of the list, each time it proves nothing
NARROW = 1024  # rows among which the first that may be found are listed

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
        factors: RowFactors | None = None,
        groups: RowGroups | None = None,
    ) -> Ranking:
        """Rank the rows that may be found.

        Args:
            query: one (C_n,) float32 descriptor for each backbone, of unit norm or zero.
            alphas: α_n ≥ 0 of eq. (8).
            top_k: length of the ranking; shorter where fewer rows may be found.
            exclude: a row to leave out.
            allowed: which rows may be found; None for all.
            factors: factors of single rows; None for none.
            groups: groups of rows, of each of which the best row is ranked; None ranks all rows.

        Returns:
            The ranking with its proof. With ``Guarantee.EXACT`` it is that of brute force in
            float64, ties by ascending row.
        """
        selection = Selection() if allowed is None else allowed.selection
        return _OneSearch(self._store, query, alphas, top_k, factors, groups).rank_all(
            selection.without(exclude), self._rows, time.monotonic() + self._budget_s
        )

    def rank_rows(
        self,
        query: Query,
        alphas: Sequence[float],
        rows: NDArray[np.integer],
        top_k: int,
        factors: RowFactors | None = None,
        groups: RowGroups | None = None,
    ) -> Ranking:
        """Rank some rows only, exactly; see ``rank_all``.

        Args:
            query: one (C_n,) float32 descriptor for each backbone.
            alphas: α_n ≥ 0 of eq. (8).
            rows: (M,) distinct rows.
            top_k: length of the ranking; shorter where there are fewer rows.
            factors: factors of single rows; None for none.
            groups: groups of rows, of each of which the best of ``rows`` is ranked; None ranks all.
        """
        candidates = Candidates(self._store, query, alphas, top_k, factors, groups)
        candidates.read(rows.astype(np.int64))
        return candidates.ranking


@dataclass(frozen=True)
class _Outside:
    """What is known of the rows that a search has not read.

    Attributes:
        certificate: of the query.
        last_sum: the largest L that they can have, as the engine has computed it.
        error: how much an L of the engine may be wrong.
        factor: the largest factor that they can have.
    """

    certificate: SumCertificate
    last_sum: float
    error: float
    factor: float = 1.0

    def cannot_reach(self, similarity: float) -> bool:
        """Whether none of them is as similar."""
        return self.certificate.proves(similarity, self.last_sum, self.error, self.factor)


class _OneSearch:
    """The search for one query."""

    def __init__(
        self,
        store: CandidateStore,
        query: Query,
        alphas: Sequence[float],
        top_k: int,
        factors: RowFactors | None,
        groups: RowGroups | None,
    ) -> None:
        self._store, self._query, self._alphas, self._top_k = store, query, alphas, top_k
        self._factors, self._groups = factors, groups
        self._best = Candidates(store, query, alphas, top_k, factors, groups)
        self._by_factor = RowsByFactor(factors)

    def rank_all(self, selection: Selection, rows: int, stop_at_s: float) -> Ranking:
        if not self._says_something():
            return self._first(selection, rows)
        certificate = SumCertificate(
            self._query, self._alphas, self._store.rectified, self._factors
        )
        length = min(max(SHORTEST_LIST, 2 * self._top_k), self._store.longest_list)
        error, all_settled = certificate.error, True
        while True:
            found = self._store.search_sum(certificate.sum_query, length, selection)
            error = max(error, self._read(found, certificate))
            has_all = self._has_all(found, length, selection)
            if has_all and selection.beside is None:  # nothing rests on the engine's order
                return self._with(Proof(Guarantee.EXACT, self._best.count))
            last_sum = float(found.sums[-1]) if len(found.sums) else math.inf
            outside = self._by_falling_factor(
                _Outside(certificate, last_sum, error), length, selection
            )
            is_enough = has_all or outside.cannot_reach(self._best.last)
            if is_enough or time.monotonic() >= stop_at_s:
                return self._with(self._proof(certificate, error, is_enough and all_settled))
            further = self._best.without_groups(selection, outside.cannot_reach)
            if length == self._store.longest_list and further == selection:
                all_settled = False
                if not self._best.is_full:
                    further = self._best.without_groups(selection)  # to find other groups at all
                if further == selection:
                    return self._with(self._proof(certificate, error, is_enough=False))
            selection = further
            length = min(GROWTH * length, self._store.longest_list)

    def _says_something(self) -> bool:
        """Whether eq. (8) differs between rows at all."""
        return any(
            alpha > 0 and part.any() for alpha, part in zip(self._alphas, self._query, strict=True)
        )

    def _first(self, selection: Selection, rows: int) -> Ranking:
        """The ranking where eq. (8) is 1 for all rows: by factor, then the first rows."""
        while not self._best.is_complete() and self._by_factor.largest_left > 1:
            some, _ = self._by_factor.head(max(LOOKED_AT_ONCE, self._top_k))
            self._by_factor.take(len(some))
            passing = some[self._store.passing(some, self._best.without_groups(selection))]
            self._read_first(passing)
        selection = self._best.without_read(selection)
        while not self._best.is_complete():
            selection = self._best.without_groups(selection)
            first = self._first_rows(selection, rows)
            self._read_first(first)
            if len(first) < self._top_k:
                break
            selection = selection.without_rows(first.tolist())
        return self._with(Proof(Guarantee.EXACT, self._best.count))

    def _first_rows(self, selection: Selection, rows: int) -> NDArray[np.int64]:
        """The first rows that may be found, as many as the ranking has at most."""
        low, high = 0, rows  # top_k rows lie below high, if there are so many; fewer below low
        while high - low > NARROW:
            middle = (low + high) // 2
            if self._store.count(selection, middle) >= self._top_k:
                high = middle
            else:
                low = middle
        return self._store.rows_below(high, selection)[: self._top_k]

    def _read_first(self, rows: NDArray[np.int64]) -> None:
        """Read the first of some rows, as many as the ranking has at most; of each group one."""
        if self._groups is not None and len(rows):
            rows = rows[self._groups.first_of_each(rows, self._top_k)]
        self._best.read(rows[: self._top_k])

    def _read(self, found: SumList, certificate: SumCertificate) -> float:
        """Rank the new rows of a list; returns how much their sums differ from the exact ones."""
        unseen = self._best.unseen(found.rows)
        exact = certificate.sums(self._best.read(unseen))
        given = found.sums[np.isin(found.rows, unseen)]
        return float(np.abs(given - exact).max(initial=0.0))

    def _by_falling_factor(self, outside: _Outside, most: int, selection: Selection) -> _Outside:
        """Read rows by falling factor, until no other can be among the best.

        Args:
            outside: what is known of the rows that were not read, without their factors.
            most: how many rows to look at at most.
            selection: which rows may be found.

        Returns:
            What is known of the rows that are still not read.
        """
        while True:
            outside = replace(outside, factor=self._by_factor.largest_left)
            if outside.factor == 1 or most <= 0 or outside.cannot_reach(self._best.last):
                return outside
            rows, factors = self._by_factor.head(min(most, LOOKED_AT_ONCE))
            can_reach = [
                not replace(outside, factor=factor).cannot_reach(self._best.last)
                for factor in factors.tolist()
            ]
            rows = rows[: sum(can_reach)]
            self._by_factor.take(len(rows))
            unseen = self._best.unseen(rows)
            self._best.read(unseen[self._store.passing(unseen, selection)])
            most -= len(rows)

    def _has_all(self, found: SumList, length: int, selection: Selection) -> bool:
        """Whether a list has every row that may be found."""
        if len(found.rows) == length:
            return False
        return not self._store.approximation or self._store.count(selection) == len(found.rows)

    def _with(self, proof: Proof) -> Ranking:
        return replace(self._best.ranking, proof=proof)

    def _proof(self, certificate: SumCertificate, error: float, is_enough: bool) -> Proof:
        candidates = self._best.count
        if error > certificate.error:
            return Proof(Guarantee.NONE, candidates, COMPRESSED.format(error))
        if is_enough:
            approximation = self._store.approximation
            if not approximation:
                return Proof(Guarantee.EXACT, candidates)
            return Proof(
                Guarantee.EXACT_FOR_LIST, candidates, APPROXIMATE.format(approximation, candidates)
            )
        if self._best.is_full and not certificate.covers(self._best.last):
            return Proof(Guarantee.NONE, candidates, NEGATIVE)
        return Proof(Guarantee.NONE, candidates, TOO_SHORT.format(candidates))
