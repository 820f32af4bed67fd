"""``make bench-scale-out``: the exact search in files beside a store, and what the store proves.

    python -m benchmarks.stores --rows 20000 --store milvus://localhost:19530/bench

The descriptors and queries are those of ``benchmarks.search``, with the dimensions of the paper's
networks. The store compares every vector. Both forms answer each query in turn, in one process;
times are wall times of the whole ranking, calls to the store included. Every ranking of the store
is compared with that of the files. The collection is removed at the end.

Searches with words have factors 1 + t for one of a hundred images, with t drawn from (0, 1), most
of them small. Searches with groups rank the best of each four images.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from benchmarks.descriptor_generator import KINDS
from benchmarks.search_database import (
    ALPHA,
    MODELS,
    ROOT,
    TOP_K,
    Query,
    SearchDatabase,
    chunks,
    open_cascade,
    prepare_database,
    queries_of,
)
from retrieval_server.attributes.columns import ColumnRecord
from retrieval_server.attributes.values import ColumnKind
from retrieval_server.exact_search.cascade import CascadeSearch
from retrieval_server.exact_search.groups import Groups
from retrieval_server.exact_search.proof import Guarantee
from retrieval_server.exact_search.row_factors import RowFactors
from retrieval_server.exact_search.similarity import Ranking
from retrieval_server.stores.address import StoreAddress
from retrieval_server.stores.filter_expression import FilterExpressions
from retrieval_server.stores.layout import ROW, VECTOR, missing_field, value_field
from retrieval_server.stores.milvus import BOUNDED, LOAD_TIMEOUT_S, Milvus, in_pieces
from retrieval_server.stores.milvus_store import MilvusStore
from retrieval_server.stores.schema import vector_fields
from retrieval_server.stores.store_search import StoreSearch
from retrieval_server.stores.stored_groups import StoredGroups

QUERIES = 30  # of each kind, in each way
WARM_UP = 10  # queries before those that are measured
TOP_KS = (TOP_K, 100)
BATCH_ROWS = 500
SEARCH_S = 30.0

GROUP_ROWS = 4
COLUMN = "product"  # of the groups
WITH_FACTOR = 0.01  # share of the images
WAYS = ("plain", "words", "groups")
RECORD = ColumnRecord(COLUMN, ColumnKind.NUMBER, distinct=0, missing=0)

Rank = Callable[[Query, int], Ranking]


class Ways:
    """The ways to rank the images of a database in files and in a store.

    Args:
        files: ranks those in files.
        store: holds their vectors and groups.
        rows: number of images.
    """

    def __init__(self, files: CascadeSearch, store: MilvusStore, rows: int) -> None:
        self._files, self._store, self._rows = files, store, rows
        self._search = StoreSearch(store, rows, 0, SEARCH_S)
        numbers = (np.arange(rows) // GROUP_ROWS).astype(np.int32)
        self._groups = Groups(numbers, int(numbers[-1]) + 1)
        rng = np.random.default_rng(0)
        some = np.sort(rng.permutation(rows)[: int(WITH_FACTOR * rows)]).astype(np.int32)
        self._factors = RowFactors(some, 1 + rng.random(len(some)) ** 4)

    def of(self, way: str) -> tuple[Rank, Rank]:
        """How the files and the store rank in one way."""
        factors = self._factors if way == "words" else None

        def in_files(query: Query, top_k: int) -> Ranking:
            groups = self._groups if way == "groups" else None
            return self._files.rank_all(query, ALPHA, top_k, factors=factors, groups=groups)

        def in_store(query: Query, top_k: int) -> Ranking:
            groups = None
            if way == "groups":
                groups = StoredGroups(self._store, COLUMN, self._groups.count)
            return self._search.rank_all(query, ALPHA, top_k, factors=factors, groups=groups)

        return in_files, in_store


def load(database: SearchDatabase, milvus: Milvus, name: str) -> float:
    """Write the vectors into a new collection; returns how many seconds it took."""
    started = time.perf_counter()
    milvus.create_collection(name, vector_fields(sum(MODELS.values()), [RECORD.kind]))
    first = 0
    for chunk in chunks(database, "loaded"):
        entities = [
            {ROW: row, VECTOR: vector, value_field(0): row // GROUP_ROWS, missing_field(0): 0}
            for row, vector in enumerate(chunk, first)
        ]
        for some in in_pieces(entities, BATCH_ROWS):
            milvus.call("upsert", name, some)
        first += len(chunk)
    milvus.call("flush", name)
    milvus.load(name)
    return time.perf_counter() - started


def measure(files: Rank, store: Rank, queries: list[Query], top_k: int) -> dict[str, Any]:
    """Times of both, candidates and verdicts of the store, and where the rankings differ."""
    times: dict[str, list[float]] = {"files": [], "store": []}
    candidates, proved, different = [], 0, 0
    for query in queries:
        rankings = {}
        for name, rank in (("files", files), ("store", store)):
            started = time.perf_counter()
            rankings[name] = rank(query, top_k)
            times[name].append(1000 * (time.perf_counter() - started))
        proof = rankings["store"].proof
        assert proof is not None, "a store says what is proved"
        candidates.append(proof.candidates)
        proved += proof.guarantee is Guarantee.EXACT
        different += rankings["store"].rows.tolist() != rankings["files"].rows.tolist()
    return {
        "queries": len(queries),
        "proved": proved,
        "different": different,
        "candidates_median": float(np.median(candidates)),
        "candidates_largest": max(candidates),
        "files_ms": round(float(np.median(times["files"])), 1),
        "store_ms": round(float(np.median(times["store"])), 1),
    }


def table_of(summary: dict[str, Any]) -> Table:
    """One line for each kind of query, way to rank and length of the ranking."""
    table = Table(title=f"{summary['rows']:,} images in {summary['store']}, median wall ms")
    for heading in (
        "queries",
        "way",
        "top k",
        "files",
        "store",
        "candidates",
        "proved",
        "different",
    ):
        table.add_column(heading, justify="right")
    for result in summary["results"]:
        table.add_row(
            result["kind"],
            result["way"],
            str(result["top_k"]),
            f"{result['files_ms']:.1f}",
            f"{result['store_ms']:.1f}",
            f"{result['candidates_median']:.0f}, at most {result['candidates_largest']}",
            f"{result['proved']} of {result['queries']}",
            str(result["different"]),
        )
    return table


def main() -> None:
    """Measure, and print a table, and JSON as the last line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--store", type=StoreAddress.of, required=True)
    options = parser.parse_args()
    database = prepare_database(ROOT, options.rows)
    milvus = Milvus(options.store, LOAD_TIMEOUT_S, BOUNDED, creates=True)
    name = f"{options.store.collection}_{options.rows}"
    try:
        seconds = load(database, milvus, name)
        rectified = tuple(bool((matrix[:] >= 0).all()) for matrix in database.descriptors())
        expressions = FilterExpressions([RECORD])
        vectors = MilvusStore(milvus, name, list(MODELS.values()), rectified, expressions)
        queries = queries_of(database, QUERIES)
        with threadpool_limits(1, user_api="blas"):
            ways = Ways(open_cascade(database), vectors, options.rows)
            measure(*ways.of(WAYS[0]), queries[KINDS[0]][:WARM_UP], TOP_K)
            results = [
                {"kind": kind, "way": way, "top_k": top_k}
                | measure(*ways.of(way), queries[kind], top_k)
                for kind in KINDS
                for way in WAYS
                for top_k in TOP_KS
            ]
    finally:
        milvus.call("drop_collection", name)
        milvus.close()
    version = {"store": options.store.text, "rows": options.rows, "load_s": round(seconds, 1)}
    summary = {**version, "results": results}
    Console(width=120).print(table_of(summary))
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
