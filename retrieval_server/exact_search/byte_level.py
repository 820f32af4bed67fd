"""The byte level: 8 bits on each dimension as it is, unrotated; so tight that few rows pass it.

Layout: codes (rows, W) uint8, one backbone after the other, each C rounded up to 64, and bounds
(rows, 2 N) float32. With the row's own scale a, code k stands for a (k - o); o is 0 for rectified
descriptors, else 128. The bounds of a backbone are a and the norm ρ of the residual x - x̂, rounded
up. The codes are the largest file of the levels by far, and are read from disk row by row.

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

from retrieval_server.exact_search.encoders import encode_bytes
from retrieval_server.exact_search.kernels import LINE, byte_cosines
from retrieval_server.exact_search.rotation import FloatArray
from retrieval_server.exact_search.row_file import RowFile

_LARGEST_HIGH = 126


def code_width(dimension: int) -> int:
    """Bytes of a row's codes of one backbone: the dimension rounded up to whole lines."""
    return -(-dimension // LINE) * LINE


@dataclass(frozen=True)
class ByteLevel:
    """The level's arrays.

    Attributes:
        codes: (rows, W) uint8.
        bounds: (rows, 2 N) float32.
        file: where the codes are read from; None for an array in memory.
    """

    codes: NDArray[np.uint8]
    bounds: NDArray[np.float32]
    file: RowFile | None = None

    def rows(self, rows: NDArray[np.int32]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Codes and bounds of some rows."""
        codes = self.codes[rows] if self.file is None else self.file[rows]
        return codes, self.bounds[rows]


def encode_rows(
    level: ByteLevel, first_row: int, parts: Sequence[NDArray[np.float32]], offsets: Sequence[int]
) -> None:
    """Encode rows into their place.

    Args:
        level: has room for them.
        first_row: row of the first.
        parts: (m, C) by backbone.
        offsets: o by backbone.
    """
    column = 0
    for number, (part, offset) in enumerate(zip(parts, offsets, strict=True)):
        width = code_width(part.shape[1])
        encode_bytes(part, offset, first_row, column, width, number, level.codes, level.bounds)
        column += width


@dataclass(frozen=True)
class ByteQuery:
    """One backbone's query as the kernel reads it.

    Attributes:
        high: (C rounded up,) int8.
        low: (C rounded up,) int8.
        numbers: float64: S; o · Σ (128 high + low); at least |q|; at least |q - q̂|.
    """

    high: NDArray[np.int8]
    low: NDArray[np.int8]
    numbers: FloatArray


def byte_query(query: NDArray[np.float32], offset: int) -> ByteQuery:
    """Round one backbone's query.

    Args:
        query: (C,).
        offset: o.
    """
    vector = np.zeros(code_width(len(query)))
    vector[: len(query)] = query
    unit = np.abs(vector).max() / (128 * _LARGEST_HIGH) + 1e-30
    whole = np.rint(vector / unit)
    high = np.rint(whole / 128)
    low = whole - 128 * high
    lost = float(np.linalg.norm(vector - whole * unit)) * (1 + 1e-9) + 1e-15
    norm = float(np.linalg.norm(vector)) * (1 + 1e-9)
    return ByteQuery(
        high.astype(np.int8),
        low.astype(np.int8),
        np.array([unit, offset * float(whole[: len(query)].sum()), norm, lost]),
    )


def largest_similarities(
    cosines: FloatArray, radii: FloatArray, alphas: Sequence[float]
) -> FloatArray:
    """Upper bounds of eq. (8).

    Args:
        cosines: (N, m) estimates.
        radii: (N, m) their largest errors.
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
        queries: by backbone.

    Returns:
        The cosines (N, m), and their largest errors.
    """
    cosines, radii = np.empty((len(queries), len(codes))), np.empty((len(queries), len(codes)))
    column = 0
    for number, query in enumerate(queries):
        byte_cosines(
            codes, bounds, column, number, query.high, query.low, query.numbers,
            cosines[number], radii[number],
        )  # fmt: skip
        column += len(query.high)
    return cosines, radii
