"""The kernel of the byte level: estimates and upper bounds of eq. (8) of some rows.

A row that lies in a file is read to a buffer, which stays in the processor's nearest cache, and is
bounded at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numpy.typing import NDArray

from retrieval_server.exact_search.kernels.compilation import compiled
from retrieval_server.exact_search.kernels.layout import BYTE_BOUNDS, HIGH_DIGIT, LINE
from retrieval_server.exact_search.kernels.reading import read_fully
from retrieval_server.exact_search.kernels.vector_instructions import (
    I64,
    WORDS,
    accumulators,
    address,
    dot4,
    intrinsic,
    lane_sum,
    load,
    offset_by,
    pointer_to,
    times,
)

LARGEST_HIGH = 126
SMALLEST_UNIT = 1e-30  # so that no unit is zero
COSINE_ROUNDING = 1e-9  # float64 rounding of an estimate, generously


@intrinsic
def _byte_dot(typing_context: Any, codes: Any, high: Any, low: Any, size: Any) -> Any:
    """128 · Σ code · high + Σ code · low over size bytes, a multiple of 64, as int64."""

    def generate(context: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        codes, high, low = (pointer_to(b, argument) for argument in arguments[:3])
        sums = accumulators(b, WORDS, 2)
        with cgutils.for_range(b, b.udiv(arguments[3], ir.Constant(I64, LINE))) as loop:
            offset = times(b, loop.index, LINE)
            line = load(b, offset_by(b, codes, offset), WORDS)
            for pointer, digits in zip(sums, (high, low), strict=True):
                digit = load(b, offset_by(b, digits, offset), WORDS)
                b.store(dot4(b, b.load(pointer), line, digit), pointer)
        highs, lows = (b.sext(lane_sum(b, b.load(pointer)), I64) for pointer in sums)
        return b.add(times(b, highs, HIGH_DIGIT), lows)

    return types.int64(types.intp, types.intp, types.intp, types.intp), generate


@compiled
def round_byte_query(
    query: NDArray[np.float32],
    offset: int,
    high: NDArray[np.int8],
    low: NDArray[np.int8],
    terms: NDArray[np.float64],
) -> None:
    """Round the query of one backbone; see ``levels.byte``.

    Args:
        query: (C,).
        offset: o.
        high: (C rounded up,) out: high digits; those beyond C stay.
        low: (C rounded up,) out: low digits.
        terms: (4,) out: S; o · Σ (128 high + low); at least |q|; at least |q - q̂|.
    """
    largest = np.float32(0)
    for dimension in range(query.size):
        largest = max(largest, abs(query[dimension]))
    unit = np.float64(largest) / (HIGH_DIGIT * LARGEST_HIGH) + SMALLEST_UNIT
    total = square = lost = 0.0
    for dimension in range(query.size):
        value = np.float64(query[dimension])
        whole = np.rint(value / unit)
        first = np.rint(whole / HIGH_DIGIT)
        high[dimension], low[dimension] = np.int8(first), np.int8(whole - HIGH_DIGIT * first)
        total += whole
        square += value * value
        lost += (value - whole * unit) ** 2
    terms[0], terms[1] = unit, offset * total
    terms[2], terms[3] = np.sqrt(square) * (1 + 1e-9), np.sqrt(lost) * (1 + 1e-9) + 1e-15


@compiled
def byte_bounds(
    file: int,
    offset: int,
    codes: NDArray[np.uint8],
    bounds: NDArray[np.float32],
    rows: NDArray[np.int32],
    high: NDArray[np.int8],
    low: NDArray[np.int8],
    starts: NDArray[np.int64],
    terms: NDArray[np.float64],
    alphas: NDArray[np.float64],
    longest: float,
    similarities: NDArray[np.float64],
    upper_bounds: NDArray[np.float64],
) -> int:
    """Estimate and bound eq. (8) of some rows; see ``levels.byte``.

    Args:
        file: an open file with the codes; -1 for codes in memory.
        offset: bytes before the first row in the file.
        codes: (N, W); their values are not looked at if there is a file.
        bounds: (N, 2 M) of M backbones.
        rows: (m,).
        high: (W,) high digits of the query, backbone after backbone.
        low: (W,) low digits.
        starts: (M + 1,) first code of each backbone, then W.
        terms: (M, 4) see ``round_byte_query``.
        alphas: (M,).
        longest: largest norm of a descriptor.
        similarities: (m,) out.
        upper_bounds: (m,) out.

    Returns:
        The first position that could not be read, or -1.
    """
    width = codes.shape[1]
    buffer = np.empty(width, np.uint8)
    for position in range(rows.size):
        row = np.int64(rows[position])
        at = address(codes) + row * width
        if file >= 0:
            at = address(buffer)
            if not read_fully(file, at, width, offset + row * width):
                return position
        similarity = lowest = highest = 1.0
        for backbone in range(alphas.size):
            alpha, start = alphas[backbone], starts[backbone]
            if alpha == 0:
                continue
            scale = np.float64(bounds[row, BYTE_BOUNDS * backbone])
            residual = np.float64(bounds[row, BYTE_BOUNDS * backbone + 1])
            size = starts[backbone + 1] - start
            dot = _byte_dot(at + start, address(high) + start, address(low) + start, size)
            unit, shift, norm, lost = terms[backbone]
            cosine = (np.float64(dot) - shift) * unit * scale
            radius = norm * residual + lost * (longest + residual) + COSINE_ROUNDING
            similarity *= 1 + alpha * cosine
            least, most = 1 + alpha * (cosine - radius), 1 + alpha * (cosine + radius)
            products = (lowest * least, lowest * most, highest * least, highest * most)
            lowest, highest = min(products), max(products)
        similarities[position], upper_bounds[position] = similarity, highest
    return -1


def byte_bounds_reference(
    codes: NDArray[np.uint8],
    bounds: NDArray[np.float32],
    high: NDArray[np.int8],
    low: NDArray[np.int8],
    starts: NDArray[np.int64],
    terms: NDArray[np.float64],
    alphas: NDArray[np.float64],
    longest: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What ``byte_bounds`` computes of all rows, by numpy, bit for bit."""
    similarities, lowest, highest = (np.ones(len(codes)) for _ in range(3))
    digits = HIGH_DIGIT * high.astype(np.int64) + low
    for backbone in np.flatnonzero(alphas):
        own, alpha = slice(*starts[backbone : backbone + 2]), alphas[backbone]
        unit, shift, norm, lost = terms[backbone]
        columns = bounds[:, BYTE_BOUNDS * backbone :][:, :BYTE_BOUNDS]
        scales, residuals = columns.astype(np.float64).T
        cosines = (codes[:, own].astype(np.int64) @ digits[own] - shift) * unit * scales
        radii = norm * residuals + lost * (longest + residuals) + COSINE_ROUNDING
        similarities *= 1 + alpha * cosines
        ends = 1 + alpha * (cosines - radii), 1 + alpha * (cosines + radii)
        products = [lowest * ends[0], lowest * ends[1], highest * ends[0], highest * ends[1]]
        lowest, highest = np.minimum.reduce(products), np.maximum.reduce(products)
    return similarities, highest
