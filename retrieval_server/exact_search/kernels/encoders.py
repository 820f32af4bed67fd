"""The compiled loops that encode rows; layout says where each code lies.

A code k of B bits stands for (k - (2^B - 1) / 2) · step: the middle of the k-th of 2^B steps around
zero. Values beyond them get the outermost code, and a step of zero the code just above zero.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retrieval_server.exact_search.kernels.compilation import compiled, inlined
from retrieval_server.exact_search.kernels.layout import (
    BYTE_BOUNDS,
    LINE,
    RESIDUAL_BITS,
    RESIDUAL_DIMENSIONS,
    RESIDUAL_STRIDE,
)

SIGNED_OFFSET = 128  # code of zero at the byte level, for descriptors with negative values
_WITHOUT_SIGN = 2**31 - 1
_LARGEST_BYTE, _LARGEST_SIGNED_BYTE = 255, 127
_UPPER_BITS = RESIDUAL_BITS - 1
_UPPER_LINE_DIMENSIONS = LINE * 8 // _UPPER_BITS
_LOWEST_LINE = RESIDUAL_STRIDE - LINE


@inlined
def _code_of(value: float, step: float, bits: int) -> int:
    half = 1 << (bits - 1)
    if step > 0:
        return int(min(max(np.floor(value / step + half), 0.0), 2.0 * half - 1))
    return half


@inlined
def _value_of(code: int, step: float, bits: int) -> float:
    return (code - ((1 << bits) - 1) / 2) * step


@inlined
def _put(codes: NDArray[np.uint8], row: int, line: int, index: int, bits: int, code: int) -> None:
    """Put code ``index`` of the line that starts at byte ``line`` of a row: plane after plane."""
    codes[row, line + index % LINE] |= np.uint8(code << (bits * (index // LINE)))


@compiled
def encode_axes(
    coordinates: NDArray[np.float32],
    axes: NDArray[np.int64],
    bits: NDArray[np.int64],
    steps: NDArray[np.float64],
    byte_places: NDArray[np.int64],
    shifts: NDArray[np.int64],
    weights: NDArray[np.float64],
    codes: NDArray[np.uint8],
    decoded: NDArray[np.float64],
    lost: NDArray[np.float64],
    squares: NDArray[np.float64],
) -> None:
    """Write the codes of rows on the axes, code after code of a ``CodeTable``.

    Args:
        coordinates: (m, 768).
        axes: (n,) of each code.
        bits: (n,).
        steps: (n,).
        byte_places: (n,).
        shifts: (n,).
        weights: (A,) of each axis, in what is lost.
        codes: (m, W) out, zero before.
        decoded: (m, 768) what the codes so far stand for; these codes are added.
        lost: (m,) out: weighted sum of the squares of what the codes lose of the first A axes.
        squares: (m,) out: sum of the squares of the first A coordinates.
    """
    for row in range(coordinates.shape[0]):
        for index in range(axes.size):
            axis = axes[index]
            left = np.float64(coordinates[row, axis]) - decoded[row, axis]
            code = _code_of(left, steps[index], bits[index])
            codes[row, byte_places[index]] |= np.uint8(code << shifts[index])
            decoded[row, axis] += _value_of(code, steps[index], bits[index])
        lost[row] = squares[row] = 0.0
        for axis in range(weights.size):
            value = np.float64(coordinates[row, axis])
            left = value - decoded[row, axis]
            lost[row] += weights[axis] * left * left
            squares[row] += value * value


@compiled
def encode_residuals(
    residuals: NDArray[np.float32],
    steps: NDArray[np.float32],
    codes: NDArray[np.uint8],
) -> None:
    """Write the codes of rows at the residual level.

    Args:
        residuals: (m, D) r; what the codes lose of it afterwards.
        steps: (D,).
        codes: (m, 192 · ⌈D / 512⌉), zero before.
    """
    for row in range(residuals.shape[0]):
        for dimension in range(residuals.shape[1]):
            value, step = np.float64(residuals[row, dimension]), np.float64(steps[dimension])
            code = _code_of(value, step, RESIDUAL_BITS)
            residuals[row, dimension] = value - _value_of(code, step, RESIDUAL_BITS)
            group, within = divmod(dimension, RESIDUAL_DIMENSIONS)
            start = group * RESIDUAL_STRIDE
            line, index = divmod(within, _UPPER_LINE_DIMENSIONS)
            _put(codes, row, start + LINE * line, index, _UPPER_BITS, code >> 1)
            _put(codes, row, start + _LOWEST_LINE, within, 1, code & 1)


@inlined
def _square_sum(values: NDArray[np.float64]) -> float:
    """Σ values², in four sums side by side."""
    first = second = third = fourth = 0.0
    whole = len(values) - len(values) % 4
    for at in range(0, whole, 4):
        first += values[at] * values[at]
        second += values[at + 1] * values[at + 1]
        third += values[at + 2] * values[at + 2]
        fourth += values[at + 3] * values[at + 3]
    for at in range(whole, len(values)):
        first += values[at] * values[at]
    return (first + second) + (third + fourth)


@compiled
def encode_bytes(
    descriptors: NDArray[np.float32],
    offset: int,
    first_row: int,
    column: int,
    width: int,
    backbone: int,
    codes: NDArray[np.uint8],
    bounds: NDArray[np.float32],
) -> None:
    """Write the codes and bounds of rows at the byte level, of one backbone.

    Args:
        descriptors: (m, C).
        offset: code of zero.
        first_row: row of the database that the first of them is.
        column: column of the first code.
        width: number of codes; those beyond C stand for zero.
        backbone: its index.
        codes: (rows, W) out.
        bounds: (rows, 2 N) out: scale; norm of the residual, a little more.
    """
    bits = descriptors.view(np.int32)  # those of float32 without their sign ascend as the values do
    lost = np.empty(descriptors.shape[1], np.float64)
    for index in range(descriptors.shape[0]):
        row, largest_bits = first_row + index, np.int32(0)
        for dimension in range(descriptors.shape[1]):
            largest_bits = max(largest_bits, bits[index, dimension] & np.int32(_WITHOUT_SIGN))
        largest = np.array([largest_bits], np.int32).view(np.float32)[0]
        scale = largest / np.float32(_LARGEST_BYTE if offset == 0 else _LARGEST_SIGNED_BYTE)
        if not scale > 0:
            scale = np.float32(1)
        for dimension in range(descriptors.shape[1]):
            value = np.float64(descriptors[index, dimension])
            rounded = np.floor(value / np.float64(scale) + 0.5) + offset
            code = min(max(rounded, 0.0), float(_LARGEST_BYTE))
            lost[dimension] = value - (code - offset) * np.float64(scale)
            codes[row, column + dimension] = np.uint8(int(code))
        square = _square_sum(lost)
        for dimension in range(descriptors.shape[1], width):
            codes[row, column + dimension] = np.uint8(offset)
        bounds[row, BYTE_BOUNDS * backbone] = scale
        bounds[row, BYTE_BOUNDS * backbone + 1] = np.float32(np.sqrt(square) * (1 + 1e-6) + 1e-30)


def codes_reference(
    values: NDArray[np.floating], steps: NDArray[np.floating], bits: int
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """The codes of some values, and the values that they stand for, by numpy.

    Args:
        values: (m, n).
        steps: (n,), some of which may be zero.
        bits: number of bits of a code.
    """
    exact = steps.astype(np.float64)
    steps_away = np.floor(values / np.where(exact > 0, exact, np.inf) + 2 ** (bits - 1))
    codes = steps_away.clip(0, 2**bits - 1)
    return codes.astype(np.uint8), (codes - (2**bits - 1) / 2) * exact


def byte_codes_reference(
    descriptors: NDArray[np.float32], offset: int
) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float64]]:
    """The codes of ``encode_bytes``, the scale of each row, and what the codes lose, by numpy."""
    largest = np.abs(descriptors).max(axis=1, keepdims=True)
    scales = largest / np.float32(_LARGEST_BYTE if offset == 0 else _LARGEST_SIGNED_BYTE)
    scales[~(scales > 0)] = 1
    codes = (np.floor(descriptors / scales.astype(np.float64) + 0.5) + offset).clip(0, 255)
    return codes.astype(np.uint8), scales[:, 0], descriptors - (codes - offset) * scales
