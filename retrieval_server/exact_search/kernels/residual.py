"""The kernel of the residual level: estimates and upper bounds of L of some rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numpy.typing import NDArray

from retrieval_server.exact_search.kernels.compilation import compiled
from retrieval_server.exact_search.kernels.layout import (
    FLOAT32_BYTES,
    LINE,
    RESIDUAL_BOUNDS,
    RESIDUAL_DIMENSIONS,
    RESIDUAL_LINES,
    RESIDUAL_STRIDE,
)
from retrieval_server.exact_search.kernels.vector_instructions import (
    FLOATS,
    I64,
    WORDS,
    add_scaled,
    address,
    broadcast,
    constant,
    dot4,
    intrinsic,
    lane_sum,
    load,
    offset_by,
    planes,
    pointer_to,
    prefetch,
    prefetch_line,
    times,
)

_AHEAD = 4  # positions that the loop asks for in advance
_GROUP_PLANES = RESIDUAL_DIMENSIONS // LINE


@intrinsic
def _residual_dot(
    typing_context: Any, row: Any, digits: Any, scales: Any, size: Any, later: Any
) -> Any:
    """Σ over planes of scale · Σ code · digit, for one row of size bytes.

    It asks for a later row line by line: so many lines at once would make the processor wait.
    """

    def generate(context: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        row, digits, scales = (pointer_to(b, argument) for argument in arguments[:3])
        total = cgutils.alloca_once_value(b, constant(FLOATS, 0.0))
        groups = b.udiv(arguments[3], ir.Constant(I64, RESIDUAL_STRIDE))
        later = pointer_to(b, arguments[4])
        with cgutils.for_range(b, groups) as group:
            group_at = times(b, group.index, RESIDUAL_STRIDE)
            for offset in range(0, RESIDUAL_STRIDE, LINE):
                prefetch_line(b, offset_by(b, offset_by(b, later, group_at), offset))
            codes_at = offset_by(b, row, group_at)
            digits_at = offset_by(b, digits, times(b, group.index, RESIDUAL_DIMENSIONS))
            scales_at = offset_by(b, scales, times(b, group.index, FLOAT32_BYTES * _GROUP_PLANES))
            b.store(_with_group(b, b.load(total), codes_at, digits_at, scales_at), total)
        return lane_sum(b, b.load(total))

    return types.float32(*[types.intp] * 5), generate


def _with_group(
    b: ir.IRBuilder, total: ir.Value, codes: ir.Value, digits: ir.Value, scales: ir.Value
) -> ir.Value:
    """Total + Σ scale · Σ code · digit over 512 dimensions; a code is 2 · upper + lowest bits."""
    lines = [
        planes(b, load(b, offset_by(b, codes, LINE * line), WORDS), bits)
        for line, bits in enumerate(RESIDUAL_LINES)
    ]
    upper_bits, lowest_bits = lines[0] + lines[1], lines[2]
    for plane, (upper, lowest) in enumerate(zip(upper_bits, lowest_bits, strict=True)):
        digit = load(b, offset_by(b, digits, LINE * plane), WORDS)
        dots = dot4(b, constant(WORDS, 0), upper, digit)
        dots = dot4(b, b.add(dots, dots), lowest, digit)
        scale = broadcast(b, offset_by(b, scales, FLOAT32_BYTES * plane), FLOATS)
        total = add_scaled(b, total, dots, scale)
    return total


@compiled
def residual_bounds(
    codes: NDArray[np.uint8],
    bounds: NDArray[np.float32],
    rows: NDArray[np.int32],
    first: int,
    last: int,
    earlier: NDArray[np.float32],
    digits: NDArray[np.int8],
    scales: NDArray[np.float32],
    terms: NDArray[np.float64],
    estimates: NDArray[np.float32],
    upper_bounds: NDArray[np.float32],
) -> None:
    """A ``RowKernel``, see there: codes (N, 192 · groups), bounds (N, 2), 8 planes a group.

    ``earlier`` has an estimate of every position, (M,); it may be ``estimates``.
    """
    codes_at, bounds_at, width = address(codes), address(bounds), codes.shape[1]
    for position in range(first, last):
        row, later = rows[position], rows[min(position + _AHEAD, last - 1)]
        prefetch(bounds_at + later * (RESIDUAL_BOUNDS * FLOAT32_BYTES))
        dot = _residual_dot(
            codes_at + row * width, address(digits), address(scales), width,
            codes_at + later * width,
        )  # fmt: skip
        estimate = earlier[position] + np.float64(dot) + terms[0]
        estimates[position] = estimate
        upper_bounds[position] = estimate + terms[1] * bounds[row, 0] + terms[2] * bounds[row, 1]
