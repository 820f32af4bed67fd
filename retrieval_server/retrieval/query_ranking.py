"""The rankings of one query: eq. (8) times the words' factor, among the products that may be found.

Both stages of Algorithm 1 rank by it, so what a filter, an excluded id or the least similarity
leaves out is neither a seed nor a text neighbour, and fills no result. Where results are grouped,
both stages rank the best image of each group.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from retrieval_server.exact_search.groups import RowGroups
from retrieval_server.exact_search.shared_scan import Search
from retrieval_server.exact_search.similarity import Ranking
from retrieval_server.index.searched_index import IndexSearch, IndexWanted, SearchedIndex
from retrieval_server.retrieval.grouping import with_group_sizes
from retrieval_server.retrieval.query_words import query_words
from retrieval_server.retrieval.search_request import (
    QueryDescriptors,
    SearchParameters,
    check_parameters,
)
from retrieval_server.retrieval.search_result import Match


class QueryRanking:
    """One query, ready to rank.

    Args:
        bundle: the index.
        search: ranks its descriptors.
        query: one (C_n,) float32 for each backbone, in the profile's order.
        parameters: how to search.
        exclude: a row to leave out.
        groups: groups of the rows, of each of which the best row is ranked; None ranks all rows.

    Attributes:
        allowed: which rows may be found, ``exclude`` aside; None for all.
        groups: as given.

    Raises:
        QueryError: if a parameter is out of range, naming it.
    """

    def __init__(
        self,
        bundle: SearchedIndex,
        search: IndexSearch,
        query: QueryDescriptors,
        parameters: SearchParameters,
        exclude: int | None,
        groups: RowGroups | None,
    ) -> None:
        self._alphas = check_parameters(parameters, bundle.profile)
        self._search, self._query, self._parameters = search, query, parameters
        if parameters.answer_by_s is not None:
            self._search = bundle.search_until(search, parameters.answer_by_s)
        self._words = query_words(bundle, parameters)
        self._factors = None if self._words is None else self._words.factors
        self._exclude = exclude
        self.allowed = bundle.allowed_rows(parameters.filter, parameters.exclude_ids)
        self.groups = groups

    def initial(self) -> Search[Ranking]:
        """The best ``top_k`` of the database: the first stage; searches may share a part of it."""
        wanted = IndexWanted(
            self._query,
            self._alphas,
            self._parameters.top_k,
            self._exclude,
            self.allowed,
            self._factors,
            self.groups,
        )
        ranking = yield from self._search.ranking(wanted)
        return ranking.reaching(self._parameters.min_similarity)

    def of_rows(self, rows: NDArray[np.int64], top_k: int) -> Ranking:
        """The best of some rows (M,), all of which may be found."""
        ranking = self._search.rank_rows(
            self._query, self._alphas, rows, top_k, self._factors, self.groups
        )
        return ranking.reaching(self._parameters.min_similarity)

    def explained(self, matches: Iterable[Match]) -> tuple[Match, ...]:
        """Matches with the evidence of the words and the sizes of the groups, if there are such."""
        if self._words is not None:
            matches = self._words.explained(matches)
        if self.groups is not None:
            matches = with_group_sizes(matches, self.groups, self.allowed, self._exclude)
        return tuple(matches)
