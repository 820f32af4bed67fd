"""The methods of the paper's Table 1, and the ratings of every query by every method."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from export.dataset.ground_truth import Query, items_of
from export.evaluation.metrics import RESULTS, average_precision, hit_at_1, ranks_of, recall
from export.evaluation.results import RatedQuery, Rating
from export.progress import progress
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.retrieval.retriever import Retriever
from retrieval_server.retrieval.search_request import QueryDescriptors, SearchParameters

BASELINE = "baseline"
KEEPS = (6, 5, 4, 3, 2, 1)  # Table 1's order
METHODS: tuple[tuple[str, int | None], ...] = (
    (BASELINE, None),
    *((f"k = {keep}", keep) for keep in KEEPS),
)
METHOD_PARAMETERS = (  # of the search by each of METHODS
    SearchParameters(top_k=RESULTS, refine=False),
    *(SearchParameters(top_k=RESULTS, keep=keep) for keep in KEEPS),
)
CATEGORY_COLUMN = "category"


def rate_queries(
    retriever: Retriever, queries: Sequence[Query], described: Sequence[QueryDescriptors]
) -> list[RatedQuery]:
    """Search with every query by all ``METHODS``, and rate the results.

    The initial ranking of a query is computed once for all methods.

    Args:
        retriever: the retriever of the index.
        queries: the queries with their true matches.
        described: the descriptors of each query.
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
                    ratings=_ratings(retriever, query, descriptors),
                )
            )
            advance(1)
    return rated


def _ratings(
    retriever: Retriever, query: Query, descriptors: QueryDescriptors
) -> tuple[Rating, ...]:
    ratings = []
    initial = retriever.rank(descriptors, METHOD_PARAMETERS[0])
    for parameters in METHOD_PARAMETERS:
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
