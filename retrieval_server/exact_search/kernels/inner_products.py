"""Inner products in float64: exact similarities, and the rotation of a query."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numpy.typing import NDArray

from retrieval_server.exact_search.kernels.compilation import compiled
from retrieval_server.exact_search.kernels.layout import FLOAT32_BYTES, FLOAT64_BYTES, LINE
from retrieval_server.exact_search.kernels.vector_instructions import (
    AHEAD,
    F32,
    I64,
    accumulators,
    address,
    intrinsic,
    lane_sum,
    load,
    offset_by,
    pointer_to,
    prefetch_line,
    times,
)

VECTOR = LINE // FLOAT64_BYTES  # float64 of a vector register
VECTORS = 4  # that are added up side by side
STRIDE = VECTORS * VECTOR
_FLOATS, _DOUBLES = ir.VectorType(F32, VECTOR), ir.VectorType(ir.DoubleType(), VECTOR)


@intrinsic
def _double_dot(typing_context: Any, left: Any, right: Any, size: Any) -> Any:
    """Σ float32 · float64 over size values, a multiple of 32, in float64; one order everywhere."""

    def generate(context: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        left, right = (pointer_to(b, argument) for argument in arguments[:2])
        sums = accumulators(b, _DOUBLES, VECTORS)
        with cgutils.for_range(b, b.udiv(arguments[2], ir.Constant(I64, STRIDE))) as loop:
            left_at = offset_by(b, left, times(b, loop.index, STRIDE * FLOAT32_BYTES))
            right_at = offset_by(b, right, times(b, loop.index, STRIDE * FLOAT64_BYTES))
            for offset in range(0, STRIDE * FLOAT32_BYTES, LINE):
                prefetch_line(b, offset_by(b, left_at, AHEAD + offset))
            for index, pointer in enumerate(sums):
                first = index * VECTOR
                x = load(b, offset_by(b, left_at, first * FLOAT32_BYTES), _FLOATS)
                y = load(b, offset_by(b, right_at, first * FLOAT64_BYTES), _DOUBLES)
                product = b.fmul(b.fpext(x, _DOUBLES), y)
                b.store(b.fadd(b.load(pointer), product), pointer)
        first, second, third, fourth = map(b.load, sums)
        return lane_sum(b, b.fadd(b.fadd(first, second), b.fadd(third, fourth)))

    return types.float64(types.intp, types.intp, types.intp), generate


@compiled
def dots(
    matrix: NDArray[np.float32], vector: NDArray[np.float64], out: NDArray[np.float64]
) -> None:
    """Inner products of a matrix's rows with a vector, in float64, each row by itself.

    Args:
        matrix: (m, C).
        vector: (C,).
        out: (m,) out.
    """
    columns = matrix.shape[1]
    whole = columns - columns % STRIDE
    for row in range(matrix.shape[0]):
        start = address(matrix) + row * columns * FLOAT32_BYTES
        total = _double_dot(start, address(vector), whole)
        for column in range(whole, columns):
            total += np.float64(matrix[row, column]) * vector[column]
        out[row] = total


@intrinsic
def _double_square(typing_context: Any, values: Any, size: Any) -> Any:
    """Σ float32² over size values, a multiple of 32, in float64; one order everywhere."""

    def generate(context: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        values = pointer_to(b, arguments[0])
        sums = accumulators(b, _DOUBLES, VECTORS)
        with cgutils.for_range(b, b.udiv(arguments[1], ir.Constant(I64, STRIDE))) as loop:
            place = offset_by(b, values, times(b, loop.index, STRIDE * FLOAT32_BYTES))
            for index, pointer in enumerate(sums):
                x = load(b, offset_by(b, place, index * VECTOR * FLOAT32_BYTES), _FLOATS)
                wide = b.fpext(x, _DOUBLES)
                b.store(b.fadd(b.load(pointer), b.fmul(wide, wide)), pointer)
        first, second, third, fourth = map(b.load, sums)
        return lane_sum(b, b.fadd(b.fadd(first, second), b.fadd(third, fourth)))

    return types.float64(types.intp, types.intp), generate


@compiled
def square_sums(matrix: NDArray[np.float32], out: NDArray[np.float64]) -> None:
    """Squared norms of a matrix's rows, in float64, each row by itself.

    Args:
        matrix: (m, C).
        out: (m,) out.
    """
    columns = matrix.shape[1]
    whole = columns - columns % STRIDE
    for row in range(matrix.shape[0]):
        total = _double_square(address(matrix) + row * columns * FLOAT32_BYTES, whole)
        for column in range(whole, columns):
            total += np.float64(matrix[row, column]) * np.float64(matrix[row, column])
        out[row] = total


def dots_reference(matrix: NDArray[np.float32], vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """What ``dots`` computes, by numpy, up to float64 rounding."""
    products: NDArray[np.float64] = matrix.astype(np.float64) @ vector
    return products
