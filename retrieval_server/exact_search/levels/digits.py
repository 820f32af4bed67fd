"""A query in signed bytes: what the integer kernels multiply codes with.

The coefficients of a plane (see layout; at the coarse level, of a segment) share a scale S and
become digits of 7 bits and a sign. What rounding loses against codes k - middle, none of which
exceeds ``middle``, is by Cauchy-Schwarz at most |coefficients - S · digits| · middle · √size, and
goes into the constant of a bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval_server.exact_search.levels.rotation import FloatArray, RotatedQuery, rounding

LARGEST_DIGIT = 127


class Planes:
    """The planes of a row's codes.

    Args:
        sizes: number of codes in each plane.
        bits: bits of a code in each plane.
    """

    def __init__(self, sizes: Sequence[int], bits: Sequence[int]) -> None:
        self.sizes = np.array(sizes)
        self.starts = np.concatenate([[0], np.cumsum(self.sizes)[:-1]])
        self.middles = (2.0 ** np.array(bits) - 1) / 2


@dataclass(frozen=True)
class Digits:
    """Coefficients rounded to digits, and what the rounding adds to a bound.

    Attributes:
        digits: (n,) int8.
        scales: (planes,) float32, S.
        constant: addend of Σ S · code · digit: it shifts the codes to their middle, and bounds what
            rounding to digits and the kernel's float32 arithmetic lose.
    """

    digits: NDArray[np.int8]
    scales: NDArray[np.float32]
    constant: float


def digits_of(coefficients: FloatArray, planes: Planes) -> Digits:
    """Round coefficients to digits.

    Args:
        coefficients: (n,) one for each code, plane after plane.
        planes: the planes of the codes.
    """
    largest = np.maximum.reduceat(np.abs(coefficients), planes.starts)
    scales = (largest / LARGEST_DIGIT + 1e-30).astype(np.float32)
    each = np.repeat(scales.astype(np.float64), planes.sizes)
    digits = np.rint(coefficients / each).clip(-LARGEST_DIGIT, LARGEST_DIGIT)
    squares = np.add.reduceat((coefficients - digits * each) ** 2, planes.starts)
    lost = np.sqrt(squares * planes.sizes) @ planes.middles
    shift = (np.add.reduceat(digits, planes.starts) * scales) @ planes.middles
    magnitude = 2 * LARGEST_DIGIT * (planes.sizes * scales) @ planes.middles
    error = rounding(float(magnitude), float(abs(shift) + lost), operations=len(scales) + 32)
    return Digits(digits.astype(np.int8), scales, float(lost - shift + error))


@dataclass(frozen=True)
class DigitQuery:
    """A query as the kernel of the middle or the residual level reads it.

    Attributes:
        digits: (n,) int8, plane after plane; zero where nothing is coded.
        scales: (planes,) float32.
        terms: (1 + bounds,) float64: the constant, then the factor of each bound of a row.
    """

    digits: NDArray[np.int8]
    scales: NDArray[np.float32]
    terms: FloatArray


def digit_query(
    rotated: RotatedQuery, coefficients: FloatArray, planes: Planes, factors: Sequence[float]
) -> DigitQuery:
    """Round a query for the kernel of the middle or the residual level.

    Args:
        rotated: the query.
        coefficients: (n,) one for each code, plane after plane.
        planes: the planes of the codes.
        factors: factor of each bound of a row.
    """
    digits = digits_of(coefficients, planes)
    # Estimates and bounds are stored as float32: a few units of each term.
    constant = digits.constant + rounding(abs(rotated.constant), *factors, 8)
    return DigitQuery(digits.digits, digits.scales, np.array([constant, *factors]))
