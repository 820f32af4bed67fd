"""The peers of the filtered search, which rank only the rows that a filter lets through.

All but numpy rank by one inner product of concatenated descriptors, see ``search_peers``, and their
candidates are rescored exactly. Their own times do not include the evaluation of the filter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import faiss
import numpy as np
from numpy.typing import NDArray

from benchmarks.hnsw_graph import open_graph
from benchmarks.search_database import ALPHA, TOP_K, Query, SearchDatabase, chunks, concatenated
from benchmarks.search_peers import rescored
from retrieval_server.storage.arrays import release_pages

_CANDIDATES = 256
_PROBES = 96  # of 1,024 lists: recall 0.99 without a filter
_TRAINING_ROWS = 65_536
_EF = 256  # recall 1.00 without a filter
_GATHERED = 0.2  # share of the rows up to which numpy copies them out

Mask = NDArray[np.bool_]


class FilteredPeer(Protocol):
    """A method that ranks a part of the database.

    Attributes:
        queries: number of queries of each kind to measure; few for a slow method.
    """

    queries: int

    def allow(self, allowed: Mask) -> None:
        """Take the rows that may be found; not timed."""

    def rank(self, query: Query) -> NDArray[np.int64]:
        """The best seven of the rows that may be found."""


class Numpy:
    """Brute force in float32: of all rows, or of copies of those that pass where they are few."""

    queries = 2

    def __init__(self, database: SearchDatabase) -> None:
        self._matrices = database.descriptors()

    def allow(self, allowed: Mask) -> None:
        """Take the rows that may be found."""
        self._allowed = allowed
        for matrix in self._matrices:
            release_pages(matrix)

    def rank(self, query: Query) -> NDArray[np.int64]:
        """The best seven of the rows that may be found."""
        rows = np.flatnonzero(self._allowed)
        is_few = len(rows) <= _GATHERED * len(self._allowed)
        fused = np.float32(1)
        for matrix, vector, alpha in zip(self._matrices, query, ALPHA, strict=True):
            products = matrix[rows] @ vector if is_few else (matrix @ vector)[rows]
            fused = fused * (1 + np.float32(alpha) * products)
        order = np.argsort(-fused, kind="stable")[:TOP_K]
        return rows[order]


class FaissIvf:
    """faiss' IVF index of 8-bit codes, with a bitmap of the rows that may be found."""

    queries = 6

    def __init__(self, database: SearchDatabase) -> None:
        self._database = database.descriptors()
        faiss.omp_set_num_threads(2)
        width = sum(matrix.shape[1] for matrix in self._database)
        self._index = faiss.index_factory(width, "IVF1024,SQ8", faiss.METRIC_INNER_PRODUCT)
        rows = np.sort(np.random.default_rng(0).permutation(database.rows)[:_TRAINING_ROWS])
        self._index.train(np.concatenate([matrix[rows] for matrix in self._database], 1))
        for chunk in chunks(database, "faiss IVF1024,SQ8"):
            self._index.add(chunk)
        faiss.omp_set_num_threads(1)

    def allow(self, allowed: Mask) -> None:
        """Take the rows that may be found."""
        self._bitmap = np.packbits(allowed, bitorder="little")
        self._selector = faiss.IDSelectorBitmap(self._bitmap)

    def rank(self, query: Query) -> NDArray[np.int64]:
        """The best seven of the rows that may be found."""
        parameters = faiss.SearchParametersIVF(sel=self._selector, nprobe=_PROBES)
        _, rows = self._index.search(concatenated(query)[None], _CANDIDATES, params=parameters)
        return rescored(self._database, query, rows[0])


class Hnsw:
    """hnswlib's graph, see ``hnsw_graph``, with a function that asks for each row."""

    queries = 6

    def __init__(self, database: SearchDatabase) -> None:
        self._database = database.descriptors()
        self._index, _ = open_graph(database)

    def allow(self, allowed: Mask) -> None:
        """Take the rows that may be found."""
        self._count, is_allowed = int(allowed.sum()), allowed.tolist()
        self._allows = is_allowed.__getitem__

    def rank(self, query: Query) -> NDArray[np.int64]:
        """The best seven of the rows that may be found; none where the graph finds too few."""
        self._index.set_ef(_EF)
        count = min(_CANDIDATES, self._count)
        vector = concatenated(query)[None]
        while count:
            try:
                rows, _ = self._index.knn_query(vector, k=count, filter=self._allows)
            except RuntimeError:  # it raises where it finds fewer than k
                count //= 2
            else:
                return rescored(self._database, query, rows[0])
        return np.empty(0, np.int64)


PEERS: Mapping[str, Callable[[SearchDatabase], FilteredPeer]] = {
    "numpy": Numpy,
    "faiss IVF": FaissIvf,
    "hnswlib": Hnsw,
}
