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

    It reads the codes once for all queries. What it computes for a query does not depend on the
    others. All its arguments but ``words``, ``ahead`` and ``offset`` are addresses, and a tuple has
    one for each query. ``masks`` has 64 bits for each query, one for each row that may be found;
    the others get -inf. ``ahead`` is the distance from the codes to those that are read next,
    ``offset`` that from the start of the outputs. ``largest`` gets the largest upper bound of each
    query.
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
        masks: Any,
        ahead: Any,
        estimates: Any,
        upper_bounds: Any,
        offset: Any,
        largest: Any,
    ) -> Any:
        queries = digits.count

        def generate(context: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
            codes, bounds, segments, masks, largest = (
                pointer_to(b, arguments[position]) for position in (0, 1, 4, 7, 12)
            )
            words, ahead, offset = (arguments[position] for position in (2, 8, 11))
            digits, scales, weights, estimates, upper_bounds = (
                [pointer_to(b, each) for each in cgutils.unpack_tuple(b, arguments[position])]
                for position in (3, 5, 6, 9, 10)
            )
            totals = _code_totals(b, codes, digits, segments, scales, ahead, lines)
            for query in range(queries):
                unit, constant = (
                    broadcast(b, offset_by(b, scales[query], FLOAT32_BYTES * position), FLOATS)
                    for position in (UNIT, CONSTANT)
                )
                mask = load(b, offset_by(b, masks, INT64_BYTES * query), I64)
                sums = _bound_sums(b, bounds, words, weights[query], lines)
                highest = LOWEST
                for line in range(lines):
                    may_be_found = lanes_of(b, mask, line)
                    total = b.fadd(b.load(totals[query][line]), constant)
                    for output, side in zip((estimates, upper_bounds), sums, strict=True):
                        total = add_scaled(b, total, b.load(side[line]), unit)
                        found = b.select(may_be_found, total, LOWEST)
                        at = offset_by(b, offset_by(b, output[query], offset), LINE * line)
                        store(b, found, at)
                    highest = larger(b, highest, found)
                largest_at = offset_by(b, largest, FLOAT32_BYTES * query)
                store(b, lane_maximum(b, highest), largest_at)
            return context.get_dummy_value()

        each = types.UniTuple(types.intp, queries)
        one = types.intp
        kinds = (one, one, one, each, one, each, each, one, one, each, each, one, one)
        return types.void(*kinds), generate

    return bounds_of_lines


def _code_totals(
    b: ir.IRBuilder,
    codes: ir.Value,
    digits: list[ir.Value],
    segments: ir.Value,
    scales: list[ir.Value],
    ahead: ir.Value,
    lines: int,
) -> list[list[ir.Value]]:
    """Σ over segments, and over the refinement, of scale · Σ code · digit: by query, by line.

    One loop over the codes whose lengths the compiler does not know: unrolled, it is twice as slow,
    as the processor reads ahead for few loads that go on and on, not for a hundred that take turns.
    """
    totals = [accumulators(b, FLOATS, lines) for _ in digits]
    sums = [[cgutils.alloca_once(b, WORDS) for _ in range(lines)] for _ in digits]
    codes_at = cgutils.alloca_once_value(b, codes)
    group = cgutils.alloca_once_value(b, ir.Constant(I64, 0))
    with cgutils.for_range(b, load(b, segments, I64)) as segment:  # count first
        _clear(b, sums)
        length_at = times(b, b.add(segment.index, ir.Constant(I64, 1)), INT64_BYTES)
        with cgutils.for_range(b, load(b, offset_by(b, segments, length_at), I64)):
            stripe, place = b.load(codes_at), b.load(group)
            group_digits = [offset_by(b, each, place) for each in digits]
            _add_stripe(b, sums, stripe, group_digits, ahead, COARSE_BITS)
            b.store(offset_by(b, stripe, STRIPE), codes_at)
            b.store(b.add(place, ir.Constant(I64, GROUP_AXES)), group)
        place = times(b, segment.index, FLOAT32_BYTES)
        _add_sums(b, totals, sums, [offset_by(b, each, place) for each in scales])
    _clear(b, sums)
    place = b.load(group)
    group_digits = [offset_by(b, each, place) for each in digits]
    _add_stripe(b, sums, b.load(codes_at), group_digits, ahead, REFINED_BITS)
    scales_at = [offset_by(b, each, FLOAT32_BYTES * _REFINEMENT) for each in scales]
    _add_sums(b, totals, sums, scales_at)
    return totals


def _clear(b: ir.IRBuilder, sums: list[list[ir.Value]]) -> None:
    for of_query in sums:
        clear(b, of_query, WORDS)


def _add_sums(
    b: ir.IRBuilder,
    totals: list[list[ir.Value]],
    sums: list[list[ir.Value]],
    scales_at: list[ir.Value],
) -> None:
    for totals_of_query, sums_of_query, scale_at in zip(totals, sums, scales_at, strict=True):
        scale = broadcast(b, scale_at, FLOATS)
        for pointer, total in zip(sums_of_query, totals_of_query, strict=True):
            b.store(add_scaled(b, b.load(total), b.load(pointer), scale), total)


def _add_stripe(
    b: ir.IRBuilder,
    sums: list[list[ir.Value]],
    stripe: ir.Value,
    digits: list[ir.Value],
    ahead: ir.Value,
    bits: int,
) -> None:
    """Add Σ code · digit over the axes of a stripe of codes of some bits."""
    words = [
        [broadcast(b, offset_by(b, each, WORD * plane), WORDS) for plane in range(8 // bits)]
        for each in digits
    ]
    for line in range(len(sums[0])):
        prefetch_line(b, offset_by(b, offset_by(b, stripe, LINE * line), ahead))
        codes = planes(b, load(b, offset_by(b, stripe, LINE * line), WORDS), bits)
        for of_query, words_of_query in zip(sums, words, strict=True):
            dots = b.load(of_query[line])
            for plane, word in zip(codes, words_of_query, strict=True):
                dots = dot4(b, dots, plane, word)
            b.store(dots, of_query[line])


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
