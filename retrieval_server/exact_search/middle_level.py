"""The middle level: more bits, more axes, for the rows that the coarse level left.

Layout, 332 bytes a row: codes (rows, 320) uint8, five lines, and bounds (rows, 3) float32. The
first line has 2 more bits on axes 0-255, which split a coarse step in four; each of the other four
has 4 bits on 128 of the axes 256-767. The bounds are ρ' of axes 0-255, ρ of axes 256-767, t beside
them.

A line is 64 bytes; byte j holds the codes of every 64th axis from the line's first + j on, the
first of them in the lowest bits: its *planes*. A code k of B bits stands for
(k - (2^B - 1) / 2) · step.

Bound (notation: rotation). With ĉ from all codes so far,

    L(x) ≤ value + |Pg|_0 ρ' + |Pg|_1 ρ + |Tg| t,

where the value is the coarse level's and this level's codes times Pg, see ``digits``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retrieval_server.exact_search.digits import PLANE, DigitQuery, Planes, digit_query
from retrieval_server.exact_search.kernels import LINE, MIDDLE_LINES
from retrieval_server.exact_search.rotation import (
    AXES,
    REGIONS,
    FloatArray,
    RotatedQuery,
    RotatedRows,
    SearchFit,
    tail_norms,
)

CODE_BYTES = LINE * len(MIDDLE_LINES)
_BITS = [bits for bits in MIDDLE_LINES for _ in range(8 // bits)]
_PLANES = Planes([PLANE] * len(_BITS), _BITS)


def encode_bounds(
    rotation_error: float, rows: RotatedRows, squares: FloatArray
) -> NDArray[np.float32]:
    """What bounds the rows.

    Args:
        rotation_error: ε.
        rows: (m) rotated rows.
        squares: (m, 5), see ``encoders.encode_axes``.

    Returns:
        (m, 3).
    """
    error = rows.error(AXES)
    residuals = np.sqrt(squares[:, 1:3]) + error[:, None]
    tails = tail_norms(rows.norms, squares[:, 4], error, rotation_error)
    return rounded_up(np.column_stack([residuals, tails]))


def middle_query(fit: SearchFit, rotated: RotatedQuery) -> DigitQuery:
    """Round a query for the kernel."""
    steps = fit.steps.astype(np.float64)
    steps[: REGIONS[0]] /= 4
    coefficients = np.concatenate([rotated.region(0), rotated.region(1)]) * steps
    factors = [rotated.region_norm(0), rotated.region_norm(1), rotated.tail_norm(2)]
    return digit_query(rotated, coefficients, _PLANES, factors)


def rounded_up(values: FloatArray) -> NDArray[np.float32]:
    """Float32 above or at float64 values."""
    return np.nextafter(values.astype(np.float32), np.float32(np.inf))
