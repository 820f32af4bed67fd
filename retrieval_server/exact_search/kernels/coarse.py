"""The kernel of the coarse level: estimates and upper bounds of L of whole blocks of rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numpy.typing import NDArray

from retrieval_server.exact_search.kernels.compilation import compiled, inlined
from retrieval_server.exact_search.kernels.layout import (
    BLOCK_ROWS,
    COARSE_BITS,
    COARSE_SEGMENTS,
    FLOAT32_BYTES,
    GROUP_AXES,
    INT64_BYTES,
    LINE,
    STRIPE,
    STRIPE_LINES,
    WORD,
    coarse_bound_bytes,
    unpacked_coarse,
)
from retrieval_server.exact_search.kernels.vector_instructions import (
    AHEAD,
    FLOATS,
    I64,
    WORDS,
    accumulators,
    add_scaled,
    address,
    broadcast,
    clear,
    dot4,
    intrinsic,
    load,
    offset_by,
    planes,
    pointer_to,
    prefetch_line,
    store,
    times,
)

UNIT, CONSTANT = len(COARSE_SEGMENTS), len(COARSE_SEGMENTS) + 1  # positions in a query's scales
_OUTPUTS = 2  # estimates, upper bounds
_WEIGHTS = _OUTPUTS * WORD  # bytes of the weights of one word of bounds


@intrinsic
def _coarse_block(
    typing_context: Any,
    codes: Any,
    bounds: Any,
    words: Any,
    digits: Any,
    segments: Any,
    scales: Any,
    weights: Any,
    estimates: Any,
    upper_bounds: Any,
) -> Any:
    """Estimate and bound the 64 rows of a block; all arguments but ``words`` are addresses.

    Four accumulators, one for each line of a stripe, take 16 rows each.
    """

    def generate(context: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        words = arguments[2]
        pointers = [pointer_to(b, each) for each in (*arguments[:2], *arguments[3:])]
        codes, bounds, digits, segments, scales, weights, *outputs = pointers
        totals = _code_totals(b, codes, digits, segments, scales)
        unit, constant = (
            broadcast(b, offset_by(b, scales, FLOAT32_BYTES * position), FLOATS)
            for position in (UNIT, CONSTANT)
        )
        sums = _bound_sums(b, bounds, words, weights)
        for line in range(STRIPE_LINES):
            total = b.fadd(b.load(totals[line]), constant)
            for output, side in zip(outputs, sums, strict=True):
                total = add_scaled(b, total, b.load(side[line]), unit)
                store(b, total, offset_by(b, output, LINE * line))
        return context.get_dummy_value()

    return types.void(*[types.intp] * 9), generate


def _code_totals(
    b: ir.IRBuilder, codes: ir.Value, digits: ir.Value, segments: ir.Value, scales: ir.Value
) -> list[ir.Value]:
    """Σ over segments of scale · Σ code · digit.

    One loop over the codes whose lengths the compiler does not know: unrolled, it is twice as slow,
    as the processor reads ahead for few loads that go on and on, not for a hundred that take turns.
    """
    totals = accumulators(b, FLOATS, STRIPE_LINES)
    sums = [cgutils.alloca_once(b, WORDS) for _ in range(STRIPE_LINES)]
    codes_at, digits_at = (cgutils.alloca_once_value(b, each) for each in (codes, digits))
    with cgutils.for_range(b, load(b, segments, I64)) as segment:  # count first
        clear(b, sums, WORDS)
        length_at = times(b, b.add(segment.index, ir.Constant(I64, 1)), INT64_BYTES)
        with cgutils.for_range(b, load(b, offset_by(b, segments, length_at), I64)):
            stripe, group_digits = b.load(codes_at), b.load(digits_at)
            _add_group(b, sums, stripe, group_digits)
            b.store(offset_by(b, stripe, STRIPE), codes_at)
            b.store(offset_by(b, group_digits, GROUP_AXES), digits_at)
        scale_at = offset_by(b, scales, times(b, segment.index, FLOAT32_BYTES))
        scale = broadcast(b, scale_at, FLOATS)
        for pointer, total in zip(sums, totals, strict=True):
            b.store(add_scaled(b, b.load(total), b.load(pointer), scale), total)
    return totals


def _add_group(b: ir.IRBuilder, sums: list[ir.Value], stripe: ir.Value, digits: ir.Value) -> None:
    """Add Σ code · digit over the 8 axes of a group."""
    halves = [
        broadcast(b, offset_by(b, digits, offset), WORDS) for offset in range(0, GROUP_AXES, WORD)
    ]
    for line, pointer in enumerate(sums):
        prefetch_line(b, offset_by(b, stripe, LINE * line + AHEAD))
        codes, dots = load(b, offset_by(b, stripe, LINE * line), WORDS), b.load(pointer)
        for plane, half in zip(planes(b, codes, COARSE_BITS), halves, strict=True):
            dots = dot4(b, dots, plane, half)
        b.store(dots, pointer)


def _bound_sums(
    b: ir.IRBuilder, bounds: ir.Value, words: ir.Value, weights: ir.Value
) -> list[list[ir.Value]]:
    """Σ bound · weight for the estimates, and what the upper bounds add to them."""
    sums = [accumulators(b, WORDS, STRIPE_LINES) for _ in range(_OUTPUTS)]
    with cgutils.for_range(b, words) as word:
        stripe = offset_by(b, bounds, times(b, word.index, STRIPE))
        weights_at = offset_by(b, weights, times(b, word.index, _WEIGHTS))
        for line in range(STRIPE_LINES):
            stored = load(b, offset_by(b, stripe, LINE * line), WORDS)
            for output, side in enumerate(sums):
                weight = broadcast(b, offset_by(b, weights_at, WORD * output), WORDS)
                b.store(dot4(b, b.load(side[line]), stored, weight), side[line])
    return sums


@inlined
def _any_allowed(allowed: NDArray[np.bool_], first_row: int) -> bool:
    """Whether a row of a block may be found."""
    count = 0  # without a branch for each row
    for row in range(first_row, min(first_row + BLOCK_ROWS, allowed.size)):
        count += allowed[row]
    return count > 0


@inlined
def _leave_out(
    allowed: NDArray[np.bool_],
    first_row: int,
    estimates: NDArray[np.float32],
    upper_bounds: NDArray[np.float32],
) -> None:
    """Set the values of a block's rows that may not be found to -inf."""
    for row in range(first_row, min(first_row + BLOCK_ROWS, allowed.size)):
        estimates[row] = estimates[row] if allowed[row] else -np.inf
        upper_bounds[row] = upper_bounds[row] if allowed[row] else -np.inf


