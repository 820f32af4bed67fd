"""Other search libraries as peers of the exact search; see ``search_peers``.

Each class imports its library when a peer is made, so one that is missing stops no other.
"""

from __future__ import annotations

import tempfile
import time

import numpy as np
from numpy.typing import NDArray

from benchmarks.hnsw_graph import EF_CONSTRUCTION, LINKS, open_graph
from benchmarks.search_database import Query, SearchDatabase, chunks, concatenated
from benchmarks.search_peers import rescored

_TRAINING_ROWS, _CALIBRATION_ROWS = 65_536, 4096
_CLUSTERS = 1024
_CANDIDATES = 256  # that a graph or lists of vectors propose
_BUILD_THREADS = 2


class FaissIndex:
    """An index of faiss.

    Args:
        database: the database.
        factory: key of the index for faiss' index_factory.
        settings: numbers of candidates; for an IVF index, of lists to probe.
    """

    def __init__(self, database: SearchDatabase, factory: str, settings: tuple[int, ...]) -> None:
        import faiss

        faiss.omp_set_num_threads(_BUILD_THREADS)
        started = time.perf_counter()
        self.settings = settings
        self._database = database.descriptors()
        self._index = faiss.index_factory(_width(database), factory, faiss.METRIC_INNER_PRODUCT)
        self._is_ivf = isinstance(self._index, faiss.IndexIVF)
        if not self._index.is_trained:
            self._index.train(_sample(database))
        for chunk in chunks(database, f"faiss {factory}"):
            self._index.add(chunk)
        self.build_s = time.perf_counter() - started
        if isinstance(self._index, faiss.IndexFlatCodes | faiss.IndexIVF):
            self.bytes = int(self._index.ntotal * (self._index.code_size + 8 * self._is_ivf))
        else:
            self.bytes = len(faiss.serialize_index(self._index))
        faiss.omp_set_num_threads(1)

    def rank(self, query: Query, setting: int | None) -> NDArray[np.int64]:
        """The best seven rows."""
        count = setting or 64
        if self._is_ivf:
            self._index.nprobe, count = count, _CANDIDATES
        _, rows = self._index.search(concatenated(query)[None], count)
        return rescored(self._database, query, rows[0])


class Hnsw:
    """hnswlib; the settings are numbers of rows that a search keeps, ef."""

    settings = (64, 256, 512, 1024, 2048, 4096)

    def __init__(self, database: SearchDatabase) -> None:
        self._database = database.descriptors()
        self._index, self.build_s = open_graph(database)
        self.bytes = database.rows * (_width(database) * 4 + LINKS * 2 * 4 + 16)

    def rank(self, query: Query, setting: int | None) -> NDArray[np.int64]:
        """The best seven rows."""
        count = setting or 64
        self._index.set_ef(count)
        rows, _ = self._index.knn_query(concatenated(query)[None], k=min(count, _CANDIDATES))
        return rescored(self._database, query, rows[0])


