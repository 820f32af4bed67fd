"""The byte level: 8 bits on each dimension as it is, unrotated; so tight that few rows pass it.

The codes are the largest file of the levels by far, and are read from disk row by row; see layout.
With the row's own scale a, code k stands for a (k - o); o is 0 for rectified descriptors, else 128.
The bounds of a backbone are a and the norm ρ of the residual x - x̂, rounded up.

Bound. The query is rounded to two signed digits of 7 bits, q̂ = S (128 high + low). Then

    |⟨q, x⟩ - ⟨q̂, x̂⟩| ≤ |q| ρ + |q - q̂| |x̂| ≤ |q| ρ + |q - q̂| (longest + ρ) = the cosine's radius,

and ⟨q̂, x̂⟩ is an exact integer times a S. Each cosine lies in an interval, and so does each factor
1 + α s; the largest product of interval ends bounds eq. (8), whatever the signs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval_server.exact_search.kernels.byte import byte_bounds, round_byte_query
from retrieval_server.exact_search.kernels.encoders import encode_bytes
from retrieval_server.exact_search.kernels.layout import BYTE_BOUNDS, byte_width
from retrieval_server.exact_search.levels.level import ArrayForm, LevelArrays, NewRows
from retrieval_server.exact_search.levels.rotation import LONGEST, FloatArray, SearchFit


class ByteLevel:
    """The byte level; see ``Level``."""

    name, is_resident = "bytes", False

    def shapes(  # noqa: D102 - see Level
        self, dimensions: Sequence[int], rows: int
    ) -> tuple[ArrayForm, ArrayForm]:
        codes = (rows, sum(map(byte_width, dimensions))), np.uint8
        return codes, ((rows, BYTE_BOUNDS * len(dimensions)), np.float32)

    def encode_rows(  # noqa: D102 - see Level
        self, fit: SearchFit, rows: NewRows, arrays: LevelArrays
    ) -> None:
        column, offsets = 0, fit.parameters.code_offsets
        for backbone, (matrix, offset) in enumerate(zip(rows.descriptors, offsets, strict=True)):
            width = byte_width(matrix.shape[1])
            encode_bytes(
                matrix, offset, rows.first, column, width, backbone, arrays.codes, arrays.bounds
            )
            column += width


@dataclass(frozen=True)
class ByteQuery:
    """A query as the kernel reads it; see ``byte_bounds``.

    Attributes:
        high: (W,) int8.
        low: (W,) int8.
        starts: (M + 1,).
        terms: (M, 4).
    """

    high: NDArray[np.int8]
    low: NDArray[np.int8]
    starts: NDArray[np.int64]
    terms: FloatArray


def byte_query(query: Sequence[NDArray[np.float32]], offsets: Sequence[int]) -> ByteQuery:
    """Round a query.

    Args:
        query: (C_n,) by backbone.
        offsets: o by backbone.
    """
    starts = np.cumsum([0, *(byte_width(len(descriptor)) for descriptor in query)])
    high, low = (np.zeros(starts[-1], np.int8) for _ in range(2))
    terms = np.empty((len(query), 4))
    for backbone, (descriptor, offset) in enumerate(zip(query, offsets, strict=True)):
        own = slice(starts[backbone], starts[backbone + 1])
        round_byte_query(descriptor, offset, high[own], low[own], terms[backbone])
    return ByteQuery(high, low, starts, terms)


class ByteSearch:
    """The byte level as the last stage of the cascade: estimates and bounds of eq. (8) itself.

    Args:
        arrays: codes (rows, W) and bounds (rows, 2 M).
        query: the query.
        alphas: (M,).
    """

    def __init__(self, arrays: LevelArrays, query: ByteQuery, alphas: Sequence[float]) -> None:
        self._arrays, self._query = arrays, query
        self._alphas = np.array(alphas, np.float64)
        magnitude = math.prod(1 + alpha * 1.01 for alpha in alphas)
        self._rounding = 1e-12 * magnitude  # of float64, of this bound and of the exact value

    def bounds(self, rows: NDArray[np.int32]) -> tuple[FloatArray, FloatArray]:
        """Estimates of eq. (8) of some rows, and upper bounds of it, (m,) each.

        Raises:
            IndexBundleError: if the file ends before a row, or the disk fails.
        """
        arrays, query = self._arrays, self._query
        source = (-1, 0) if arrays.file is None else (arrays.file.file, arrays.file.offset)
        similarities, upper_bounds = (np.empty(len(rows)) for _ in range(2))
        unread = byte_bounds(
            *source, arrays.codes, arrays.bounds, rows,
            query.high, query.low, query.starts, query.terms, self._alphas, LONGEST,
            similarities, upper_bounds,
        )  # fmt: skip
        if unread >= 0 and arrays.file is not None:
            raise arrays.file.unreadable(rows[unread])
        upper_bounds += self._rounding
        return similarities, upper_bounds
