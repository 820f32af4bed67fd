"""The peers of the exact search, which also rank by eq. (8).

Exact peers read the whole database. Approximate peers propose candidates. A peer that computes only
inner products gets one concatenated vector per product, and the query [w_n q_n]. Their inner
product is L, see ``retrieval_server.exact_search.fused_bound``. The best k rows by L are then
rescored exactly; the time of a peer includes this. It is the strongest use of such a peer that we
know.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Protocol

import faiss
import hnswlib
import numpy as np
from numpy.typing import NDArray
from usearch.index import search as usearch_search

from benchmarks.search_database import ALPHA, TOP_K, SearchDatabase, chunks, concatenated
from retrieval_server.exact_search.cascade import CascadeSearch
from retrieval_server.exact_search.levels import byte
from retrieval_server.exact_search.levels.order import BYTE_LEVEL
from retrieval_server.exact_search.originals import exact_cosines
from retrieval_server.exact_search.scan import ScanSearch
from retrieval_server.exact_search.similarity import fused_similarity
from retrieval_server.storage.arrays import release_pages

_TRAINING_ROWS = 65_536

Query = Sequence[NDArray[np.float32]]


class Peer(Protocol):
    """A method that ranks the database.

    Attributes:
        name: name of the method, for the table.
        settings: settings from fast to accurate; one None if the method has no setting.
        build_s: seconds to build its index from the descriptors.
        bytes: size of its index, without the original descriptors.
    """

    name: str
    settings: tuple[int | None, ...]
    build_s: float
    bytes: int

    def rank(self, query: Query, setting: int | None) -> NDArray[np.int64]:
        """The best seven rows."""


def rescored(database: tuple[NDArray[Any], ...], query: Query, rows: Any) -> NDArray[np.int64]:
    """The best seven of some candidates, by the original descriptors."""
    candidates = np.unique(np.asarray(rows, np.int64))
    candidates = candidates[candidates >= 0]
    similarities = fused_similarity(exact_cosines(database, query, candidates), ALPHA)
    return candidates[np.lexsort((candidates, -similarities))[:TOP_K]]


class Ours:
    """The cascade of the server."""

    name, settings = "ours", (None,)

    def __init__(self, search: CascadeSearch, build_s: float) -> None:
        self._search, self.build_s = search, build_s
        self.bytes = sum(level.bytes for level in search.levels.sizes())

    def rank(self, query: Query, setting: int | None) -> NDArray[np.int64]:
        """The best seven rows."""
        return self._search.rank_all(query, ALPHA, TOP_K).rows


class NumpyFloat32:
    """Brute force: two float32 matrix-vector products by BLAS, their product, argpartition."""

    name, settings, build_s, bytes = "numpy float32", (None,), 0.0, 0

    def __init__(self, database: SearchDatabase) -> None:
        self._matrices = database.descriptors()

    def release(self) -> None:
        """Release the pages of the descriptors; a query reads all of them."""
        for matrix in self._matrices:
            release_pages(matrix)

    def rank(self, query: Query, setting: int | None) -> NDArray[np.int64]:
        """The best seven rows."""
        fused = np.float32(1)
        for matrix, vector, alpha in zip(self._matrices, query, ALPHA, strict=True):
            fused = fused * (1 + np.float32(alpha) * (matrix @ vector))
        best = np.argpartition(-fused, TOP_K)[:TOP_K]
        return best[np.lexsort((best, -fused[best]))]


class ByteScan:
    """A search by our byte level alone: bounds of all rows, then the originals of candidates."""

    name, settings, build_s = "8-bit scan", (None,), 0.0

    def __init__(self, search: CascadeSearch) -> None:
        self._levels, self._search = search.levels, search
        self.bytes = search.levels.arrays[BYTE_LEVEL.name].nbytes

    def rank(self, query: Query, setting: int | None) -> NDArray[np.int64]:
        """The best seven rows."""
        offsets = self._levels.fit.parameters.code_offsets
        queries = [byte.byte_query(q, o) for q, o in zip(query, offsets, strict=True)]
        level = self._levels.arrays[BYTE_LEVEL.name]
        cosines, radii = byte.estimates(level.codes, level.bounds, queries)
        upper_bounds = byte.similarity_upper_bounds(cosines, radii, ALPHA)
        best = np.argpartition(-upper_bounds, 2 * TOP_K)[: 2 * TOP_K]
        scan = ScanSearch(self._search.descriptors)
        last = scan.rank_rows(query, ALPHA, best, TOP_K).similarities[-1]
        return scan.rank_rows(query, ALPHA, np.flatnonzero(upper_bounds >= last), TOP_K).rows


class FaissIndex:
    """An index of faiss, with rescoring.

    Args:
        database: the database.
        factory: key of the index for faiss' index_factory.
        settings: numbers of candidates; for an IVF index, of lists to probe.
    """

    def __init__(self, database: SearchDatabase, factory: str, settings: tuple[int, ...]) -> None:
        faiss.omp_set_num_threads(2)
        started = time.perf_counter()
        self.name, self.settings = f"faiss {factory}", settings
        self._database = database.descriptors()
        width = sum(matrix.shape[1] for matrix in self._database)
        self._index = faiss.index_factory(width, factory, faiss.METRIC_INNER_PRODUCT)
        if not self._index.is_trained:
            rows = np.random.default_rng(0).permutation(database.rows)[:_TRAINING_ROWS]
            rows = np.sort(rows)
            self._index.train(np.concatenate([matrix[rows] for matrix in self._database], 1))
        for chunk in chunks(database, self.name):
            self._index.add(chunk)
        self.build_s = time.perf_counter() - started
        self.bytes = _index_bytes(self._index)
        faiss.omp_set_num_threads(1)

    def rank(self, query: Query, setting: int | None) -> NDArray[np.int64]:
        """The best seven rows."""
        count = setting or 64
        if isinstance(self._index, faiss.IndexIVF):
            self._index.nprobe, count = count, 256
        _, rows = self._index.search(concatenated(query)[None], count)
        return rescored(self._database, query, rows[0])


def _index_bytes(index: Any) -> int:
    if isinstance(index, faiss.IndexFlatCodes | faiss.IndexIVF):
        return int(index.ntotal * (index.code_size + 8 * isinstance(index, faiss.IndexIVF)))
    return len(faiss.serialize_index(index))


class Hnsw:
    """hnswlib over the concatenated vectors, M = 16, ef_construction = 100."""

    name, settings = "hnswlib", (64, 256, 1024, 4096)

    def __init__(self, database: SearchDatabase) -> None:
        started = time.perf_counter()
        self._database = database.descriptors()
        width = sum(matrix.shape[1] for matrix in self._database)
        self._index = hnswlib.Index("ip", width)
        self._index.init_index(database.rows, M=16, ef_construction=100)
        for chunk in chunks(database, self.name):
            self._index.add_items(chunk, num_threads=2)
        self.build_s = time.perf_counter() - started
        self.bytes = database.rows * (width * 4 + 16 * 2 * 4 + 16)
        self._index.set_num_threads(1)

    def rank(self, query: Query, setting: int | None) -> NDArray[np.int64]:
        """The best seven rows."""
        count = setting or 64
        self._index.set_ef(count)
        rows, _ = self._index.knn_query(concatenated(query)[None], k=min(count, 256))
        return rescored(self._database, query, rows[0])


class UsearchBytes:
    """usearch's exact search over int8 vectors with one thread, and rescoring."""

    name, settings = "usearch exact int8", (64, 256)

    def __init__(self, database: SearchDatabase) -> None:
        started = time.perf_counter()
        self._database = database.descriptors()
        codes = [
            np.rint(chunk / self._scale(chunk) * 127).astype(np.int8)
            for chunk in chunks(database, self.name)
        ]
        self._codes = np.concatenate(codes)
        self.build_s, self.bytes = time.perf_counter() - started, self._codes.nbytes

    @staticmethod
    def _scale(chunk: NDArray[np.float32]) -> NDArray[np.float32]:
        largest: NDArray[np.float32] = np.abs(chunk).max(axis=1, keepdims=True)
        return np.maximum(largest, np.float32(1e-30))

    def rank(self, query: Query, setting: int | None) -> NDArray[np.int64]:
        """The best seven rows."""
        vector = concatenated(query)
        code = np.rint(vector / np.abs(vector).max() * 127).astype(np.int8)
        matches = usearch_search(self._codes, code, setting or 64, "cos", exact=True, threads=1)
        return rescored(self._database, query, matches.keys)
