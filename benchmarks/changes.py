"""``make bench-changes``: what changes to a large catalogue cost, beside Milvus Lite.

    python -m benchmarks.changes --rows 500000

The database is that of ``benchmarks.search``, with listings as descriptions. Changes replace a
product or add one, in turn; their descriptors are further shots of products. The benchmark prints

* what searches cost with changes, in one process and thread, by CPU time: the states of the index
  take turns query by query;
* from a real ``beauty-server --writable``: when an upsert with descriptors is durable and when a
  search finds it, how many a second a stream takes, and how long searches take while
  ``beauty-export compact`` runs beside the server at the lowest priority;
* what Milvus Lite does with the same descriptors, and what Milvus and Qdrant promise.

The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from benchmarks.changing_server import measure_server
from benchmarks.changing_store import measure_store
from benchmarks.descriptor_generator import KINDS
from benchmarks.listings import listings
from benchmarks.search_database import MODELS, ROOT, Query, SearchDatabase, prepare_database
from benchmarks.search_index import CATEGORY, prepare_index, prepare_models, product_id
from client.changes import CatalogueProduct
from retrieval_server.changes.change import Upsert, encoded
from retrieval_server.changes.changed_version import ChangedVersion
from retrieval_server.changes.log_writer import LogWriter
from retrieval_server.engines.engine import Engine
from retrieval_server.filters.expression import Equals
from retrieval_server.index.changes_folder import changes_folder
from retrieval_server.index.product import Product
from retrieval_server.index.publish import make_current, open_index
from retrieval_server.retrieval.retriever import Retriever
from retrieval_server.retrieval.search_request import SearchParameters

SEED = 0
PENDING = (0, 256, 1_000, 5_000)
QUERIES = 40  # of each kind
SEARCHES: dict[str, Callable[[int], SearchParameters]] = {
    "photo alone": lambda _: SearchParameters(),
    "with words": lambda n: SearchParameters(words=("velvet lip balm", "brand new 50 ml")[n % 2]),
    "filtered": lambda n: SearchParameters(filter=Equals(CATEGORY, f"c{n % 8}")),
    "grouped": lambda _: SearchParameters(group_by=CATEGORY),
}
STORE_ROWS = 2_000  # Milvus Lite inserts some hundred a second
PROMISES = (
    (
        "Milvus",
        "Consistency Level",
        "writes go to a write-ahead log; a search with the default level, Bounded, may miss the "
        "last seconds of them, one with Strong waits until it has them",
    ),
    (
        "Qdrant",
        "Storage, Versioning; Points, Awaiting result",
        "a change in the write-ahead log is not lost; without wait=true the answer may come before "
        "a search finds it",
    ),
)


def main() -> None:
    """Measure, and print tables, and JSON as the last line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=500_000)
    database = prepare_database(ROOT, parser.parse_args().rows)
    prepare_index(ROOT, database)
    products = list(changed_products(database, max(PENDING)))
    with changing_index(database) as index, threadpool_limits(1, user_api="blas"):
        cost = search_cost(database, index, products)
    queries = list(queries_in_turn(database))
    with changing_index(database) as index:
        server = measure_server(index, prepare_models(ROOT), products, queries)
    store = measure_store(database, products[:STORE_ROWS])
    summary = {"rows": database.rows, "search": cost, "server": server, "milvus_lite": store}
    console = Console(width=120)
    for table in (table_of_searches(cost), table_of_server(server), table_of_stores(server, store)):
        console.print(table)
    sys.stdout.write(json.dumps(summary) + "\n")


@contextmanager
def changing_index(database: SearchDatabase) -> Iterator[Path]:
    """An index folder of its own with the version of a database, by hard links."""
    version = open_index(database.folder / "index").folder
    with tempfile.TemporaryDirectory(dir=database.folder) as folder:
        index = Path(folder)
        shutil.copytree(version, index / version.name, copy_function=os.link)
        make_current(index, version.name)
        yield index


def changed_products(database: SearchDatabase, count: int) -> Iterator[CatalogueProduct]:
    """Products that replace one of the database or are new, in turn."""
    rng, texts = random.Random(SEED), list(listings(min(database.rows, 50_000)))
    rng.shuffle(texts)
    matrices = database.generator.queries("shot", count + QUERIES)
    for number in range(count):
        replaced = product_id(rng.randrange(database.rows))
        yield CatalogueProduct(
            product_id=replaced if number % 2 else f"new{number:07d}",
            descriptors={
                model: matrix[QUERIES + number].tolist()
                for model, matrix in zip(MODELS, matrices, strict=True)
            },
            description=texts[number % len(texts)],
            attributes={CATEGORY: f"c{number % 8}"},
        )


