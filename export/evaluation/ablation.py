"""The methods of the paper's Table 1, and the ratings of every query by every method."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from export.evaluation.metrics import RESULTS, average_precision, hit_at_1, ranks_of, recall
from export.evaluation.query_descriptors import Lines
from export.evaluation.results import BOTH, READ, TYPED, WORD_METHODS, RatedQuery, Rating
from export.ground_truth.queries import GroundTruth, Query, items_of
from export.progress import progress
from retrieval_server.exact_search.shared_scan import Search, results_together
from retrieval_server.exact_search.similarity import Ranking
from retrieval_server.filters.expression import Filter
from retrieval_server.index.searched_index import SearchedIndex
from retrieval_server.retrieval.retriever import Retriever
from retrieval_server.retrieval.search_request import QueryDescriptors, SearchParameters
from retrieval_server.text.word_search import words_beside

BASELINE = "baseline"
KEEPS = (6, 5, 4, 3, 2, 1)  # Table 1's order
PLAIN = SearchParameters()


class Method(NamedTuple):
    """A way to search with a query.

    Attributes:
        name: the first cell of its row.
        keep: the paper's k; None for no refinement.
        words: which words of the query it searches with: ``TYPED``, ``READ``, ``BOTH``, or none.
    """

    name: str
    keep: int | None
    words: str = ""

    def parameters(
        self, typed: str = "", read: Sequence[str] = (), search: SearchParameters = PLAIN
    ) -> SearchParameters:
        """How to search.

        Args:
            typed: the words that the ground truth has for the query.
            read: the lines that were read on its photo.
            search: what all methods have in common.
        """
        words = words_beside(
            typed if self.words in {TYPED, BOTH} else "",
            read if self.words in {READ, BOTH} else (),
        )
        plain = replace(search, top_k=RESULTS, words=words)
        if self.keep is None:
            return replace(plain, refine=False)
        return replace(plain, keep=self.keep)


METHODS = (Method(BASELINE, None), *(Method(f"k = {keep}", keep) for keep in KEEPS))
CATEGORY_COLUMN = "category"


def methods_for(
    queries: Sequence[Query], keep: int, read: Sequence[Lines] | None = None
) -> tuple[Method, ...]:
    """The paper's methods, and those with the words that there are.

    Args:
        queries: the queries.
        keep: the k of the refinement with words.
        read: the lines that were read on each photo; None if none was read.
    """
    is_typed = any(query.words.strip() for query in queries)
    found = (is_typed, read is not None, is_typed and read is not None)
    kinds = [kind for kind, is_found in zip(WORD_METHODS, found, strict=True) if is_found]
    return METHODS + tuple(
        method
        for kind in kinds
        for method in (Method(kind, None, kind), Method(f"{kind}, k = {keep}", keep, kind))
    )


def rate_queries(
    retriever: Retriever,
    truth: GroundTruth,
    described: Sequence[QueryDescriptors],
    methods: Sequence[Method] = METHODS,
    read: Sequence[Lines] | None = None,
    searched: Filter | None = None,
    group_by: str | None = None,
) -> list[RatedQuery]:
    """Search with every query by all methods, and rate the results.

    The initial ranking of a query is computed once for the methods with the same words.

    Args:
        retriever: the retriever of the index.
        truth: the queries with their true matches, images or products.
        described: the descriptors of each query.
        methods: the methods.
        read: the lines that were read on the photo of each query; None if none was read.
        searched: the products that may be found, the true matches among them; None for all.
        group_by: column of whose values the best image each is found; None takes the column of the
            true matches, if they are products.
    """
    search = SearchParameters(filter=searched, group_by=group_by or truth.group_by)
    queries = truth.queries
    lines = [()] * len(queries) if read is None else read
    searches = (
        _ratings(retriever, query, truth, descriptors, methods, own, search)
        for query, descriptors, own in zip(queries, described, lines, strict=True)
    )
    with progress("searches", len(queries)) as advance:
        rated = results_together(searches, advance)
    return [
        RatedQuery(
            name=query.image.name,
            item=item,
            category=_category(query, truth, retriever.bundle),
            relevant=len(query.relevant),
            ratings=ratings,
        )
        for query, item, ratings in zip(queries, items_of(queries), rated, strict=True)
    ]


def _ratings(
    retriever: Retriever,
    query: Query,
    truth: GroundTruth,
    descriptors: QueryDescriptors,
    methods: Sequence[Method],
    read: Lines,
    search: SearchParameters,
) -> Search[tuple[Rating, ...]]:
    """Search with a query by all methods, beside other queries, and rate the results."""
    ratings = []
    rankings: dict[str, Ranking] = {}
    for method in methods:
        parameters = method.parameters(query.words, read, search)
        if method.words not in rankings:
            rankings[method.words] = yield from retriever.ranking(descriptors, parameters)
        initial = rankings[method.words]
        found = retriever.search(descriptors, parameters, initial=initial)
        images = (retriever.bundle.product_id(match.row) for match in found.matches)
        results = _first_of_each([truth.name_of.get(image) for image in images])
        ratings.append(
            Rating(
                average_precision(results, query.relevant),
                recall(results, query.relevant),
                hit_at_1(results, query.relevant),
                ranks_of(results, query.relevant),
            )
        )
    return tuple(ratings)


def _first_of_each(names: Sequence[str | None]) -> list[str | None]:
    """Names of results, where one that was there before counts for nothing."""
    return [None if name in names[:place] else name for place, name in enumerate(names)]


def _category(query: Query, truth: GroundTruth, bundle: SearchedIndex) -> str | None:
    """The most frequent category of the relevant images; in a tie the first by name."""
    counts: Counter[str] = Counter()
    for image in frozenset().union(*map(truth.images.__getitem__, query.relevant)):
        row = bundle.row_of(image)
        if row is not None and (name := bundle.product(row).attributes.get(CATEGORY_COLUMN)):
            counts[name] += 1
    return min(counts, key=lambda name: (-counts[name], name), default=None)
