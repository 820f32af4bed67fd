"""``make bench-filters``: searches that group the images of a product beside those that do not.

    python -m benchmarks.groups --rows 500000

The descriptors and queries are those of ``benchmarks.search``, in one database for each number of
images of a product. A grouped search finds the best image of seven products, an ungrouped one seven
images; both take turns, in one process, on one thread. Times are CPU time, since the machine may be
shared. Each grouped ranking is compared with brute force. The databases are removed at the end
unless ``--keep`` is given: one of 500,000 images takes 11 GB.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from benchmarks.descriptor_generator import KINDS
from benchmarks.search_database import (
    ALPHA,
    ROOT,
    TOP_K,
    Queries,
    Query,
    SearchDatabase,
    fused_in_float32,
    open_cascade,
    prepare_database,
    queries_of,
)
from benchmarks.search_reference import FLOAT32_ERROR
from retrieval_server.exact_search.cascade import CascadeSearch
from retrieval_server.exact_search.groups import Groups
from retrieval_server.exact_search.scan import ScanSearch

IMAGES = (1, 5, 50)  # of a product
QUERIES = 24  # of each kind
WARM_UP = 8


def measure(database: SearchDatabase) -> dict[str, Any]:
    """Median times with and without groups by kind of query, and a comparison with brute force."""
    products = database.generator.products()
    groups = Groups(products.astype(np.int32), int(products.max()) + 1)
    search, queries = open_cascade(database), queries_of(database, QUERIES)
    times = {kind: times_of(search, queries[kind], groups) for kind in KINDS}
    every = [
        [ms for kind in KINDS for ms in times[kind][is_grouped]] for is_grouped in (False, True)
    ]
    result: dict[str, Any] = {kind: medians(*times[kind]) for kind in KINDS}
    result["all"] = medians(*every)
    return result | {"different": differences(database, search, queries, groups)}


def times_of(
    search: CascadeSearch, queries: list[Query], groups: Groups
) -> tuple[list[float], list[float]]:
    """Milliseconds of each query, without groups and with them."""
    times: tuple[list[float], list[float]] = ([], [])
    for number, query in enumerate(queries):
        for is_measured in (False, True) if number < WARM_UP else (True,):
            for is_grouped in (True, False):
                started = time.process_time()
                search.rank_all(query, ALPHA, TOP_K, groups=groups if is_grouped else None)
                if is_measured:
                    times[is_grouped].append(1000 * (time.process_time() - started))
    return times


def medians(ungrouped: list[float], grouped: list[float]) -> dict[str, float]:
    """Medians, and how many times as long a grouped search takes."""
    grouped_ms, ungrouped_ms = float(np.median(grouped)), float(np.median(ungrouped))
    return {
        "grouped_ms": round(grouped_ms, 3),
        "ungrouped_ms": round(ungrouped_ms, 3),
        "ratio": round(grouped_ms / ungrouped_ms, 2),
    }


def differences(
    database: SearchDatabase, search: CascadeSearch, queries: Queries, groups: Groups
) -> int:
    """Count the rankings that differ from brute force.

    Brute force is float32 for all images, and float64 for those near the best of seven products.
    """
    flat = [query for kind in KINDS for query in queries[kind]]
    scan, different = ScanSearch(database.descriptors()), 0
    for query, similarities in zip(flat, fused_in_float32(database, flat), strict=True):
        best = np.full(groups.count, -np.inf, np.float32)
        np.maximum.at(best, groups.numbers, similarities)
        least = np.partition(best, -TOP_K)[-TOP_K] - FLOAT32_ERROR
        near = np.flatnonzero(similarities >= least)
        expected = scan.rank_rows(query, ALPHA, near, TOP_K, groups=groups)
        found = search.rank_all(query, ALPHA, TOP_K, groups=groups)
        different += found.rows.tolist() != expected.rows.tolist() or (
            found.similarities.tolist() != expected.similarities.tolist()
        )
    return different


def table_of(summary: dict[str, Any]) -> Table:
    """One line for each number of images, with a column for each kind of query."""
    searches = QUERIES * len(KINDS)
    table = Table(
        title=f"{summary['rows']:,} images, one thread, median ms of a grouped search, and how "
        "many times as long as the ungrouped one"
    )
    columns = (*KINDS, "all")
    for heading in ("images of a product", *columns, f"of {searches} differ from brute force"):
        table.add_column(heading, justify="right")
    for images, measured in summary["images"].items():
        table.add_row(
            str(images),
            *(f"{measured[k]['grouped_ms']:.2f} ({measured[k]['ratio']:.2f}x)" for k in columns),
            str(measured["different"]),
        )
    return table


def main() -> None:
    """Measure, and print a table, and JSON as the last line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--keep", action="store_true", help="keep the databases for a next run")
    arguments = parser.parse_args()
    summary: dict[str, Any] = {"rows": arguments.rows, "images": {}}
    with threadpool_limits(1, user_api="blas"):
        for images in IMAGES:
            database = prepare_database(ROOT, arguments.rows, images)
            summary["images"][images] = measure(database)
            if not arguments.keep:
                shutil.rmtree(database.folder)
    Console(width=150).print(table_of(summary))
    sys.stdout.write(json.dumps(summary) + "\n")


if __name__ == "__main__":
    main()
