"""Measure the time of an evaluation of a large catalogue, without the description of its photos.

    python -m benchmarks.evaluation --rows 500000 --queries 100

The database is that of ``search``. Its descriptions are not those of its descriptors' products, so
only the time has a meaning, and the quality has none.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.descriptor_generator import DescriptorGenerator
from benchmarks.search_database import ROOT, prepare_database
from benchmarks.search_index import prepare_index, product_id
from export.evaluation.ablation import METHODS, rate_queries
from export.evaluation.results import RatedQuery
from export.evaluation.statistics import categories_of, rows_of
from export.ground_truth.queries import GroundTruth, Query
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.retrieval.retriever import Retriever
from retrieval_server.retrieval.search_request import QueryDescriptors

KIND = "photo"
SLOW_QUERIES = 20  # searched again by each method separately, as a comparison


def made_up_queries(
    generator: DescriptorGenerator, count: int
) -> tuple[list[Query], list[QueryDescriptors]]:
    """Queries of products in the database, with the images of the same product as true matches.

    Returns:
        The queries, and the descriptors of each.
    """
    matrices = generator.queries(KIND, count)
    queries = [
        Query(Path(f"v{query:06d}.jpg"), frozenset(map(product_id, generator.same_product(row))))
        for query, row in enumerate(generator.rows_of_queries(KIND, count).tolist())
    ]
    return queries, [tuple(matrix[query] for matrix in matrices) for query in range(count)]


def main() -> None:
    """Prepare an index, evaluate it and print the times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--queries", type=int, default=100)
    options = parser.parse_args()
    database = prepare_database(ROOT, options.rows)
    bundle = prepare_index(ROOT, database)
    queries, described = made_up_queries(database.generator, options.queries)
    named = frozenset().union(*(query.relevant for query in queries))
    truth = GroundTruth(tuple(queries), {i: frozenset((i,)) for i in named}, by_product=False)
    retriever, opened = timed(lambda: _ready(bundle))
    rated, searched = timed(lambda: rate_queries(retriever, truth, described))
    rows, measured = timed(lambda: _statistics(rated))
    slow = described[:SLOW_QUERIES]
    _, apart = timed(
        lambda: [retriever.search(d, method.parameters()) for d in slow for method in METHODS]
    )
    print(f"{options.queries:,} described photos, {len(bundle):,} products, {len(rows)} methods")
    print(f"open and warm up               {opened:>8.1f} s")
    print(f"search and rate                {searched:>8.1f} s")
    print(f"intervals, tests, categories   {measured:>8.1f} s")
    print(f"a query, all methods at once   {1000 * searched / len(queries):>8.1f} ms")
    print(f"a query, each method by itself {1000 * apart / len(slow):>8.1f} ms")


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """Call a function; returns its result and its wall time in seconds."""
    started = time.perf_counter()
    result = work()
    return result, time.perf_counter() - started


def _ready(bundle: IndexBundle) -> Retriever:
    retriever = Retriever(bundle, None)  # type: ignore[arg-type] # the photos are described
    retriever.warm_up()
    return retriever


def _statistics(rated: list[RatedQuery]) -> list[Any]:
    categories_of([method.name for method in METHODS], METHODS[4].name, rated)
    return rows_of([(method.name, method.keep) for method in METHODS], rated)


if __name__ == "__main__":
    main()