class UsearchBytes:
    """usearch's exact search over int8 vectors; the settings are numbers of candidates."""

    settings = (64, 256)

    def __init__(self, database: SearchDatabase) -> None:
        from usearch.index import search

        self._search = search
        started = time.perf_counter()
        self._database = database.descriptors()
        codes = [
            np.rint(chunk / self._scale(chunk) * 127).astype(np.int8)
            for chunk in chunks(database, "usearch int8")
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
        matches = self._search(self._codes, code, setting or 64, "cos", exact=True, threads=1)
        return rescored(self._database, query, matches.keys)


class TurboVec:
    """turbovec, 4 bits a dimension, calibrated; the settings are numbers of candidates.

    Its threads are those of ``RAYON_NUM_THREADS``, for the build too.
    """

    settings = (64, 256, 1024)
    _bits = 4

    def __init__(self, database: SearchDatabase) -> None:
        from turbovec import TurboQuantIndex

        started = time.perf_counter()
        self._database = database.descriptors()
        self._index = TurboQuantIndex(dim=_width(database), bit_width=self._bits)
        self._index.calibrate(_sample(database, _CALIBRATION_ROWS))
        for chunk in chunks(database, "turbovec"):
            self._index.add(chunk)
        self._index.prepare()
        self.build_s = time.perf_counter() - started
        self.bytes = database.rows * (_width(database) * self._bits // 8 + 4)

    def rank(self, query: Query, setting: int | None) -> NDArray[np.int64]:
        """The best seven rows."""
        _, rows = self._index.search(concatenated(query)[None], setting or 64)
        return rescored(self._database, query, rows[0])


class RabitqLists:
    """rabitqlib's IVF, 4 bits a dimension, 1,024 lists; the settings are numbers of lists."""

    settings = (8, 16, 32, 64, 128, 256, 1024)
    _bits = 4

    def __init__(self, database: SearchDatabase) -> None:
        from rabitqlib import IvfIndex, RaBitQKMeans

        started = time.perf_counter()
        self._database = database.descriptors()
        width = _width(database)
        lists = RaBitQKMeans(width, _CLUSTERS, num_threads=_BUILD_THREADS)
        self._index = IvfIndex(width, database.rows, _CLUSTERS, self._bits, "ip")
        first = np.concatenate([matrix[:_TRAINING_ROWS] for matrix in self._database], 1)
        lists.train(first)
        self._index.build(first, lists.centroids, lists.assignments, num_threads=_BUILD_THREADS)
        del first
        self._add_rest(database)
        self.build_s = time.perf_counter() - started
        self.bytes = database.rows * (width * self._bits // 8 + 24)

    def _add_rest(self, database: SearchDatabase) -> None:
        """Add the other rows; the lists are copied by each call, so in a few large pieces."""
        for first in range(_TRAINING_ROWS, database.rows, _TRAINING_ROWS):
            rows = slice(first, first + _TRAINING_ROWS)
            piece = np.concatenate([matrix[rows] for matrix in self._database], 1)
            self._index.add(piece, num_threads=_BUILD_THREADS)

    def rank(self, query: Query, setting: int | None) -> NDArray[np.int64]:
        """The best seven rows."""
        rows, _ = self._index.search(concatenated(query)[None], _CANDIDATES, setting or 64)
        found = rows[0][rows[0] < len(self._database[0])]  # it fills places with the largest number
        return rescored(self._database, query, found)


class RabitqGraph:
    """rabitqlib's SymphonyQG, 32 links and 8 bits a dimension; the settings are its ef.

    Its build needs all rows in one array: a temporary file, which the system may drop from memory.
    """

    settings = (256, 1024, 2048, 4096)
    _links, _bits = 32, 8

    def __init__(self, database: SearchDatabase) -> None:
        from rabitqlib import SymqgIndex

        started = time.perf_counter()
        self._database = database.descriptors()
        width = _width(database)
        self._index = SymqgIndex(width, self._links, "ip", self._bits)
        with tempfile.NamedTemporaryFile(dir=database.folder, suffix=".rows") as file:
            for chunk in chunks(database, "rabitqlib"):
                chunk.tofile(file)
            file.flush()
            rows = np.memmap(file.name, np.float32, "r", shape=(database.rows, width))
            self._index.build(rows, EF_CONSTRUCTION, num_threads=_BUILD_THREADS)
        self.build_s = time.perf_counter() - started
        # One code of 8 bits a row, and the number and the code of 1 bit of each neighbour.
        self.bytes = database.rows * (width * self._bits + self._links * (32 + width)) // 8

    def rank(self, query: Query, setting: int | None) -> NDArray[np.int64]:
        """The best seven rows."""
        rows, _ = self._index.search(concatenated(query)[None], _CANDIDATES, setting or 1024)
        return rescored(self._database, query, rows[0])


def _width(database: SearchDatabase) -> int:
    return sum(matrix.shape[1] for matrix in database.descriptors())


def _sample(database: SearchDatabase, count: int = _TRAINING_ROWS) -> NDArray[np.float32]:
    """Random rows to train an index with, concatenated, in the order of the database."""
    rows = np.sort(np.random.default_rng(0).permutation(database.rows)[:count])
    return np.concatenate([matrix[rows] for matrix in database.descriptors()], 1)
