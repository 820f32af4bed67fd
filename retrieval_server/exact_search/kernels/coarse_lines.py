"""The instruction of the coarse level: estimates and upper bounds of L of some lines of a block."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from retrieval_server.exact_search.kernels.layout import (
    COARSE_SEGMENTS,
    FLOAT32_BYTES,
    INT64_BYTES,
    LINE,
    STRIPE,
    WIDE_STRIPES,
    WORD,
    stripe_codes,
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

# Lengths that the instruction loops over: of the wide segment; for each number of bits the count of
# segments and their lengths, the wide one once more.
SEGMENT_LENGTHS = (
    WIDE_STRIPES,
    *(length for _, lengths in COARSE_SEGMENTS for length in (len(lengths), *lengths)),
)
UNIT = 1 + sum(len(lengths) for _, lengths in COARSE_SEGMENTS)  # in a query's scales, after S
CONSTANT = UNIT + 1
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
            totals = _CodeTotals(b, codes, digits, segments, scales, ahead, lines).found()
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


class _CodeTotals:
    """Σ over segments of scale · Σ code · digit: by query, by line.

    It loops over the codes, and the compiler does not know the lengths: unrolled, it is twice as
    slow, as the processor reads ahead for few loads that go on and on, not for a hundred that take
    turns.
    """

    def __init__(
        self,
        b: ir.IRBuilder,
        codes: ir.Value,
        digits: list[ir.Value],
        segments: ir.Value,
        scales: list[ir.Value],
        ahead: ir.Value,
        lines: int,
    ) -> None:
        self._b, self._codes, self._ahead = b, codes, ahead
        self._digits, self._scales, self._segments = digits, scales, segments
        self._totals = [accumulators(b, FLOATS, lines) for _ in digits]
        self._sums = [[cgutils.alloca_once(b, WORDS) for _ in range(lines)] for _ in digits]
        # How far the loops are: in the codes, the digits, the scales and the lengths.
        self._code, self._digit, self._scale, self._length = (
            cgutils.alloca_once_value(b, ir.Constant(I64, 0)) for _ in range(4)
        )

    def found(self) -> list[list[ir.Value]]:
        """Pointers to the totals. The wide segment is read twice: with low and with high digits."""
        b = self._b
        self._add_segment(COARSE_SEGMENTS[0][0])
        b.store(ir.Constant(I64, 0), self._code)
        for bits, _ in COARSE_SEGMENTS:
            with cgutils.for_range(b, self._next_length()):
                self._add_segment(bits)
        return self._totals

    def _next_length(self) -> ir.Value:
        length = load(self._b, offset_by(self._b, self._segments, self._b.load(self._length)), I64)
        self._advance(self._length, INT64_BYTES)
        return length

    def _add_segment(self, bits: int) -> None:
        b = self._b
        for of_query in self._sums:
            clear(b, of_query, WORDS)
        with cgutils.for_range(b, self._next_length()):
            self._add_stripe(bits)
        for totals, sums, scales in zip(self._totals, self._sums, self._scales, strict=True):
            scale = broadcast(b, offset_by(b, scales, b.load(self._scale)), FLOATS)
            for pointer, total in zip(sums, totals, strict=True):
                b.store(add_scaled(b, b.load(total), b.load(pointer), scale), total)
        self._advance(self._scale, FLOAT32_BYTES)

    def _add_stripe(self, bits: int) -> None:
        """Add Σ code · digit over the axes of the next stripe, of codes of some bits."""
        b, count = self._b, 8 // bits
        stripe = offset_by(b, self._codes, b.load(self._code))
        digits = [offset_by(b, each, b.load(self._digit)) for each in self._digits]
        words = [
            [broadcast(b, offset_by(b, each, WORD * plane), WORDS) for plane in range(count)]
            for each in digits
        ]
        for line in range(len(self._sums[0])):
            at = offset_by(b, stripe, LINE * line)
            prefetch_line(b, offset_by(b, at, self._ahead))
            codes = planes(b, load(b, at, WORDS), (bits,) * count)
            for of_query, words_of_query in zip(self._sums, words, strict=True):
                dots = b.load(of_query[line])
                for plane, word in zip(codes, words_of_query, strict=True):
                    dots = dot4(b, dots, plane, word)
                b.store(dots, of_query[line])
        self._advance(self._code, STRIPE)
        self._advance(self._digit, stripe_codes(bits))

    def _advance(self, place: ir.Value, size: int) -> None:
        b = self._b
        b.store(b.add(b.load(place), ir.Constant(I64, size)), place)


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
