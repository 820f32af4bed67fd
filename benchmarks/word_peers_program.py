"""Searches with one hybrid search; runs in the environment of ``word_peers.txt``.

    python word_peers_program.py qdrant-edge FOLDER

Each product has a dense and a sparse vector, and so has each query; ``word_peers`` writes them into
the folder. The search fuses its best products by either vector with the methods that it has. One
line of JSON goes to standard output: the version, the seconds to insert and index the products, the
bytes on disk, and for each method of fusion the products that it finds, best first, and the CPU
seconds of each query.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

CANDIDATES = 200  # that each vector contributes, and that the search returns
ROWS_AT_ONCE = 500
DENSE, SPARSE = "photo", "words"
RANK_CONSTANT = 60  # of reciprocal rank fusion, as in the paper of Cormack et al. (2009)

Rank = Callable[["Vectors", int], list[int]]


class Vectors:
    """Dense and sparse vectors of products or queries.

    Args:
        folder: the folder.
        kind: ``products`` or ``queries``.
    """

    def __init__(self, folder: Path, kind: str) -> None:
        self._dense = np.load(folder / f"{kind}.dense.npy", mmap_mode="r")
        self._starts = np.load(folder / f"{kind}.starts.npy")
        self._dimensions = np.load(folder / f"{kind}.dimensions.npy")
        self._weights = np.load(folder / f"{kind}.weights.npy")

    def __len__(self) -> int:
        return len(self._dense)

    @property
    def dimensions(self) -> int:
        """Length of the dense vectors."""
        return int(self._dense.shape[1])

    def dense(self, row: int) -> list[float]:
        """The dense vector of a row."""
        values: list[float] = self._dense[row].tolist()
        return values

    def sparse(self, row: int) -> tuple[list[int], list[float]]:
        """The dimensions of a sparse vector that are not zero, and their weights."""
        part = slice(self._starts[row], self._starts[row + 1])
        return self._dimensions[part].tolist(), self._weights[part].tolist()

    def pieces(self) -> Iterator[range]:
        """The rows, some at a time."""
        for first in range(0, len(self), ROWS_AT_ONCE):
            yield range(first, min(first + ROWS_AT_ONCE, len(self)))


class Hybrid(NamedTuple):
    """A search that holds the products.

    Attributes:
        version: of its package.
        methods: ranks a query by a method of fusion.
    """

    version: str
    methods: dict[str, Rank]


def qdrant_edge(products: Vectors, folder: Path) -> Hybrid:
    """Qdrant's core in this process: brute force over the dense vectors, an inverted index."""
    import qdrant_edge as qdrant

    config = qdrant.EdgeConfig(
        vectors={DENSE: qdrant.EdgeVectorParams(products.dimensions, qdrant.Distance.Dot)},
        sparse_vectors={SPARSE: qdrant.EdgeSparseVectorParams()},
        max_search_threads=1,
        wal_enabled=False,
    )
    folder.mkdir()
    shard = qdrant.EdgeShard.create(str(folder), config)
    for piece in products.pieces():
        points = [
            qdrant.Point(
                row,
                {DENSE: products.dense(row), SPARSE: qdrant.SparseVector(*products.sparse(row))},
            )
            for row in piece
        ]
        shard.update(qdrant.UpdateOperation.upsert_points(points))
    shard.optimize()
    shard.flush()

    def rank(queries: Vectors, query: int, fusion: Any) -> list[int]:
        sparse = qdrant.SparseVector(*queries.sparse(query))
        exact = qdrant.SearchParams(exact=True)
        found = shard.query(
            qdrant.QueryRequest(
                limit=CANDIDATES,
                query=fusion,
                prefetches=[
                    qdrant.Prefetch(
                        CANDIDATES, qdrant.Query.Nearest(vector, using=name), params=exact
                    )
                    for name, vector in ((DENSE, queries.dense(query)), (SPARSE, sparse))
                ],
            )
        )
        return [point.id for point in found]

    methods = {
        "reciprocal ranks": qdrant.Fusion.Rrf(RANK_CONSTANT),
        "distribution of scores": qdrant.Fusion.Dbsf(),
    }
    return Hybrid(
        version("qdrant-edge-py"),
        {name: lambda q, n, fusion=fusion: rank(q, n, fusion) for name, fusion in methods.items()},
    )


def milvus_lite(products: Vectors, folder: Path) -> Hybrid:
    """Milvus Lite, by its client: brute force over the dense vectors, an inverted index."""
    from pymilvus import AnnSearchRequest, DataType, MilvusClient, RRFRanker, WeightedRanker

    client = MilvusClient(str(folder.with_suffix(".db")))
    schema = client.create_schema()
    schema.add_field("row", DataType.INT64, is_primary=True)
    schema.add_field(DENSE, DataType.FLOAT_VECTOR, dim=products.dimensions)
    schema.add_field(SPARSE, DataType.SPARSE_FLOAT_VECTOR)
    index = client.prepare_index_params()
    index.add_index(DENSE, index_type="FLAT", metric_type="IP")
    index.add_index(SPARSE, index_type="SPARSE_INVERTED_INDEX", metric_type="IP")
    client.create_collection("products", schema=schema, index_params=index)
    for piece in products.pieces():
        client.insert(
            "products",
            [
                {
                    "row": row,
                    DENSE: products.dense(row),
                    SPARSE: dict(zip(*products.sparse(row), strict=True)),
                }
                for row in piece
            ],
        )
    client.flush("products")
    client.load_collection("products")

    def rank(queries: Vectors, query: int, ranker: Any) -> list[int]:
        sparse = dict(zip(*queries.sparse(query), strict=True))
        requests = [
            AnnSearchRequest([vector], name, {"metric_type": "IP"}, CANDIDATES)
            for name, vector in ((DENSE, queries.dense(query)), (SPARSE, sparse))
        ]
        (found,) = client.hybrid_search("products", requests, ranker, CANDIDATES)
        return [hit["row"] for hit in found]

    methods = {
        "reciprocal ranks": RRFRanker(RANK_CONSTANT),
        "weighted scores": WeightedRanker(0.5, 0.5),
    }
    return Hybrid(
        version("milvus-lite"),
        {name: lambda q, n, ranker=ranker: rank(q, n, ranker) for name, ranker in methods.items()},
    )


PEERS = {"qdrant-edge": qdrant_edge, "milvus-lite": milvus_lite}


def main() -> None:
    """Insert the products, then search for each query; the first one twice."""
    name, folder = sys.argv[1], Path(sys.argv[2])
    products, queries = Vectors(folder, "products"), Vectors(folder, "queries")
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        started = time.process_time()
        hybrid = PEERS[name](products, Path(scratch) / "products")
        build_s = time.process_time() - started
        answer = {
            "version": hybrid.version,
            "build_s": build_s,
            "bytes": sum(file.stat().st_blocks * 512 for file in Path(scratch).rglob("*")),
            "fusions": {name: searched(rank, queries) for name, rank in hybrid.methods.items()},
        }
    print(json.dumps(answer))


def searched(rank: Rank, queries: Vectors) -> dict[str, Any]:
    """What a method finds for each query, and the CPU seconds that it takes."""
    rank(queries, 0)  # builds what is built lazily
    rows, seconds = [], []
    for query in range(len(queries)):
        started = time.process_time()
        rows.append(rank(queries, query))
        seconds.append(time.process_time() - started)
    return {"rows": rows, "seconds": seconds}


if __name__ == "__main__":
    main()
