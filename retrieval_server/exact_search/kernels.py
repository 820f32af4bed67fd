"""The search's inner loops, compiled by numba; the only module that speaks to the processor.

Why not plain numba: its int32 products are widened to int64, so it never emits ``vpdpbusd``, the
AVX-512 VNNI instruction that multiplies 64 unsigned by 64 signed bytes and adds them up in fours.
The intrinsics below emit it through LLVM where the target has it, and the same integer sums in
generic code where it has not (2 to 5 times slower, the same results to the last bit: the sums are
integers). The target is numba's: NUMBA_CPU_NAME and NUMBA_CPU_FEATURES choose another one.

Addresses are passed as integers; the callers in this package answer for sizes and contiguity.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core import config as numba_config
from numba.extending import intrinsic as numba_intrinsic
from numpy.typing import NDArray

from retrieval_server.exact_search.compilation import compiled

LINE = 64  # bytes of a vector register, and of a cache line
MIDDLE_LINES = (2, 4, 4, 4, 4)  # bits of the codes in each line of a row
_MIDDLE_BYTES = LINE * len(MIDDLE_LINES)
RESIDUAL_GROUP, RESIDUAL_LINES = 512, 3  # dimensions, and the lines that have their codes
COARSE_SEGMENTS = (1, 1, 2, 4, 8, 16)  # groups of 8 axes that share a scale of the query's digits
AHEAD = 8192  # bytes that a loop over memory in its order asks for in advance
PREFETCH_DISTANCE = 16  # rows of the middle level
_RESIDUALS_AHEAD = 2  # rows of the residual level

Codes = NDArray[np.uint8]
Digits = NDArray[np.int8]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Rows = NDArray[np.int32]
Lengths = NDArray[np.int64]

config: Any = numba_config
intrinsic: Any = numba_intrinsic  # its own type wants the typing context from the caller
_I8, _I16, _I32, _I64, _F32 = (*(ir.IntType(bits) for bits in (8, 16, 32, 64)), ir.FloatType())
_BYTES, _PAIRS = ir.VectorType(_I8, LINE), ir.VectorType(_I16, LINE // 2)
_WORDS, _FLOATS = ir.VectorType(_I32, LINE // 4), ir.VectorType(_F32, LINE // 4)


def _has_vnni() -> bool:
    if config.CPU_NAME or config.CPU_FEATURES:
        return all(f"+{name}" in (config.CPU_FEATURES or "") for name in ("avx512vnni", "avx512bw"))
    features = llvmlite.binding.get_host_cpu_features()
    return bool(features.get("avx512vnni") and features.get("avx512bw"))


HAS_VNNI = _has_vnni()


# Building blocks of the intrinsics. ``b`` is the LLVM builder.


def _pointer(b: ir.IRBuilder, address: ir.Value) -> ir.Value:
    return b.inttoptr(address, _I8.as_pointer())


def _at(b: ir.IRBuilder, pointer: ir.Value, offset: int | ir.Value) -> ir.Value:
    return b.gep(pointer, [ir.Constant(_I64, offset) if isinstance(offset, int) else offset])


def _load(b: ir.IRBuilder, pointer: ir.Value, kind: ir.Type) -> ir.Value:
    value = b.load(b.bitcast(pointer, kind.as_pointer()))
    value.align = 1
    return value


def _store(b: ir.IRBuilder, value: ir.Value, pointer: ir.Value) -> None:
    b.store(value, b.bitcast(pointer, value.type.as_pointer())).align = 1


def _everywhere(b: ir.IRBuilder, value: ir.Value, kind: ir.VectorType) -> ir.Value:
    """A vector with the same value in every lane."""
    undefined = ir.Constant(kind, ir.Undefined)
    one = b.insert_element(undefined, value, ir.Constant(_I32, 0))
    lanes = ir.Constant(ir.VectorType(_I32, kind.count), [0] * kind.count)
    return b.shuffle_vector(one, undefined, lanes)


def _constant(kind: ir.VectorType, value: float) -> ir.Constant:
    return ir.Constant(kind, [value] * kind.count)


def _dot4(b: ir.IRBuilder, total: ir.Value, codes: ir.Value, digits: ir.Value) -> ir.Value:
    """Per int32 lane: total + the sum of its 4 products of an unsigned code and a signed digit."""
    codes, digits = b.bitcast(codes, _BYTES), b.bitcast(digits, _BYTES)
    if HAS_VNNI:
        kind = ir.FunctionType(_WORDS, [_WORDS, _BYTES, _BYTES])
        dot = cgutils.get_or_insert_function(b.module, kind, "llvm.x86.avx512.vpdpbusd.512")
        return b.call(dot, [total, codes, digits])
    wide = ir.VectorType(_I32, LINE)
    products = b.mul(b.zext(codes, wide), b.sext(digits, wide))
    for byte in range(4):
        lanes = ir.Constant(_WORDS, [4 * lane + byte for lane in range(_WORDS.count)])
        undefined = ir.Constant(wide, ir.Undefined)
        total = b.add(total, b.shuffle_vector(products, undefined, lanes))
    return total


def _planes(b: ir.IRBuilder, line: ir.Value, bits: int) -> list[ir.Value]:
    """The codes of 1, 2 or 4 bits in a line, lowest bits first: 8 / bits lines of one a byte."""
    pairs, mask = b.bitcast(line, _PAIRS), _constant(_BYTES, 2**bits - 1)
    return [
        b.and_(b.bitcast(b.lshr(pairs, _constant(_PAIRS, shift)), _BYTES), mask)
        for shift in range(0, 8, bits)
    ]


def _sum(b: ir.IRBuilder, vector: ir.Value) -> ir.Value:
    """The sum of 16 lanes, halved four times: one order of additions on every target."""
    add = b.add if vector.type == _WORDS else b.fadd
    undefined = ir.Constant(vector.type, ir.Undefined)
    for half in (8, 4, 2, 1):
        lanes = ir.Constant(_WORDS, [(lane + half) % 16 for lane in range(16)])
        vector = add(vector, b.shuffle_vector(vector, undefined, lanes))
    return b.extract_element(vector, ir.Constant(_I32, 0))


def _ask_for(b: ir.IRBuilder, pointer: ir.Value) -> None:
    """Ask for a cache line ahead of its use; where there is no memory, nothing happens."""
    kind = ir.FunctionType(ir.VoidType(), [_I8.as_pointer(), _I32, _I32, _I32])
    function = cgutils.get_or_insert_function(b.module, kind, "llvm.prefetch.p0")
    read, near, data = (ir.Constant(_I32, value) for value in (0, 3, 1))
    b.call(function, [pointer, read, near, data])


@intrinsic
def _address(typing_context: Any, array: Any) -> Any:
    """Address of an array's first element."""

    def generate(context: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        data = context.make_array(signature.args[0])(context, b, arguments[0]).data
        return b.ptrtoint(data, context.get_value_type(types.intp))

    return types.intp(array), generate


@intrinsic
def _prefetch(typing_context: Any, address: Any) -> Any:
    """Ask for a cache line ahead of its use."""

    def generate(context: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        _ask_for(b, _pointer(b, arguments[0]))
        return context.get_dummy_value()

    return types.void(types.intp), generate


@intrinsic
def _coarse_block(
    typing_context: Any,
    codes: Any,
    bounds: Any,
    bound_words: Any,
    digits: Any,
    segments: Any,
    scales: Any,
    weights: Any,
    values: Any,
    uppers: Any,
) -> Any:
    """Value and upper bound of the 64 rows of a block; layout and arguments: see coarse_level.

    One loop over the codes whose lengths the compiler does not know: unrolled, it is twice as slow,
    as the processor reads ahead for few loads that go on and on, not for a hundred that take turns.
    """
    parts = 4  # of 16 rows

    def generate(context: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        words = arguments[2]
        pointers = [_pointer(b, a) for a in (*arguments[:2], *arguments[3:])]
        codes, bounds, digits, segments, scales, weights, values, uppers = pointers
        totals = [cgutils.alloca_once(b, _FLOATS) for _ in range(parts)]
        sums = [cgutils.alloca_once(b, _WORDS) for _ in range(parts)]
        codes_at, digits_at = (cgutils.alloca_once_value(b, each) for each in (codes, digits))
        for pointer in totals:
            b.store(_constant(_FLOATS, 0.0), pointer)
        with cgutils.for_range(b, _load(b, segments, _I64)) as segment:
            for pointer in sums:
                b.store(_constant(_WORDS, 0), pointer)
            length_at = b.mul(b.add(segment.index, ir.Constant(_I64, 1)), ir.Constant(_I64, 8))
            with cgutils.for_range(b, _load(b, _at(b, segments, length_at), _I64)):
                group, digits = b.load(codes_at), b.load(digits_at)
                pair = [
                    _everywhere(b, _load(b, _at(b, digits, 4 * half), _I32), _WORDS)
                    for half in range(2)
                ]
                for part, pointer in enumerate(sums):
                    _ask_for(b, _at(b, group, LINE * part + AHEAD))
                    line, dots = _load(b, _at(b, group, LINE * part), _WORDS), b.load(pointer)
                    for plane, digit in zip(_planes(b, line, 4), pair, strict=True):
                        dots = _dot4(b, dots, plane, digit)
                    b.store(dots, pointer)
                b.store(_at(b, group, LINE * parts), codes_at)
                b.store(_at(b, digits, 8), digits_at)
            scale_at = _at(b, scales, b.mul(segment.index, ir.Constant(_I64, 4)))
            scale = _everywhere(b, _load(b, scale_at, _F32), _FLOATS)
            for pointer, total in zip(sums, totals, strict=True):
                dot = b.fmul(b.sitofp(b.load(pointer), _FLOATS), scale)
                b.store(b.fadd(b.load(total), dot), total)
        unit, offset = (
            _everywhere(b, _load(b, _at(b, scales, 4 * (len(COARSE_SEGMENTS) + n)), _F32), _FLOATS)
            for n in range(2)
        )
        side = [[cgutils.alloca_once(b, _WORDS) for _ in range(parts)] for _ in range(2)]
        for pointer in (*side[0], *side[1]):
            b.store(_constant(_WORDS, 0), pointer)
        with cgutils.for_range(b, words) as loop:
            line_at = _at(b, bounds, b.mul(loop.index, ir.Constant(_I64, LINE * parts)))
            weight_at = _at(b, weights, b.mul(loop.index, ir.Constant(_I64, 8)))
            for part in range(parts):
                line = _load(b, _at(b, line_at, LINE * part), _WORDS)
                for kind in range(2):
                    weight = _load(b, _at(b, weight_at, 4 * kind), _I32)
                    pointer = side[kind][part]
                    dot = _dot4(b, b.load(pointer), line, _everywhere(b, weight, _WORDS))
                    b.store(dot, pointer)
        for part in range(parts):
            total = b.fadd(b.load(totals[part]), offset)
            for kind, out in enumerate((values, uppers)):
                bound = b.fmul(b.sitofp(b.load(side[kind][part]), _FLOATS), unit)
                total = b.fadd(total, bound)
                _store(b, total, _at(b, out, LINE * part))
        return context.get_dummy_value()

    address = types.intp
    return types.void(*[address] * 9), generate


def _scaled(
    b: ir.IRBuilder, total: ir.Value, dots: ir.Value, scales: ir.Value, plane: int
) -> ir.Value:
    """Total + scale of a plane · dots, 16 lanes of float32."""
    scale = _everywhere(b, _load(b, _at(b, scales, 4 * plane), _F32), _FLOATS)
    return b.fadd(total, b.fmul(b.sitofp(dots, _FLOATS), scale))


@intrinsic
def _middle_dot(typing_context: Any, row: Any, digits: Any, scales: Any) -> Any:
    """Σ over planes of scale · Σ code · digit, for one row of the middle level."""

    def generate(context: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        row, digits, scales = (_pointer(b, argument) for argument in arguments)
        total, plane = _constant(_FLOATS, 0.0), 0
        for line, bits in enumerate(MIDDLE_LINES):
            for codes in _planes(b, _load(b, _at(b, row, LINE * line), _WORDS), bits):
                digit = _load(b, _at(b, digits, LINE * plane), _WORDS)
                dots = _dot4(b, _constant(_WORDS, 0), codes, digit)
                total = _scaled(b, total, dots, scales, plane)
                plane += 1
        return _sum(b, total)

    return types.float32(types.intp, types.intp, types.intp), generate


@intrinsic
def _residual_dot(typing_context: Any, row: Any, digits: Any, scales: Any, size: Any) -> Any:
    """The same for one row of the residual level, size bytes of codes."""

    def generate(context: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        row, digits, scales = (_pointer(b, argument) for argument in arguments[:3])
        total = cgutils.alloca_once_value(b, _constant(_FLOATS, 0.0))
        groups = b.udiv(arguments[3], ir.Constant(_I64, RESIDUAL_LINES * LINE))
        with cgutils.for_range(b, groups) as loop:
            row_at, digits_at, scales_at = (
                _at(b, pointer, b.mul(loop.index, ir.Constant(_I64, size)))
                for pointer, size in (
                    (row, RESIDUAL_LINES * LINE),
                    (digits, RESIDUAL_GROUP),
                    (scales, 4 * RESIDUAL_GROUP // LINE),
                )
            )
            first, second, third = (
                _load(b, _at(b, row_at, LINE * line), _WORDS) for line in range(RESIDUAL_LINES)
            )
            uppers, lowest = _planes(b, first, 2) + _planes(b, second, 2), _planes(b, third, 1)
            sums = b.load(total)
            for plane, (upper, low) in enumerate(zip(uppers, lowest, strict=True)):
                digit = _load(b, _at(b, digits_at, LINE * plane), _WORDS)
                dots = _dot4(b, _constant(_WORDS, 0), upper, digit)
                dots = _dot4(b, b.add(dots, dots), low, digit)
                sums = _scaled(b, sums, dots, scales_at, plane)
            b.store(sums, total)
        return _sum(b, b.load(total))

    return types.float32(types.intp, types.intp, types.intp, types.intp), generate


@intrinsic
def _byte_dot(typing_context: Any, codes: Any, high: Any, low: Any, size: Any) -> Any:
    """128 · Σ code · high + Σ code · low over size bytes, a multiple of 64, as int64."""

    def generate(context: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        codes, high, low = (_pointer(b, argument) for argument in arguments[:3])
        sums = [cgutils.alloca_once(b, _WORDS) for _ in range(2)]
        for pointer in sums:
            b.store(_constant(_WORDS, 0), pointer)
        step = ir.Constant(_I64, LINE)
        with cgutils.for_range(b, b.udiv(arguments[3], step)) as loop:
            offset = b.mul(loop.index, step)
            line = _load(b, _at(b, codes, offset), _WORDS)
            for pointer, digits in zip(sums, (high, low), strict=True):
                digit = _load(b, _at(b, digits, offset), _WORDS)
                b.store(_dot4(b, b.load(pointer), line, digit), pointer)
        highs, lows = (b.sext(_sum(b, b.load(pointer)), _I64) for pointer in sums)
        return b.add(b.mul(highs, ir.Constant(_I64, 128)), lows)

    return types.int64(types.intp, types.intp, types.intp, types.intp), generate


@intrinsic
def _double_dot(typing_context: Any, left: Any, right: Any, size: Any) -> Any:
    """Σ float32 · float64 over size numbers, a multiple of 32, in float64; one order everywhere."""
    lanes, width = 4, 8

    def generate(context: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        left, right = (_pointer(b, argument) for argument in arguments[:2])
        floats, doubles = ir.VectorType(_F32, width), ir.VectorType(ir.DoubleType(), width)
        sums = [cgutils.alloca_once(b, doubles) for _ in range(lanes)]
        for pointer in sums:
            b.store(_constant(doubles, 0.0), pointer)
        step = ir.Constant(_I64, lanes * width)
        with cgutils.for_range(b, b.udiv(arguments[2], step)) as loop:
            first = b.mul(loop.index, step)
            left_at = _at(b, left, b.mul(first, ir.Constant(_I64, 4)))
            for line in range(lanes * width * 4 // LINE):
                _ask_for(b, _at(b, left_at, AHEAD + LINE * line))
            right_at = _at(b, right, b.mul(first, ir.Constant(_I64, 8)))
            for lane, pointer in enumerate(sums):
                x = b.fpext(_load(b, _at(b, left_at, 4 * width * lane), floats), doubles)
                y = _load(b, _at(b, right_at, 8 * width * lane), doubles)
                b.store(b.fadd(b.load(pointer), b.fmul(x, y)), pointer)
        first, second, third, fourth = map(b.load, sums)
        total = b.fadd(b.fadd(first, second), b.fadd(third, fourth))
        undefined = ir.Constant(doubles, ir.Undefined)
        for half in (4, 2, 1):
            turned = [(lane + half) % width for lane in range(width)]
            places = ir.Constant(ir.VectorType(_I32, width), turned)
            total = b.fadd(total, b.shuffle_vector(total, undefined, places))
        return b.extract_element(total, ir.Constant(_I32, 0))

    return types.float64(types.intp, types.intp, types.intp), generate


# The loops


@compiled
def dots(matrix: Floats, vector: Doubles, out: Doubles) -> None:
    """Inner products of a matrix's rows with a vector, in float64, each row by itself."""
    columns = matrix.shape[1]
    whole = columns - columns % 32
    for row in range(matrix.shape[0]):
        start = _address(matrix) + row * columns * 4
        total = _double_dot(start, _address(vector), whole)
        for place in range(whole, columns):
            total += np.float64(matrix[row, place]) * vector[place]
        out[row] = total


@compiled
def coarse_scan(
    codes: Codes,
    bounds: Codes,
    digits: Digits,
    segments: Lengths,
    scales: Floats,
    weights: Digits,
    first: int,
    last: int,
    values: Floats,
    uppers: Floats,
    block_max: Floats,
) -> None:
    """Bound the rows of blocks [first, last); see coarse_level."""
    words = bounds.shape[1]
    for block in range(first, last):
        _coarse_block(
            _address(codes) + block * codes.shape[1] * 256,
            _address(bounds) + block * words * 256,
            words,
            _address(digits),
            _address(segments),
            _address(scales),
            _address(weights),
            _address(values) + block * 256,
            _address(uppers) + block * 256,
        )
        largest = uppers[block * 64]
        for row in range(block * 64 + 1, block * 64 + 64):
            largest = max(largest, uppers[row])
        block_max[block] = largest


@compiled
def middle_bounds(
    codes: Codes,
    bounds: Floats,
    rows: Rows,
    first: int,
    last: int,
    base: Floats,
    digits: Digits,
    scales: Floats,
    weights: Doubles,
    values: Floats,
    uppers: Floats,
) -> None:
    """Value and upper bound of rows[first:last]; see middle_level. base: values of all rows."""
    start, side = _address(codes), _address(bounds)
    for place in range(first, last):
        ahead = place + PREFETCH_DISTANCE
        if ahead < last:
            for line in range(0, _MIDDLE_BYTES, LINE):
                _prefetch(start + rows[ahead] * _MIDDLE_BYTES + line)
            _prefetch(side + rows[ahead] * 12)
        row = rows[place]
        dot = _middle_dot(start + row * _MIDDLE_BYTES, _address(digits), _address(scales))
        value = base[row] + np.float64(dot) + weights[0]
        rest = weights[1] * bounds[row, 0] + weights[2] * bounds[row, 1]
        values[place] = value
        uppers[place] = value + rest + weights[3] * bounds[row, 2]


@compiled
def residual_bounds(
    codes: Codes,
    bounds: Floats,
    rows: Rows,
    first: int,
    last: int,
    digits: Digits,
    scales: Floats,
    weights: Doubles,
    values: Floats,
    uppers: Floats,
) -> None:
    """Value, in place, and upper bound of rows[first:last]; see residual_level."""
    start, side, width = _address(codes), _address(bounds), codes.shape[1]
    for place in range(first, last):
        ahead = place + _RESIDUALS_AHEAD
        if ahead < last:
            for line in range(0, width, LINE):
                _prefetch(start + rows[ahead] * width + line)
            _prefetch(side + rows[ahead] * 8)
        row = rows[place]
        dot = _residual_dot(start + row * width, _address(digits), _address(scales), width)
        value = values[place] + np.float64(dot) + weights[0]
        values[place] = value
        uppers[place] = value + weights[1] * bounds[row, 0] + weights[2] * bounds[row, 1]


@compiled
def byte_cosines(
    codes: Codes,
    bounds: Floats,
    column: int,
    number: int,
    high: Digits,
    low: Digits,
    query: Doubles,
    cosines: Doubles,
    radii: Doubles,
) -> None:
    """Estimated cosines of one backbone and their largest errors; see byte_level."""
    start, width = _address(codes) + column, codes.shape[1]
    unit, shift, norm, lost = query[0], query[1], query[2], query[3]
    for row in range(codes.shape[0]):
        scale = np.float64(bounds[row, 2 * number])
        residual = np.float64(bounds[row, 2 * number + 1])
        dot = _byte_dot(start + row * width, _address(high), _address(low), len(high))
        cosines[row] = (np.float64(dot) - shift) * unit * scale
        radii[row] = norm * residual + lost * (1.002 + residual) + 1e-9
