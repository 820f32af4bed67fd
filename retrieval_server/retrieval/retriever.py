"""The method, section 2.3 of the paper: encode a query, rank by eq. (8), refine by Algorithm 1.

Where a query has words, both stages rank by eq. (8) times 1 + β t: see query_words.

Everything here is exact and deterministic: the same query has the same answer, whatever else the
server does at the time.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from retrieval_server.attributes.names import PRODUCT_COLUMN
from retrieval_server.engines.engine import Engine
from retrieval_server.errors import EngineError, UnknownProductError
from retrieval_server.exact_search.parallelism import IntraQueryParallelism
from retrieval_server.exact_search.search import SearchLevel
from retrieval_server.exact_search.shared_scan import Search, finish
from retrieval_server.exact_search.similarity import Ranking
from retrieval_server.filters.evaluation import check_filter
from retrieval_server.index.searched_index import IndexSearch, SearchedIndex
from retrieval_server.retrieval.engine_check import EngineCheck
from retrieval_server.retrieval.grouping import (
    check_group_by,
    groups_of,
    with_group_sizes,
    without_images_of,
)
from retrieval_server.retrieval.query_ranking import QueryRanking
from retrieval_server.retrieval.query_words import sole_words
from retrieval_server.retrieval.refinement import refine, unrefined
from retrieval_server.retrieval.search_request import (
    DEFAULT_TOP_K,
    QueryDescriptors,
    SearchParameters,
    check_descriptors,
    check_parameters,
)
from retrieval_server.retrieval.search_result import SearchResult
from retrieval_server.retrieval.verdict import judge_of


class Retriever:
    """Searches one index with one engine.

    Args:
        bundle: the index.
        engine: computes the descriptors of a query.
        parallelism: divides a search among idle cores; None keeps each search on its own core.
    """

    def __init__(
        self,
        bundle: SearchedIndex,
        engine: Engine,
        parallelism: IntraQueryParallelism | None = None,
    ) -> None:
        self.bundle = bundle
        self.engine = engine
        self.parallelism = parallelism
        self._engine_check = EngineCheck(bundle, engine)
        self._search = bundle.open_search(parallelism)

    @property
    def index_search(self) -> IndexSearch:
        """What ranks the rows of the index."""
        return self._search

    def over(self, bundle: SearchedIndex) -> Retriever:
        """The same search over another state of the index, with the same models.

        Args:
            bundle: this index with changes.
        """
        other = copy.copy(self)
        other.bundle = bundle
        other._search = bundle.open_search(self.parallelism)
        return other

    @property
    def search_levels(self) -> tuple[SearchLevel, ...]:
        """The levels that a search reads, the coarsest first."""
        return self._search.level_sizes()

    async def encode(
        self, image: NDArray[np.uint8], timeout_s: float | None = None
    ) -> QueryDescriptors:
        """Describe one image (S, S, 3) uint8 with every backbone.

        Verifies the engine first if its generation has changed since it was last verified.

        Args:
            image: the query, decoded.
            timeout_s: seconds the caller waits; None for as long as the engine's settings allow.

        Raises:
            EngineError: if the models refuse or cannot be reached.
            ModelMismatchError: if they are not the index's any more.
        """
        profile = self.bundle.profile
        started = time.monotonic()
        await self.check_engine(timeout_s)
        if timeout_s is not None:
            timeout_s -= time.monotonic() - started
        described = await self.engine.infer(profile.name, image[None], timeout_s)
        for model, descriptors in described.items():
            if not np.isfinite(descriptors).all():
                raise EngineError(f"Model {model} computed a descriptor that is not finite.")
        return tuple(described[model][0] for model in profile.models)

    def check(self, parameters: SearchParameters) -> None:
        """Check how to search, before a query is described.

        Raises:
            QueryError: if a parameter is out of range, or does not suit the index.
        """
        check_parameters(parameters, self.bundle.profile)
        if parameters.filter is not None:
            check_filter(parameters.filter, self.bundle.columns)
        check_group_by(parameters.group_by, self.bundle.columns)

    def rank(
        self, query: QueryDescriptors, parameters: SearchParameters, exclude: int | None = None
    ) -> Ranking:
        """Rank the products that may be found by the similarity: the first stage.

        Args:
            query: one (C_n,) float32 for each backbone, in the profile's order.
            parameters: how to search; the length of the ranking is ``top_k``.
            exclude: a row to leave out.

        Raises:
            QueryError: if a parameter is out of range, naming it.
        """
        return finish(self.ranking(query, parameters, exclude))

    def ranking(
        self, query: QueryDescriptors, parameters: SearchParameters, exclude: int | None = None
    ) -> Search[Ranking]:
        """What ``rank`` does, beside other searches; see ``exact_search.shared_scan``."""
        return (yield from self._ranking(query, parameters, exclude).initial())

    def search(
        self,
        query: QueryDescriptors,
        parameters: SearchParameters,
        exclude: int | None = None,
        initial: Ranking | None = None,
    ) -> SearchResult:
        """Find the products that match a query's descriptors: both stages.

        Args:
            query: one (C_n,) float32 for each backbone, in the profile's order.
            parameters: how to search.
            exclude: a row to leave out.
            initial: what ``rank`` returned for the same query, exclude and parameters, but for
                ``keep`` and ``refine``, where several searches share it; None ranks.

        Raises:
            QueryError: if a parameter is out of range, naming it.
        """
        return finish(self.searching(query, parameters, exclude, initial))

    def searching(
        self,
        query: QueryDescriptors,
        parameters: SearchParameters,
        exclude: int | None = None,
        initial: Ranking | None = None,
    ) -> Search[SearchResult]:
        """What ``search`` does, beside other searches; see ``exact_search.shared_scan``."""
        started = time.perf_counter_ns()
        ranking = self._ranking(query, parameters, exclude)
        if initial is None:
            initial = yield from ranking.initial()
        ranked = time.perf_counter_ns()
        if parameters.refine:
            result = refine(
                initial,
                ranking.of_rows,
                self.bundle.text_index,
                parameters.keep,
                parameters.top_k,
                exclude,
                ranking.allowed,
                ranking.groups,
            )
        else:
            result = unrefined(initial)
        refined = time.perf_counter_ns()
        found = SearchResult(
            matches=ranking.explained(result.matches),
            initial=ranking.explained(result.initial),
            subset_size=result.subset_size,
            searched_count=self.bundle.count_allowed(ranking.allowed, exclude),
            rank_us=(ranked - started) // 1000,
            refine_us=(refined - ranked) // 1000,
            proof=initial.proof,
        )
        judge = judge_of(self.bundle, parameters)
        return found if judge is None else judge.judged(found)

    def similar_to(self, product_id: str, parameters: SearchParameters) -> SearchResult:
        """Search with a product's own descriptors; the product itself is left out.

        Where the results are grouped by ``PRODUCT_COLUMN``, so are all its images.

        Raises:
            QueryError: if a parameter is out of range, naming it.
            UnknownProductError: if the index has no such product.
        """
        return finish(self.searching_similar(product_id, parameters))

    def searching_similar(
        self, product_id: str, parameters: SearchParameters
    ) -> Search[SearchResult]:
        """What ``similar_to`` does, beside other searches; see ``exact_search.shared_scan``."""
        row = self.bundle.row_of(product_id)
        if row is None:
            raise UnknownProductError(product_id)
        check_group_by(parameters.group_by, self.bundle.columns)
        if parameters.group_by == PRODUCT_COLUMN:
            parameters = without_images_of(parameters, self.bundle.product(row))
        query = self.bundle.descriptors_of(row)
        return (yield from self.searching(query, parameters, exclude=row))

    def search_by_words(self, parameters: SearchParameters) -> SearchResult:
        """Find the products by words alone: by falling t, then by row; none with t = 0.

        Raises:
            QueryError: if a parameter is out of range, or the words say nothing.
        """
        check_parameters(parameters, self.bundle.profile)
        started = time.perf_counter_ns()
        allowed = self.bundle.allowed_rows(parameters.filter, parameters.exclude_ids)
        groups = groups_of(self.bundle, parameters.group_by)
        matches = sole_words(self.bundle, parameters).ranked(
            parameters.top_k, allowed, parameters.min_similarity, groups
        )
        if groups is not None:
            matches = with_group_sizes(matches, groups, allowed, None)
        ranked = time.perf_counter_ns()
        return SearchResult(
            matches=matches,
            initial=matches,
            subset_size=0,
            searched_count=self.bundle.count_allowed(allowed, None),
            rank_us=(ranked - started) // 1000,
            refine_us=0,
        )

    def check_descriptors(self, by_model: Mapping[str, NDArray[np.float32]]) -> QueryDescriptors:
        """Check a caller's descriptors and put them into the profile's order.

        Raises:
            QueryError: if one is missing, unknown, of another length, or not of unit norm.
        """
        models = self.bundle.manifest.models
        dimensions = {model: models[model].dimension for model in self.bundle.profile.models}
        return check_descriptors(by_model, dimensions)

    async def check_engine(self, timeout_s: float | None = None) -> None:
        """Verify the engine; see ``EngineCheck.verify``. This also warms it up."""
        await self._engine_check.verify(timeout_s)

    def warm_up(self) -> None:
        """Compile the search and read every level once, so that no query has to."""
        self.bundle.warm_up()
        self.rank(self.bundle.descriptors_of(0), SearchParameters(top_k=DEFAULT_TOP_K))

    def _ranking(
        self, query: QueryDescriptors, parameters: SearchParameters, exclude: int | None
    ) -> QueryRanking:
        groups = groups_of(self.bundle, parameters.group_by)
        return QueryRanking(self.bundle, self._search, query, parameters, exclude, groups)
