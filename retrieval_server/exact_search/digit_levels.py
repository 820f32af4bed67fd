"""The middle and the fine level: more bits, more axes, for the rows that the coarse level left.

======  ==========  ====================================================  =======================
level   bytes/row   codes (rows, 64 · lines) uint8                        bounds (rows, ·) float32
======  ==========  ====================================================  =======================
middle  320 + 12    one line: 2 more bits on axes 0-255; four lines:      ρ' of axes 0-255,
                    4 bits on axes 256-767, 128 to a line                 ρ of 256-767, t
fine    192 + 8     three lines: 2 bits on axes 768-1535, 256 to a line   ρ of 768-1535, t
======  ==========  ====================================================  =======================

A line is 64 bytes; byte j holds the codes of every 64th axis from the line's first + j on, the
first of them in the lowest bits. A code k of B bits stands for (k - (2^B - 1) / 2) · step; the 2
more bits split a coarse step in four.

Bound (notation: rotation): with all codes so far, L(x) ≤ value + Σ |Pg|_r ρ_r + |Tg| t over the
regions r, where T is beside the axes coded so far and the value is the level above's and this
level's codes.
Digits of the query as in coarse_level, one scale a line; what they lose is at most
|Pg · step - S · digits| · (2^B - 1) / 2 · √axes of a line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval_server.exact_search.kernels import FINE_LINES, LINE, MIDDLE_LINES
from retrieval_server.exact_search.rotation import (
    AXES,
    REGIONS,
    FloatArray,
    RotatedQuery,
    RotatedRows,
    SearchFit,
    tail_norms,
)

MIDDLE_BYTES, FINE_BYTES = LINE * len(MIDDLE_LINES), LINE * len(FINE_LINES)
_LARGEST_DIGIT = 127


def encode_bounds(
    rotation_error: float, rows: RotatedRows, squares: FloatArray
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The bounds of both levels.

    Args:
        rotation_error: ε.
        rows: (m) rotated rows.
        squares: (m, 7), see ``encoders.encode_axes``.

    Returns:
        (m, 3) and (m, 2).
    """
    error = rows.error(AXES)
    residuals = np.sqrt(squares[:, 1:4]) + error[:, None]
    tails = [tail_norms(rows.norms, squares[:, n], error, rotation_error) for n in (5, 6)]
    middle = np.column_stack([residuals[:, :2], tails[0]])
    fine = np.column_stack([residuals[:, 2], tails[1]])
    return _rounded_up(middle), _rounded_up(fine)


@dataclass(frozen=True)
class DigitQuery:
    """A query as the kernel of one level reads it.

    Attributes:
        digits: (axes,) int8, in the order of the planes.
        scales: (lines,) float32.
        weights: float64: the constant, then the factor of each bound.
    """

    digits: NDArray[np.int8]
    scales: NDArray[np.float32]
    weights: FloatArray


def middle_query(fit: SearchFit, rotated: RotatedQuery) -> DigitQuery:
    """Round a query for the middle level."""
    steps = fit.steps[: REGIONS[0] + REGIONS[1]].astype(np.float64)
    steps[: REGIONS[0]] /= 4
    wanted = np.concatenate([rotated.region(0), rotated.region(1)]) * steps
    factors = [rotated.region_norm(0), rotated.region_norm(1), rotated.tail_norm(2)]
    return _digit_query(rotated, wanted, MIDDLE_LINES, factors)


def fine_query(fit: SearchFit, rotated: RotatedQuery) -> DigitQuery:
    """Round a query for the fine level."""
    wanted = rotated.region(2) * fit.steps[-REGIONS[2] :]
    factors = [*(rotated.region_norm(region) for region in range(3)), rotated.tail_norm(3)]
    return _digit_query(rotated, wanted, FINE_LINES, factors)


def _digit_query(
    rotated: RotatedQuery, wanted: FloatArray, lines: Sequence[int], factors: Sequence[float]
) -> DigitQuery:
    digits = np.empty(len(wanted), np.int8)
    scales = np.empty(len(lines), np.float32)
    constant = 0.0
    magnitudes = []
    first = 0
    for number, bits in enumerate(lines):
        axes = slice(first, first + LINE * 8 // bits)
        first = axes.stop
        part = wanted[axes]
        scales[number] = np.abs(part).max() / _LARGEST_DIGIT + 1e-30
        scale = float(scales[number])
        rounded = np.rint(part / scale).clip(-_LARGEST_DIGIT, _LARGEST_DIGIT)
        digits[axes] = rounded
        middle_code = (2**bits - 1) / 2
        lost = float(np.linalg.norm(part - rounded * scale)) * middle_code * len(part) ** 0.5
        constant += lost - scale * middle_code * float(rounded.sum())
        magnitudes.append(scale * 2 * middle_code * _LARGEST_DIGIT * len(part))
    # The values and bounds of the levels are stored as float32: a few units of each term.
    constant += rotated.rounding(*magnitudes, abs(constant), abs(rotated.constant), *factors, 8)
    return DigitQuery(digits, scales, np.array([constant, *factors]))


def _rounded_up(values: FloatArray) -> NDArray[np.float32]:
    return np.nextafter(values.astype(np.float32), np.float32(np.inf))
