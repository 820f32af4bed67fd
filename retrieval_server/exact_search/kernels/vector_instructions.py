"""The vector instructions that the kernels are made of; the only module that asks for a processor.

Why not plain numba: it widens int32 products to int64, so it never emits ``vpdpbusd``, the AVX-512
VNNI instruction that multiplies 64 unsigned by 64 signed bytes and adds them up in fours. The
kernels emit it through LLVM where the target has it, and the same integer sums in generic code
where it has not (2 to 5 times slower, the same results to the last bit: the sums are integers). The
target is numba's: NUMBA_CPU_NAME and NUMBA_CPU_FEATURES choose another one.

An *address* is an integer in a compiled function; the callers in this package answer for sizes and
contiguity. ``b`` is the LLVM builder.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core import config as numba_config
from numba.extending import intrinsic as numba_intrinsic

from retrieval_server.exact_search.kernels.layout import (
    BLOCK_ROWS,
    INT32_BYTES,
    LANES,
    LINE,
    STRIPE_LINES,
    WORD,
)

AHEAD = 8192  # bytes that a loop over memory in its order asks for in advance

config: Any = numba_config
intrinsic: Any = numba_intrinsic  # its own type wants the typing context from the caller

I8, I16, I32, I64, F32 = (*(ir.IntType(bits) for bits in (8, 16, 32, 64)), ir.FloatType())
BYTES, _PAIRS = ir.VectorType(I8, LINE), ir.VectorType(I16, LINE // 2)
WORDS, FLOATS = ir.VectorType(I32, LANES), ir.VectorType(F32, LANES)
_LANE_BITS = ir.IntType(LANES)
LOWEST = ir.Constant(FLOATS, [-math.inf] * LANES)


def _has_vnni() -> bool:
    if config.CPU_NAME or config.CPU_FEATURES:
        return all(f"+{name}" in (config.CPU_FEATURES or "") for name in ("avx512vnni", "avx512bw"))
    features = llvmlite.binding.get_host_cpu_features()
    return bool(features.get("avx512vnni") and features.get("avx512bw"))


HAS_VNNI = _has_vnni()


def pointer_to(b: ir.IRBuilder, address: ir.Value) -> ir.Value:
    """A pointer to the byte at an address."""
    return b.inttoptr(address, I8.as_pointer())


def offset_by(b: ir.IRBuilder, pointer: ir.Value, offset: int | ir.Value) -> ir.Value:
    """A pointer so many bytes further on."""
    return b.gep(pointer, [ir.Constant(I64, offset) if isinstance(offset, int) else offset])


def times(b: ir.IRBuilder, index: ir.Value, stride: int) -> ir.Value:
    """The offset of element ``index`` of an array, in bytes."""
    return b.mul(index, ir.Constant(I64, stride))


def load(b: ir.IRBuilder, pointer: ir.Value, kind: ir.Type) -> ir.Value:
    """Load a value of some type from bytes that need not be aligned."""
    value = b.load(b.bitcast(pointer, kind.as_pointer()))
    value.align = 1
    return value


def store(b: ir.IRBuilder, value: ir.Value, pointer: ir.Value) -> None:
    """Store a value to bytes that need not be aligned."""
    b.store(value, b.bitcast(pointer, value.type.as_pointer())).align = 1


def constant(kind: ir.VectorType, value: float) -> ir.Constant:
    """A vector with the same constant in every lane."""
    return ir.Constant(kind, [value] * kind.count)


def broadcast(b: ir.IRBuilder, pointer: ir.Value, kind: ir.VectorType) -> ir.Value:
    """A vector with the value at a pointer in every lane."""
    return _in_every_lane(b, load(b, pointer, kind.element), kind)


def _in_every_lane(b: ir.IRBuilder, value: ir.Value, kind: ir.VectorType) -> ir.Value:
    undefined = ir.Constant(kind, ir.Undefined)
    one = b.insert_element(undefined, value, ir.Constant(I32, 0))
    return b.shuffle_vector(one, undefined, constant(ir.VectorType(I32, kind.count), 0))


def accumulators(b: ir.IRBuilder, kind: ir.VectorType, count: int) -> list[ir.Value]:
    """Pointers to so many vectors of zeros; LLVM keeps them in registers."""
    pointers = [cgutils.alloca_once(b, kind) for _ in range(count)]
    clear(b, pointers, kind)
    return pointers


def clear(b: ir.IRBuilder, pointers: list[ir.Value], kind: ir.VectorType) -> None:
    """Set accumulators to zero."""
    for pointer in pointers:
        b.store(constant(kind, 0), pointer)


def dot4(b: ir.IRBuilder, total: ir.Value, codes: ir.Value, digits: ir.Value) -> ir.Value:
    """Per int32 lane: total + the sum of its 4 products of an unsigned code and a signed digit."""
    codes, digits = b.bitcast(codes, BYTES), b.bitcast(digits, BYTES)
    if HAS_VNNI:
        kind = ir.FunctionType(WORDS, [WORDS, BYTES, BYTES])
        dot = cgutils.get_or_insert_function(b.module, kind, "llvm.x86.avx512.vpdpbusd.512")
        return b.call(dot, [total, codes, digits])
    wide = ir.VectorType(I32, LINE)
    products = b.mul(b.zext(codes, wide), b.sext(digits, wide))
    for byte in range(WORD):
        lanes = ir.Constant(WORDS, [WORD * lane + byte for lane in range(LANES)])
        undefined = ir.Constant(wide, ir.Undefined)
        total = b.add(total, b.shuffle_vector(products, undefined, lanes))
    return total


def add_scaled(b: ir.IRBuilder, total: ir.Value, dots: ir.Value, scale: ir.Value) -> ir.Value:
    """Per lane: float32 total + int32 dots · float32 scale."""
    return b.fadd(total, b.fmul(b.sitofp(dots, FLOATS), scale))


def planes(b: ir.IRBuilder, line: ir.Value, plane_bits: Sequence[int]) -> list[ir.Value]:
    """The planes of a line, from the lowest bits: lines of one code a byte.

    Args:
        b: the builder.
        line: codes of 1, 2 or 4 bits.
        plane_bits: bits of the codes of each plane, 8 together.
    """
    pairs, found, shift = b.bitcast(line, _PAIRS), [], 0
    for bits in plane_bits:
        shifted = b.bitcast(b.lshr(pairs, constant(_PAIRS, shift)), BYTES)
        found.append(b.and_(shifted, constant(BYTES, 2**bits - 1)))
        shift += bits
    return found


def lane_sum(b: ir.IRBuilder, vector: ir.Value) -> ir.Value:
    """The sum of all lanes, halved until one is left: one order of additions on every target."""
    return _over_lanes(b, vector, b.add if vector.type == WORDS else b.fadd)


def larger(b: ir.IRBuilder, left: ir.Value, right: ir.Value) -> ir.Value:
    """Per lane: the larger of two floats, neither of them NaN."""
    return b.select(b.fcmp_ordered(">", left, right), left, right)


def lane_maximum(b: ir.IRBuilder, vector: ir.Value) -> ir.Value:
    """The largest of all lanes of a vector of floats."""
    return _over_lanes(b, vector, partial(larger, b))


def _over_lanes(b: ir.IRBuilder, vector: ir.Value, join: Callable[..., ir.Value]) -> ir.Value:
    kind = vector.type
    undefined = ir.Constant(kind, ir.Undefined)
    half = kind.count // 2
    while half:
        turned = [(lane + half) % kind.count for lane in range(kind.count)]
        lanes = ir.Constant(ir.VectorType(I32, kind.count), turned)
        vector = join(vector, b.shuffle_vector(vector, undefined, lanes))
        half //= 2
    return b.extract_element(vector, ir.Constant(I32, 0))


def lanes_of(b: ir.IRBuilder, mask: ir.Value, line: int) -> ir.Value:
    """A truth value for each lane of a line, from a mask of 64 bits for 4 lines."""
    bits = b.trunc(b.lshr(mask, ir.Constant(I64, LANES * line)), _LANE_BITS)
    return b.bitcast(bits, ir.VectorType(ir.IntType(1), LANES))


def prefetch_line(b: ir.IRBuilder, pointer: ir.Value) -> None:
    """Ask for a cache line ahead of its use; nothing happens where there is no memory."""
    kind = ir.FunctionType(ir.VoidType(), [I8.as_pointer(), I32, I32, I32])
    function = cgutils.get_or_insert_function(b.module, kind, "llvm.prefetch.p0")
    read, near, data = (ir.Constant(I32, value) for value in (0, 3, 1))
    b.call(function, [pointer, read, near, data])


@intrinsic
def address(typing_context: Any, array: Any) -> Any:
    """The address of an array's first element."""

    def generate(context: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        data = context.make_array(signature.args[0])(context, b, arguments[0]).data
        return b.ptrtoint(data, context.get_value_type(types.intp))

    return types.intp(array), generate


@intrinsic
def addresses(typing_context: Any, arrays: Any) -> Any:
    """The addresses of the first elements of a tuple of arrays."""

    def generate(context: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        intp = context.get_value_type(types.intp)
        found = [
            b.ptrtoint(context.make_array(arrays.dtype)(context, b, each).data, intp)
            for each in cgutils.unpack_tuple(b, arguments[0])
        ]
        return context.make_tuple(b, signature.return_type, found)

    return types.UniTuple(types.intp, len(arrays))(arrays), generate


@intrinsic
def prefetch(typing_context: Any, address: Any) -> Any:
    """Ask for the cache line at an address ahead of its use."""

    def generate(context: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        prefetch_line(b, pointer_to(b, arguments[0]))
        return context.get_dummy_value()

    return types.void(types.intp), generate


@intrinsic
def bits_of_block(typing_context: Any, address: Any) -> Any:
    """A bit for each of the 64 truth values at an address, the first one the lowest."""

    def generate(context: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        values = load(b, pointer_to(b, arguments[0]), BYTES)
        return b.bitcast(b.icmp_unsigned("!=", values, constant(BYTES, 0)), I64)

    return types.int64(types.intp), generate


def _which(comparison: str) -> Any:
    """Make the instruction that gives a bit for each of the 64 float32 at an address, first lowest.

    A bit is set where the comparison with a value holds.
    """

    @intrinsic
    def which(typing_context: Any, address: Any, value: Any) -> Any:
        def generate(context: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
            start = pointer_to(b, arguments[0])
            values = _in_every_lane(b, arguments[1], FLOATS)
            mask = ir.Constant(I64, 0)
            for line in range(STRIPE_LINES):
                lanes = load(b, offset_by(b, start, LINE * line), FLOATS)
                bits = b.bitcast(b.fcmp_ordered(comparison, lanes, values), _LANE_BITS)
                mask = b.or_(mask, b.shl(b.zext(bits, I64), ir.Constant(I64, LANES * line)))
            return mask

        return types.int64(types.intp, types.float32), generate

    return which


which_exceed, which_reach = _which(">"), _which(">=")


@intrinsic
def write_places(typing_context: Any, bits: Any, first: Any, address: Any) -> Any:
    """Write ``first`` + the place of each bit that is set to an address, as int32, ascending.

    It may write 16 more int32 after them. It returns how many bits are set.
    """

    def generate(context: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        bits, first, out = arguments[0], arguments[1], pointer_to(b, arguments[2])
        write = _write_lanes if HAS_VNNI else _write_one_by_one
        write(b, bits, b.trunc(first, I32), out)
        return b.ctpop(bits)

    return types.int64(types.int64, types.int64, types.intp), generate


def _write_lanes(b: ir.IRBuilder, bits: ir.Value, first: ir.Value, out: ir.Value) -> None:
    kind = ir.FunctionType(WORDS, [WORDS, WORDS, ir.VectorType(ir.IntType(1), LANES)])
    name = f"llvm.x86.avx512.mask.compress.v{LANES}i32"
    compress = cgutils.get_or_insert_function(b.module, kind, name)
    firsts = _in_every_lane(b, first, WORDS)
    for line in range(STRIPE_LINES):
        lanes = ir.Constant(WORDS, [LANES * line + lane for lane in range(LANES)])
        is_set = lanes_of(b, bits, line)
        places = b.call(compress, [b.add(firsts, lanes), constant(WORDS, 0), is_set])
        store(b, places, out)
        count = b.ctpop(b.zext(b.bitcast(is_set, _LANE_BITS), I64))
        out = offset_by(b, out, times(b, count, INT32_BYTES))


def _write_one_by_one(b: ir.IRBuilder, bits: ir.Value, first: ir.Value, out: ir.Value) -> None:
    """Without a branch that depends on a bit: it writes each place, and goes on where it is set."""
    at = cgutils.alloca_once_value(b, out)
    with cgutils.for_range(b, ir.Constant(I64, BLOCK_ROWS)) as loop:
        store(b, b.add(first, b.trunc(loop.index, I32)), b.load(at))
        is_set = b.and_(b.lshr(bits, loop.index), ir.Constant(I64, 1))
        b.store(offset_by(b, b.load(at), times(b, is_set, INT32_BYTES)), at)


@intrinsic
def lowest_bit(typing_context: Any, bits: Any) -> Any:
    """The place of the lowest bit that is set; one of them must be."""

    def generate(context: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        return b.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.int64), generate
