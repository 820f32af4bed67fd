"""The kernel of the byte level: cosines of one backbone and how far they may be off."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numpy.typing import NDArray

from retrieval_server.exact_search.kernels.compilation import compiled
from retrieval_server.exact_search.kernels.layout import BYTE_BOUNDS, HIGH_DIGIT, LINE
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
def byte_cosines(
    codes: NDArray[np.uint8],
    bounds: NDArray[np.float32],
    column: int,
    backbone: int,
    high: NDArray[np.int8],
    low: NDArray[np.int8],
    unit: float,
    shift: float,
    norm: float,
    lost: float,
    longest: float,
    cosines: NDArray[np.float64],
    radii: NDArray[np.float64],
) -> None:
    """Estimate the cosines of one backbone; see ``levels.byte``.

    Args:
        codes: (m, W).
        bounds: (m, 2 N).
        column: column of the backbone's first code.
        backbone: its index.
        high: (C rounded up,) high digits of the query.
        low: (C rounded up,) low digits.
        unit: S.
        shift: o · Σ (128 high + low).
        norm: at least |q|.
        lost: at least |q - q̂|.
        longest: largest norm of a descriptor.
        cosines: (m,) out.
        radii: (m,) out, the largest error of each.
    """
    start, width = address(codes) + column, codes.shape[1]
    for row in range(codes.shape[0]):
        scale = np.float64(bounds[row, BYTE_BOUNDS * backbone])
        residual = np.float64(bounds[row, BYTE_BOUNDS * backbone + 1])
        dot = _byte_dot(start + row * width, address(high), address(low), len(high))
        cosines[row] = (np.float64(dot) - shift) * unit * scale
        radii[row] = norm * residual + lost * (longest + residual) + COSINE_ROUNDING


def byte_cosines_reference(
    codes: NDArray[np.uint8],
    bounds: NDArray[np.float32],
    column: int,
    backbone: int,
    high: NDArray[np.int8],
    low: NDArray[np.int8],
    unit: float,
    shift: float,
    norm: float,
    lost: float,
    longest: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What ``byte_cosines`` computes, by numpy: cosines and radii, bit for bit."""
    digits = HIGH_DIGIT * high.astype(np.int64) + low
    dots = codes[:, column : column + len(high)].astype(np.int64) @ digits
    scales, residuals = bounds[:, BYTE_BOUNDS * backbone :][:, :BYTE_BOUNDS].astype(np.float64).T
    radii = norm * residuals + lost * (longest + residuals) + COSINE_ROUNDING
    return (dots - shift) * unit * scales, radii
