"""A query, with what a search computes of it before it reads a row.

Most of that is the rotation of the query, which reads as many bytes as some thousand rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from retrieval_server.exact_search.levels.byte import ByteQuery, byte_query
from retrieval_server.exact_search.levels.rotation import FloatArray, RotatedQuery, SearchFit
from retrieval_server.exact_search.search import Query


class PreparedQuery(tuple[NDArray[np.float32], ...]):
    """The descriptors of a query by backbone, and what was computed of them so far.

    Who searches several databases that were encoded with one fit passes the same object to each
    search, which then computes only what the searches before have not. One thread at a time.
    """

    _rotated: tuple[SearchFit, FloatArray, RotatedQuery] | None = None
    _rounded: tuple[Sequence[int], ByteQuery] | None = None

    @classmethod
    def of(cls, query: Query) -> PreparedQuery:
        """The query itself if it is prepared already, else one of its descriptors."""
        return query if isinstance(query, PreparedQuery) else cls(query)

    def rotated(self, fit: SearchFit, weights: FloatArray) -> RotatedQuery:
        """The query on the axes of a fit.

        Args:
            fit: the axes.
            weights: (N,) w.
        """
        kept = self._rotated
        if kept is None or kept[0] is not fit or not np.array_equal(kept[1], weights):
            kept = fit, weights, RotatedQuery(fit, self, weights)
            self._rotated = kept
        return kept[2]

    def rounded(self, offsets: Sequence[int]) -> ByteQuery:
        """The query as the byte level reads it.

        Args:
            offsets: o by backbone.
        """
        kept = self._rounded
        if kept is None or kept[0] != offsets:
            kept = self._rounded = offsets, byte_query(self, offsets)
        return kept[1]
