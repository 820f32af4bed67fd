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

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval_server.exact_search.kernels.byte import byte_cosines
from retrieval_server.exact_search.kernels.encoders import encode_bytes
from retrieval_server.exact_search.kernels.layout import BYTE_BOUNDS, HIGH_DIGIT, byte_width
from retrieval_server.exact_search.levels.level import ArrayForm, LevelArrays, NewRows
from retrieval_server.exact_search.levels.rotation import LONGEST, FloatArray, SearchFit
from retrieval_server.exact_search.similarity import fused_similarity

BOUND_AT_ONCE = 256  # rows: a megabyte of codes, which stays in the processor's cache
_LARGEST_HIGH = 126


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
    """The query of one backbone as the kernel reads it.

    Attributes:
        high: (C rounded up,) int8.
        low: (C rounded up,) int8.
        unit: S.
        shift: o · Σ (128 high + low).
        norm: at least |q|.
        lost: at least |q - q̂|.
    """

    high: NDArray[np.int8]
    low: NDArray[np.int8]
    unit: float
    shift: float
    norm: float
    lost: float


def byte_query(query: NDArray[np.float32], offset: int) -> ByteQuery:
    """Round the query of one backbone.

    Args:
        query: (C,).
        offset: o.
    """
    padded = np.zeros(byte_width(len(query)))
    padded[: len(query)] = query
    unit = float(np.abs(padded).max()) / (HIGH_DIGIT * _LARGEST_HIGH) + 1e-30
    whole = np.rint(padded / unit)
    high = np.rint(whole / HIGH_DIGIT)
    low = whole - HIGH_DIGIT * high
    return ByteQuery(
        high.astype(np.int8),
        low.astype(np.int8),
        unit=unit,
        shift=offset * float(whole[: len(query)].sum()),
        norm=float(np.linalg.norm(padded)) * (1 + 1e-9),
        lost=float(np.linalg.norm(padded - whole * unit)) * (1 + 1e-9) + 1e-15,
    )


def similarity_upper_bounds(
    cosines: FloatArray, radii: FloatArray, alphas: Sequence[float]
) -> FloatArray:
    """Upper bounds of eq. (8), (m,).

    Args:
        cosines: (N, m) estimates.
        radii: (N, m) the largest error of each estimate.
        alphas: (N,).
    """
    low, high = np.ones(cosines.shape[1]), np.ones(cosines.shape[1])
    magnitude = 1.0
    for estimate, radius, alpha in zip(cosines, radii, alphas, strict=True):
        if alpha == 0:
            continue
        ends = 1 + alpha * (estimate - radius), 1 + alpha * (estimate + radius)
        products = (low * ends[0], low * ends[1], high * ends[0], high * ends[1])
        low = np.minimum.reduce(products)
        high = np.maximum.reduce(products)
        magnitude *= 1 + alpha * 1.01
    return high + 1e-12 * magnitude  # float64 rounding, of this bound and of the exact value


def estimates(
    codes: NDArray[np.uint8], bounds: NDArray[np.float32], queries: Sequence[ByteQuery]
) -> tuple[FloatArray, FloatArray]:
    """Estimate the cosines of some rows.

    Args:
        codes: (m, W).
        bounds: (m, 2 N).
        queries: the query by backbone.

    Returns:
        Estimates of the cosines, and the largest error of each, (N, m) both.
    """
    cosines, radii = np.empty((len(queries), len(codes))), np.empty((len(queries), len(codes)))
    column = 0
    for backbone, query in enumerate(queries):
        byte_cosines(
            codes, bounds, column, backbone,
            query.high, query.low, query.unit, query.shift, query.norm, query.lost, LONGEST,
            cosines[backbone], radii[backbone],
        )  # fmt: skip
        column += len(query.high)
    return cosines, radii


class ByteSearch:
    """The byte level as the last stage of the cascade: estimates and bounds of eq. (8) itself.

    Args:
        arrays: codes (rows, W) and bounds (rows, 2 N).
        queries: the query by backbone.
        alphas: (N,).
    """

    def __init__(
        self, arrays: LevelArrays, queries: Sequence[ByteQuery], alphas: Sequence[float]
    ) -> None:
        self._arrays, self._queries, self._alphas = arrays, queries, alphas

    def similarities(self, rows: NDArray[np.int32]) -> FloatArray:
        """Estimate eq. (8) of some rows, (m,)."""
        cosines, _ = self._cosines(rows)
        return fused_similarity(cosines.T, self._alphas)

    def upper_bounds(self, rows: NDArray[np.int32]) -> FloatArray:
        """Bound eq. (8) of some rows from above, (m,)."""
        return similarity_upper_bounds(*self._cosines(rows), self._alphas)

    def _cosines(self, rows: NDArray[np.int32]) -> tuple[FloatArray, FloatArray]:
        """Estimates of the cosines of some rows, and their largest errors, (N, m) both."""
        pieces = [
            estimates(*self._arrays.rows(rows[first : first + BOUND_AT_ONCE]), self._queries)
            for first in range(0, max(1, len(rows)), BOUND_AT_ONCE)
        ]
        cosines, radii = (np.concatenate(each, axis=1) for each in zip(*pieces, strict=True))
        return cosines, radii
