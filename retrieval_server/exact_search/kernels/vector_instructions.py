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
from collections.abc import Callable
from functools import partial
from typing import Any

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core import config as numba_config
from numba.extending import intrinsic as numba_intrinsic

from retrieval_server.exact_search.kernels.layout import LANES, LINE, WORD

AHEAD = 8192  # bytes that a loop over memory in its order asks for in advance

config: Any = numba_config
intrinsic: Any = numba_intrinsic  # its own type wants the typing context from the caller

I8, I16, I32, I64, F32 = (*(ir.IntType(bits) for bits in (8, 16, 32, 64)), ir.FloatType())
BYTES, _PAIRS = ir.VectorType(I8, LINE), ir.VectorType(I16, LINE // 2)
WORDS, FLOATS = ir.VectorType(I32, LANES), ir.VectorType(F32, LANES)
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
    undefined = ir.Constant(kind, ir.Undefined)
    value = load(b, pointer, kind.element)
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


def planes(b: ir.IRBuilder, line: ir.Value, bits: int) -> list[ir.Value]:
    """The planes of a line of codes of 1, 2 or 4 bits: 8 / bits lines of one code a byte."""
    pairs, mask = b.bitcast(line, _PAIRS), constant(BYTES, 2**bits - 1)
    return [
        b.and_(b.bitcast(b.lshr(pairs, constant(_PAIRS, shift)), BYTES), mask)
        for shift in range(0, 8, bits)
    ]


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
    bits = b.trunc(b.lshr(mask, ir.Constant(I64, LANES * line)), ir.IntType(LANES))
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
