"""The kernel of the middle level: estimates and upper bounds of L of some rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numpy.typing import NDArray

from retrieval_server.exact_search.kernels.compilation import compiled
from retrieval_server.exact_search.kernels.layout import (
    FLOAT32_BYTES,
    LINE,
    MIDDLE_BOUNDS,
    MIDDLE_LINES,
    MIDDLE_STRIDE,
)
from retrieval_server.exact_search.kernels.vector_instructions import (
    FLOATS,
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
)

_AHEAD = 16  # positions that the loop asks for in advance


@intrinsic
def _middle_dot(typing_context: Any, row: Any, digits: Any, scales: Any) -> Any:
    """Σ over lines of scale · Σ code · digit, for one row; the arguments are addresses."""

    def generate(context: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        row, digits, scales = (pointer_to(b, argument) for argument in arguments)
        total = constant(FLOATS, 0.0)
        for line, planes_of_line in enumerate(MIDDLE_LINES):
            codes, dots = load(b, offset_by(b, row, LINE * line), WORDS), constant(WORDS, 0)
            for plane in planes(b, codes, [bits for _, bits in planes_of_line]):
                dots = dot4(b, dots, plane, load(b, digits, WORDS))
                digits = offset_by(b, digits, LINE)
            scale = broadcast(b, offset_by(b, scales, FLOAT32_BYTES * line), FLOATS)
            total = add_scaled(b, total, dots, scale)
        return lane_sum(b, total)

    return types.float32(types.intp, types.intp, types.intp), generate


@compiled
def middle_bounds(
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
    """A ``RowKernel``, see there: codes (N, 320), bounds (N, 2), a scale for each line.

    ``earlier`` has an estimate of every row, (N,): the coarse level's.
    """
    codes_at, bounds_at = address(codes), address(bounds)
    for position in range(first, last):
        ahead = position + _AHEAD
        if ahead < last:
            for offset in range(0, MIDDLE_STRIDE, LINE):
                prefetch(codes_at + rows[ahead] * MIDDLE_STRIDE + offset)
            prefetch(bounds_at + rows[ahead] * (MIDDLE_BOUNDS * FLOAT32_BYTES))
        row = rows[position]
        dot = _middle_dot(codes_at + row * MIDDLE_STRIDE, address(digits), address(scales))
        estimate = earlier[row] + np.float64(dot) + terms[0]
        estimates[position] = estimate
        upper_bounds[position] = estimate + terms[1] * bounds[row, 0] + terms[2] * bounds[row, 1]
