"""The byte level: 8 bits on each dimension as it is, unrotated; so tight that few rows pass it.

Layout, C + 8 bytes a row and backbone: codes (rows, C rounded up to 64) uint8 and bounds (rows, 2)
float32. With the row's own scale a, code k stands for a (k - o); o is 0 for rectified descriptors,
else 128. The bounds are a and the norm ρ of the residual x - x̂, rounded up.

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

from retrieval_server.exact_search.kernels import LINE, byte_cosines
from retrieval_server.exact_search.rotation import FloatArray

_LARGEST_HIGH = 126


def code_width(dimension: int) -> int:
    """Bytes of a row's codes: the dimension rounded up to whole lines."""
    return -(-dimension // LINE) * LINE


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


def bound_rows(
    levels: Sequence[tuple[NDArray[np.uint8], NDArray[np.float32]]],
    queries: Sequence[ByteQuery],
    rows: NDArray[np.int32],
    part: range,
    cosines: FloatArray,
    radii: FloatArray,
) -> None:
    """Estimate the cosines of some rows.

    Args:
        levels: codes and bounds by backbone.
        queries: by backbone.
        rows: (m,).
        part: places in ``rows``.
        cosines: (N, m) out.
        radii: (N, m) out.
    """
    for number, ((codes, bounds), query) in enumerate(zip(levels, queries, strict=True)):
        byte_cosines(
            codes, bounds, rows, part.start, part.stop, query.high, query.low, query.numbers,
            cosines[number], radii[number],
        )  # fmt: skip