def queries_in_turn(database: SearchDatabase) -> Iterator[tuple[str, Query]]:
    """Queries of every kind, the kinds in turn."""
    matrices = {kind: database.generator.queries(kind, QUERIES) for kind in KINDS}
    for number in range(QUERIES):
        for kind in KINDS:
            yield kind, [matrix[number] for matrix in matrices[kind]]


def search_cost(
    database: SearchDatabase, index: Path, products: list[CatalogueProduct]
) -> dict[str, Any]:
    """Median CPU ms of searches by the number of changes, and CPU ms to apply a change."""
    base = open_index(index)
    plain = Retriever(base, cast("Engine", None))  # nothing is described here
    plain.warm_up()
    version = ChangedVersion.in_files(base, plain.index_search)
    log = LogWriter(changes_folder(base.folder), base.version)
    states, applied, spent = {0: plain}, 0, 0.0
    for pending in PENDING[1:]:
        log.append([encoded(_upsert(product)) for product in products[applied:pending]])
        started = time.thread_time()
        changed = version.catch_up()
        spent += time.thread_time() - started
        assert changed is not None, "there are changes"
        states[pending], applied = plain.over(changed), pending
    log.close()
    queries = list(queries_in_turn(database))
    times = {name: _searched(states, queries, each) for name, each in SEARCHES.items()}
    return {"apply_ms": round(1e3 * spent / applied, 3), "searches": times}


def _upsert(product: CatalogueProduct) -> Upsert:
    assert product.descriptors is not None, "changed products have descriptors"
    return Upsert(
        product=Product(
            product.product_id, product.description, product.image_path, product.attributes
        ),
        descriptors=tuple(np.asarray(each, np.float32) for each in product.descriptors.values()),
    )


def _searched(
    states: dict[int, Retriever],
    queries: list[tuple[str, Query]],
    parameters: Callable[[int], SearchParameters],
) -> dict[str, dict[int, float]]:
    """Median CPU ms by kind of query and number of changes; the states take turns."""
    times: dict[tuple[str, int], list[float]] = {}
    for number, (kind, query) in enumerate([*queries[: len(KINDS)], *queries]):
        for pending, retriever in states.items():
            started = time.thread_time()
            retriever.search(tuple(query), parameters(number))
            if number >= len(KINDS):  # before, what a first search makes
                spent = 1e3 * (time.thread_time() - started)
                times.setdefault((kind, pending), []).append(spent)
    return {
        kind: {pending: round(float(np.median(times[kind, pending])), 2) for pending in states}
        for kind in KINDS
    }


def table_of_searches(cost: dict[str, Any]) -> Table:
    """The CPU time of searches by the number of changes."""
    table = Table(
        title=f"Median CPU ms of a search by the number of changes, and the largest ratio. To "
        f"apply a change takes {cost['apply_ms']} ms."
    )
    for name in ("search", "query", *(f"{pending:,}" for pending in PENDING), "ratio"):
        table.add_column(name, justify="left" if name in {"search", "query"} else "right")
    for search, by_kind in cost["searches"].items():
        for kind, times in by_kind.items():
            ratio = max(times.values()) / times[0]
            table.add_row(search, kind, *(f"{each:.2f}" for each in times.values()), f"{ratio:.2f}")
    return table


def table_of_server(server: dict[str, Any]) -> Table:
    """What the server does."""
    table = Table(title="A server that takes changes")
    table.add_column("")
    table.add_column("median", justify="right")
    table.add_column("p99", justify="right")
    for name in ("durable", "found", "undisturbed", "compacting"):
        each = server[name]
        table.add_row(f"{each['what']}, ms", f"{each['median_ms']:,}", f"{each['p99_ms']:,}")
    table.add_row("upserts a second in one stream", f"{server['streamed_a_second']:,}", "")
    table.add_row("compaction, s", f"{server['compaction_s']:,}", "")
    return table


def table_of_stores(server: dict[str, Any], store: dict[str, Any]) -> Table:
    """What others do and promise."""
    table = Table(title="An upsert elsewhere", show_lines=True)
    for name in ("", "where", "what"):
        table.add_column(name)
    durable, found = server["durable"]["median_ms"], server["found"]["median_ms"]
    table.add_row("ours", "this run", f"durable after {durable} ms, found after {found} ms")
    table.add_row(
        f"Milvus Lite {store['version']}",
        f"this run, {store['rows']:,} products",
        f"answered after {store['answered_ms']} ms, found after {store['found_ms']} ms; "
        f"{store['kept']} of {store['answered']} answered upserts are there after kill -9",
    )
    for product, document, promise in PROMISES:
        table.add_row(product, f"its documentation: {document}", promise)
    return table


if __name__ == "__main__":
    main()
