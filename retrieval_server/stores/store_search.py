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
from functools import partial

import numpy as np
from numpy.typing import NDArray

from retrieval_server.exact_search.groups import RowGroups
from retrieval_server.exact_search.proof import Guarantee, Proof
from retrieval_server.exact_search.row_factors import RowFactors
from retrieval_server.exact_search.search import Query, SearchLevel, Wanted
from retrieval_server.exact_search.shared_scan import Search, unshared
from retrieval_server.exact_search.similarity import Ranking
from retrieval_server.stores.candidate_store import CandidateStore, Selection, StoredRows, SumList
from retrieval_server.stores.candidates import Candidates
from retrieval_server.stores.certificate import SumCertificate
from retrieval_server.stores.equal_rows import EqualRows
from retrieval_server.stores.rows_by_factor import LOOKED_AT_ONCE, RowsByFactor
from retrieval_server.stores.search_time import SearchTime

LEVEL = "store"  # what the vectors of a store are called among the levels of a search
SHORTEST_LIST = 128  # rows of the first list; most queries of photos need no more
GROWTH = 4  # of the list, each time it proves nothing

TOO_SHORT = "{:,} candidates do not show that no other product is as similar."
NO_TIME = (
    "{:,} candidates do not show that no other product is as similar, and there was no time for "
    "more."
)
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
        answer_by_s: when the caller's time is over, on the clock ``time.monotonic``.
    """

    def __init__(
        self,
        store: CandidateStore,
        rows: int,
        stored_bytes: int,
        budget_s: float,
        answer_by_s: float = math.inf,
    ) -> None:
        self._store, self._rows, self._stored_bytes = store, rows, stored_bytes
        self._budget_s, self._answer_by_s = budget_s, answer_by_s

    def until(self, answer_by_s: float) -> StoreSearch:
        """This search for a caller whose time is over at some time."""
        return StoreSearch(self._store, self._rows, self._stored_bytes, self._budget_s, answer_by_s)

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
        selection = selection.without(exclude)
        candidates = Candidates(self._store, query, alphas, top_k, factors, groups)
        by_factor = RowsByFactor(factors)
        if not _says_something(query, alphas):
            EqualRows(self._store, self._rows, candidates, by_factor).read(selection)
            return replace(candidates.ranking, proof=Proof(Guarantee.EXACT, candidates.count))
        certificate = SumCertificate(query, alphas, self._store.rectified, factors)
        search_time = SearchTime(time.monotonic() + self._budget_s, self._answer_by_s)
        search = _OneSearch(self._store, certificate, candidates, by_factor, search_time)
        proof = search.prove(selection, top_k)
        return replace(candidates.ranking, proof=proof)

    def ranking(self, wanted: Wanted[StoredRows, RowGroups]) -> Search[Ranking]:
        """Rank the rows that may be found; see ``IndexSearch``."""
        return unshared(partial(wanted.ranked_by, self.rank_all))

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


def _says_something(query: Query, alphas: Sequence[float]) -> bool:
    """Whether eq. (8) differs between rows at all."""
    return any(alpha > 0 and part.any() for alpha, part in zip(alphas, query, strict=True))


class _OneSearch:
    """The search for one query, whose candidates it reads until they are proved.

    Args:
        store: holds the descriptors.
        certificate: of the query.
        candidates: the rows that were read; none yet.
        by_factor: the rows with factors of their own.
        search_time: the time that it has.
    """

    def __init__(
        self,
        store: CandidateStore,
        certificate: SumCertificate,
        candidates: Candidates,
        by_factor: RowsByFactor,
        search_time: SearchTime,
    ) -> None:
        self._store, self._certificate, self._best = store, certificate, candidates
        self._by_factor, self._time = by_factor, search_time
        self._error = certificate.error  # how much an L of the engine may be wrong
        self._all_settled = True

    def prove(self, selection: Selection, top_k: int) -> Proof:
        """Read candidates until the best are proved, or no longer list is possible in time.

        Args:
            selection: which rows may be found.
            top_k: length of the ranking.
        """
        length = min(max(SHORTEST_LIST, 2 * top_k), self._store.longest_list)
        while True:
            started = time.monotonic()
            found = self._store.search_sum(self._certificate.sum_query, length, selection)
            self._error = max(self._error, self._read(found))
            has_all = self._has_all(found, length, selection)
            if has_all and selection.beside is None:  # nothing rests on the engine's order
                return Proof(Guarantee.EXACT, self._best.count)
            outside = self._outside(found, length, selection)
            if has_all or outside.cannot_reach(self._best.last):
                return self._proof() if self._all_settled else self._unproved(TOO_SHORT)
            further = self._further(selection, length, outside)
            if further is None:
                return self._unproved(TOO_SHORT)
            if not self._time.allows(GROWTH * (time.monotonic() - started)):
                return self._unproved(NO_TIME)
            selection, length = further, min(GROWTH * length, self._store.longest_list)

    def _further(self, selection: Selection, length: int, outside: _Outside) -> Selection | None:
        """What the next list may find; None where it would be the same list again."""
        further = self._best.without_groups(selection, outside.cannot_reach)
        if length < self._store.longest_list or further != selection:
            return further
        self._all_settled = False
        if not self._best.is_full:
            further = self._best.without_groups(selection)  # to find other groups at all
        return None if further == selection else further

    def _read(self, found: SumList) -> float:
        """Rank the new rows of a list; returns how much their sums differ from the exact ones."""
        unseen = self._best.unseen(found.rows)
        exact = self._certificate.sums(self._best.read(unseen))
        given = found.sums[np.isin(found.rows, unseen)]
        return float(np.abs(given - exact).max(initial=0.0))

    def _outside(self, found: SumList, most: int, selection: Selection) -> _Outside:
        """Read rows by falling factor as well, until no other can be among the best.

        Args:
            found: the engine's list.
            most: how many rows to look at at most.
            selection: which rows may be found.

        Returns:
            What is known of the rows that are still not read.
        """
        last_sum = float(found.sums[-1]) if len(found.sums) else math.inf
        outside = _Outside(self._certificate, last_sum, self._error)
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

    def _proof(self) -> Proof:
        """What is proved where the certificate holds."""
        approximation, candidates = self._store.approximation, self._best.count
        if self._error > self._certificate.error:
            return Proof(Guarantee.NONE, candidates, COMPRESSED.format(self._error))
        if not approximation:
            return Proof(Guarantee.EXACT, candidates)
        reason = APPROXIMATE.format(approximation, candidates)
        return Proof(Guarantee.EXACT_FOR_LIST, candidates, reason)

    def _unproved(self, reason: str) -> Proof:
        """Why nothing is proved.

        Args:
            reason: the reason if there is none that another list would not change either.
        """
        candidates = self._best.count
        if self._error > self._certificate.error:
            reason = COMPRESSED.format(self._error)
        elif self._best.is_full and not self._certificate.covers(self._best.last):
            reason = NEGATIVE
        return Proof(Guarantee.NONE, candidates, reason.format(candidates))
