"""The peers of the exact search, which also rank by eq. (8).

Exact peers read the whole database. Approximate peers propose candidates. A peer that computes only
inner products gets one concatenated vector per product, and the query [w_n q_n]. Their inner
product is L, see ``retrieval_server.exact_search.fused_bound``. The best k rows by L are then
rescored exactly; the time of a peer includes this. It is the strongest use of such a peer that we
know.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.search_database import ALPHA, TOP_K, Query, SearchDatabase
from retrieval_server.exact_search.cascade import CascadeSearch
from retrieval_server.exact_search.levels.byte import ByteSearch, byte_query
from retrieval_server.exact_search.levels.order import BYTE_LEVEL
from retrieval_server.exact_search.originals import exact_cosines
from retrieval_server.exact_search.scan import ScanSearch
from retrieval_server.exact_search.similarity import fused_similarity
from retrieval_server.storage.arrays import release_pages


class Peer(Protocol):
    """A method that ranks the database.

    Attributes:
        settings: settings from fast to accurate; one None if the method has no setting.
        build_s: seconds to build its index from the descriptors.
        bytes: size of its index, without the original descriptors.
    """

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

    settings = (None,)

    def __init__(self, search: CascadeSearch, build_s: float) -> None:
        self._search, self.build_s = search, build_s
        self.bytes = sum(level.bytes for level in search.levels.sizes())

    def rank(self, query: Query, setting: int | None) -> NDArray[np.int64]:
        """The best seven rows."""
        return self._search.rank_all(query, ALPHA, TOP_K).rows


class NumpyFloat32:
    """Brute force: two float32 matrix-vector products by BLAS, their product, argpartition."""

    settings, build_s, bytes = (None,), 0.0, 0

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

    settings, build_s = (None,), 0.0

    def __init__(self, search: CascadeSearch) -> None:
        self._levels, self._search = search.levels, search
        self.bytes = search.levels.arrays[BYTE_LEVEL.name].nbytes

    def rank(self, query: Query, setting: int | None) -> NDArray[np.int64]:
        """The best seven rows."""
        offsets = self._levels.fit.parameters.code_offsets
        level = replace(self._levels.arrays[BYTE_LEVEL.name], file=None)  # mapped
        everyone = np.arange(self._levels.rows, dtype=np.int32)
        _, upper_bounds = ByteSearch(level, byte_query(query, offsets), ALPHA).bounds(everyone)
        best = np.argpartition(-upper_bounds, 2 * TOP_K)[: 2 * TOP_K]
        scan = ScanSearch(self._search.descriptors)
        last = scan.rank_rows(query, ALPHA, best, TOP_K).similarities[-1]
        return scan.rank_rows(query, ALPHA, np.flatnonzero(upper_bounds >= last), TOP_K).rows
