"""How long the evaluation of a large catalogue takes, its photos already described.

    python -m benchmarks.evaluation --rows 500000 --queries 100

The database is that of ``search``, the descriptions have nothing to do with it: the quality means
nothing, only the time does.
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
from export.dataset.ground_truth import Query
from export.evaluation.ablation import METHOD_PARAMETERS, METHODS, rate_queries
from export.evaluation.results import RatedQuery
from export.evaluation.statistics import categories_of, rows_of
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.retrieval.retriever import Retriever
from retrieval_server.retrieval.search_request import QueryDescriptors

KIND = "photo"
SLOW_QUERIES = 20  # searched once more for each k, as a comparison


def made_up_queries(
    generator: DescriptorGenerator, count: int
) -> tuple[list[Query], list[QueryDescriptors]]:
    """Photos of products that are there, with the images of the same product."""
    found = generator.queries(KIND, count)
    queries = [
        Query(Path(f"v{number:06d}.jpg"), frozenset(map(product_id, generator.same_product(row))))
        for number, row in enumerate(generator.rows_of_queries(KIND, count).tolist())
    ]
    return queries, [tuple(part[i] for part in found) for i in range(count)]


def main() -> None:
    """Prepare an index, evaluate, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--queries", type=int, default=100)
    options = parser.parse_args()
    database = prepare_database(ROOT, options.rows)
    bundle = prepare_index(ROOT, database)
    queries, described = made_up_queries(database.generator(), options.queries)
    retriever, opened = timed(lambda: _ready(bundle))
    rated, searched = timed(lambda: rate_queries(retriever, queries, described))
    rows, measured = timed(lambda: _statistics(rated))
    slow = described[:SLOW_QUERIES]
    _, apart = timed(
        lambda: [retriever.search(d, parameters) for d in slow for parameters in METHOD_PARAMETERS]
    )
    print(f"{options.queries:,} described photos, {len(bundle):,} products, {len(rows)} methods")
    print(f"open and warm up               {opened:>8.1f} s")
    print(f"search and rate                {searched:>8.1f} s")
    print(f"intervals, tests, categories   {measured:>8.1f} s")
    print(f"a query, all methods at once   {1000 * searched / len(queries):>8.1f} ms")
    print(f"a query, each method by itself {1000 * apart / len(slow):>8.1f} ms")


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What some work gives, and the seconds it takes."""
    started = time.perf_counter()
    result = work()
    return result, time.perf_counter() - started


def _ready(bundle: IndexBundle) -> Retriever:
    retriever = Retriever(bundle, None)  # type: ignore[arg-type] # the photos are described
    retriever.warm_up()
    return retriever


def _statistics(rated: list[RatedQuery]) -> list[Any]:
    categories_of([method for method, _ in METHODS], METHODS[4][0], rated)
    return rows_of(METHODS, rated)


if __name__ == "__main__":
    main()
