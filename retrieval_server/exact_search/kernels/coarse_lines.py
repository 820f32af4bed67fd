"""The instruction of the coarse level: estimates and upper bounds of L of some lines of a block."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from retrieval_server.exact_search.kernels.layout import (
    COARSE_BITS,
    COARSE_SEGMENTS,
    FLOAT32_BYTES,
    GROUP_AXES,
    INT64_BYTES,
    LINE,
    REFINED_BITS,
    STRIPE,
    WORD,
)
from retrieval_server.exact_search.kernels.vector_instructions import (
    FLOATS,
    I64,
    LOWEST,
    WORDS,
    accumulators,
    add_scaled,
    broadcast,
    clear,
    dot4,
    intrinsic,
    lane_maximum,
    lanes_of,
    larger,
    load,
    offset_by,
    planes,
    pointer_to,
    prefetch_line,
    store,
    times,
)

_REFINEMENT = len(COARSE_SEGMENTS)  # positions in a query's scales, after those of the segments
UNIT, CONSTANT = _REFINEMENT + 1, _REFINEMENT + 2
OUTPUTS = 2  # estimates, upper bounds
_WEIGHTS = OUTPUTS * WORD  # bytes of the weights of one word of bounds


def bounds_of(lines: int) -> Any:
    """Make the instruction that estimates and bounds the rows of some lines of a block.

    All its arguments but ``words``, ``mask`` and ``ahead`` are addresses. ``mask`` has a bit for
    each row that may be found; the others get -inf. ``ahead`` is the distance from the codes to
    those that are read next. It returns the largest upper bound.
    """

    @intrinsic
    def bounds_of_lines(
        typing_context: Any,
        codes: Any,
        bounds: Any,
        words: Any,
        digits: Any,
        segments: Any,
        scales: Any,
        weights: Any,
        mask: Any,
        ahead: Any,
        estimates: Any,
        upper_bounds: Any,
    ) -> Any:
        def generate(context: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
            words, mask, ahead = (arguments[position] for position in (2, 7, 8))
            codes, bounds, digits, segments, scales, weights, *outputs = (
                pointer_to(b, arguments[position]) for position in (0, 1, 3, 4, 5, 6, 9, 10)
            )
            totals = _code_totals(b, codes, digits, segments, scales, ahead, lines)
            unit, constant = (
                broadcast(b, offset_by(b, scales, FLOAT32_BYTES * position), FLOATS)
                for position in (UNIT, CONSTANT)
            )
            sums = _bound_sums(b, bounds, words, weights, lines)
            largest = LOWEST
            for line in range(lines):
                may_be_found = lanes_of(b, mask, line)
                total = b.fadd(b.load(totals[line]), constant)
                for output, side in zip(outputs, sums, strict=True):
                    total = add_scaled(b, total, b.load(side[line]), unit)
                    found = b.select(may_be_found, total, LOWEST)
                    store(b, found, offset_by(b, output, LINE * line))
                largest = larger(b, largest, found)
            return lane_maximum(b, largest)

        return types.float32(*[types.intp] * 11), generate

    return bounds_of_lines


def _code_totals(
    b: ir.IRBuilder,
    codes: ir.Value,
    digits: ir.Value,
    segments: ir.Value,
    scales: ir.Value,
    ahead: ir.Value,
    lines: int,
) -> list[ir.Value]:
    """Σ over segments, and over the refinement, of scale · Σ code · digit.

    One loop over the codes whose lengths the compiler does not know: unrolled, it is twice as slow,
    as the processor reads ahead for few loads that go on and on, not for a hundred that take turns.
    """
    totals = accumulators(b, FLOATS, lines)
    sums = [cgutils.alloca_once(b, WORDS) for _ in range(lines)]
    codes_at, digits_at = (cgutils.alloca_once_value(b, each) for each in (codes, digits))
    with cgutils.for_range(b, load(b, segments, I64)) as segment:  # count first
        clear(b, sums, WORDS)
        length_at = times(b, b.add(segment.index, ir.Constant(I64, 1)), INT64_BYTES)
        with cgutils.for_range(b, load(b, offset_by(b, segments, length_at), I64)):
            stripe, group_digits = b.load(codes_at), b.load(digits_at)
            _add_stripe(b, sums, stripe, group_digits, ahead, COARSE_BITS)
            b.store(offset_by(b, stripe, STRIPE), codes_at)
            b.store(offset_by(b, group_digits, GROUP_AXES), digits_at)
        scale_at = offset_by(b, scales, times(b, segment.index, FLOAT32_BYTES))
        _add_sums(b, totals, sums, scale_at)
    clear(b, sums, WORDS)
    _add_stripe(b, sums, b.load(codes_at), b.load(digits_at), ahead, REFINED_BITS)
    _add_sums(b, totals, sums, offset_by(b, scales, FLOAT32_BYTES * _REFINEMENT))
    return totals


def _add_sums(
    b: ir.IRBuilder, totals: list[ir.Value], sums: list[ir.Value], scale_at: ir.Value
) -> None:
    scale = broadcast(b, scale_at, FLOATS)
    for pointer, total in zip(sums, totals, strict=True):
        b.store(add_scaled(b, b.load(total), b.load(pointer), scale), total)


def _add_stripe(
    b: ir.IRBuilder,
    sums: list[ir.Value],
    stripe: ir.Value,
    digits: ir.Value,
    ahead: ir.Value,
    bits: int,
) -> None:
    """Add Σ code · digit over the axes of a stripe of codes of some bits."""
    words = [broadcast(b, offset_by(b, digits, WORD * plane), WORDS) for plane in range(8 // bits)]
    for line, pointer in enumerate(sums):
        prefetch_line(b, offset_by(b, offset_by(b, stripe, LINE * line), ahead))
        codes, dots = load(b, offset_by(b, stripe, LINE * line), WORDS), b.load(pointer)
        for plane, word in zip(planes(b, codes, bits), words, strict=True):
            dots = dot4(b, dots, plane, word)
        b.store(dots, pointer)


def _bound_sums(
    b: ir.IRBuilder, bounds: ir.Value, words: ir.Value, weights: ir.Value, lines: int
) -> list[list[ir.Value]]:
    """Σ bound · weight for the estimates, and what the upper bounds add to them."""
    sums = [accumulators(b, WORDS, lines) for _ in range(OUTPUTS)]
    with cgutils.for_range(b, words) as word:
        stripe = offset_by(b, bounds, times(b, word.index, STRIPE))
        weights_at = offset_by(b, weights, times(b, word.index, _WEIGHTS))
        for line in range(lines):
            stored = load(b, offset_by(b, stripe, LINE * line), WORDS)
            for output, side in enumerate(sums):
                weight = broadcast(b, offset_by(b, weights_at, WORD * output), WORDS)
                b.store(dot4(b, b.load(side[line]), stored, weight), side[line])
    return sums