@compiled
def coarse_bounds(
    codes: NDArray[np.uint8],
    bounds: NDArray[np.uint8],
    first: int,
    last: int,
    digits: NDArray[np.int8],
    segments: NDArray[np.int64],
    scales: NDArray[np.float32],
    weights: NDArray[np.int8],
    allowed: NDArray[np.bool_],
    estimates: NDArray[np.float32],
    upper_bounds: NDArray[np.float32],
    block_maxima: NDArray[np.float32],
) -> None:
    """Estimate and bound L of the rows of blocks [first, last); see ``levels.coarse``.

    A row that may not be found has -inf for both. The codes of a block without a row that may be
    found are not read.

    Args:
        codes: (blocks, 32, 256).
        bounds: (blocks, W, 256).
        first: first block.
        last: one past the last block.
        digits: (32, 2, 4) of the query, in the order of the codes.
        segments: (7,) the count of segments, then the number of groups in each.
        scales: (8,) S of the segments, the unit of the weights, the constant.
        weights: (W, 2, 4) of the bounds, in the estimate, and in what the upper bound adds to it.
        allowed: (N,) which rows may be found; empty where all may.
        estimates: (64 · blocks,) out.
        upper_bounds: (64 · blocks,) out.
        block_maxima: (blocks,) out, the largest upper bound of each block.
    """
    words = bounds.shape[1]
    for block in range(first, last):
        first_row = block * BLOCK_ROWS
        if allowed.size and not _any_allowed(allowed, first_row):
            estimates[first_row : first_row + BLOCK_ROWS] = -np.inf
            upper_bounds[first_row : first_row + BLOCK_ROWS] = -np.inf
            block_maxima[block] = -np.inf
            continue
        _coarse_block(
            address(codes) + block * codes.shape[1] * STRIPE,
            address(bounds) + block * words * STRIPE,
            words,
            address(digits),
            address(segments),
            address(scales),
            address(weights),
            address(estimates) + first_row * FLOAT32_BYTES,
            address(upper_bounds) + first_row * FLOAT32_BYTES,
        )
        if allowed.size:
            _leave_out(allowed, first_row, estimates, upper_bounds)
        largest = upper_bounds[first_row]
        for row in range(first_row + 1, first_row + BLOCK_ROWS):
            largest = max(largest, upper_bounds[row])
        block_maxima[block] = largest


def coarse_bounds_reference(
    codes: NDArray[np.uint8],
    bounds: NDArray[np.uint8],
    digits: NDArray[np.int8],
    segments: NDArray[np.int64],
    scales: NDArray[np.float32],
    weights: NDArray[np.int8],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What ``coarse_bounds`` computes of all blocks, by numpy: bit for bit.

    Returns:
        Estimates and upper bounds, (64 · blocks,) each.
    """
    products = unpacked_coarse(codes).astype(np.int32) * digits.reshape(-1)
    starts = GROUP_AXES * np.cumsum([0, *segments[1:-1]])
    dots = np.add.reduceat(products, starts, axis=1).astype(np.float32)
    total = np.zeros(len(dots), np.float32)
    for segment, scale in enumerate(scales[: segments[0]]):
        total += dots[:, segment] * scale
    of_estimate, of_upper_bound = weights.swapaxes(0, 1).reshape(_OUTPUTS, -1).astype(np.int32)
    stored = coarse_bound_bytes(bounds).astype(np.int32)
    estimates = total + scales[CONSTANT] + (stored @ of_estimate).astype(np.float32) * scales[UNIT]
    return estimates, estimates + (stored @ of_upper_bound).astype(np.float32) * scales[UNIT]
