"""The methods of the paper's Table 1, and the ratings of every query by every method."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from export.dataset.ground_truth import Query, items_of
from export.evaluation.metrics import RESULTS, average_precision, hit_at_1, ranks_of, recall
from export.evaluation.results import WORDS, RatedQuery, Rating
from export.progress import progress
from retrieval_server.exact_search.similarity import Ranking
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.retrieval.retriever import Retriever
from retrieval_server.retrieval.search_request import QueryDescriptors, SearchParameters

BASELINE = "baseline"
KEEPS = (6, 5, 4, 3, 2, 1)  # Table 1's order


class Method(NamedTuple):
    """A way to search with a query.

    Attributes:
        name: the first cell of its row.
        keep: the paper's k; None for no refinement.
        has_words: whether it searches with the words of the query.
    """

    name: str
    keep: int | None
    has_words: bool = False

    def parameters(self, words: str = "") -> SearchParameters:
        """How to search.

        Args:
            words: the words of the query.
        """
        plain = SearchParameters(top_k=RESULTS, words=words if self.has_words else "")
        if self.keep is None:
            return replace(plain, refine=False)
        return replace(plain, keep=self.keep)


METHODS = (Method(BASELINE, None), *(Method(f"k = {keep}", keep) for keep in KEEPS))
CATEGORY_COLUMN = "category"


def methods_for(queries: Sequence[Query], keep: int) -> tuple[Method, ...]:
    """The paper's methods; those with words as well if a query has words.

    Args:
        queries: the queries.
        keep: the k of the refinement with words.
    """
    if not any(query.words.strip() for query in queries):
        return METHODS
    return *METHODS, Method(WORDS, None, True), Method(f"{WORDS}, k = {keep}", keep, True)


def rate_queries(
    retriever: Retriever,
    queries: Sequence[Query],
    described: Sequence[QueryDescriptors],
    methods: Sequence[Method] = METHODS,
) -> list[RatedQuery]:
    """Search with every query by all methods, and rate the results.

    The initial ranking of a query is computed once for the methods without words, and once for
    those with words.

    Args:
        retriever: the retriever of the index.
        queries: the queries with their true matches.
        described: the descriptors of each query.
        methods: the methods.
    """
    rated = []
    items = items_of(queries)
    with progress("searches", len(queries)) as advance:
        for query, item, descriptors in zip(queries, items, described, strict=True):
            rated.append(
                RatedQuery(
                    name=query.image.name,
                    item=item,
                    category=_category(query, retriever.bundle),
                    relevant=len(query.relevant),
                    ratings=_ratings(retriever, query, descriptors, methods),
                )
            )
            advance(1)
    return rated


def _ratings(
    retriever: Retriever,
    query: Query,
    descriptors: QueryDescriptors,
    methods: Sequence[Method],
) -> tuple[Rating, ...]:
    ratings = []
    rankings: dict[bool, Ranking] = {}
    for method in methods:
        parameters = method.parameters(query.words)
        if method.has_words not in rankings:
            rankings[method.has_words] = retriever.rank(descriptors, parameters)
        initial = rankings[method.has_words]
        found = retriever.search(descriptors, parameters, initial=initial)
        results = [retriever.bundle.product_id(match.row) for match in found.matches]
        ratings.append(
            Rating(
                average_precision(results, query.relevant),
                recall(results, query.relevant),
                hit_at_1(results, query.relevant),
                ranks_of(results, query.relevant),
            )
        )
    return tuple(ratings)


def _category(query: Query, bundle: IndexBundle) -> str | None:
    """The most frequent category of the relevant images; in a tie the first by name."""
    counts: Counter[str] = Counter()
    for product_id in sorted(query.relevant):
        row = bundle.row_of(product_id)
        if row is not None and (name := bundle.product(row).attributes.get(CATEGORY_COLUMN)):
            counts[name] += 1
    return min(counts, key=lambda name: (-counts[name], name), default=None)
