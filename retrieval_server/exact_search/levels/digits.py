"""A query in signed bytes: what the integer kernels multiply codes with.

The coefficients of a *segment* of codes share a scale S and become digits of 7 bits and a sign; in
a wide segment whole numbers, which two digits make up. What rounding loses against codes
k - middle, none of which exceeds its ``middle``, is by Cauchy-Schwarz at most
|coefficients - S · digits| · |middles|, and goes into the constant of a bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval_server.exact_search.kernels.digits import round_to_digits
from retrieval_server.exact_search.kernels.layout import HIGH_DIGIT
from retrieval_server.exact_search.levels.rotation import FloatArray, RotatedQuery, rounding

LARGEST_DIGIT = 127
LARGEST_NUMBER = 126 * HIGH_DIGIT  # of two digits, the lower of which may be negative


class Segments:
    """Runs of a level's codes whose digits share a scale.

    Args:
        sizes: number of codes in each segment.
        bits: (n,) bits of each code.
        wide: number of segments, the first ones, whose numbers are of two digits.
    """

    def __init__(self, sizes: Sequence[int], bits: NDArray[np.int64], wide: int = 0) -> None:
        self.sizes = np.array(sizes)
        self.starts = np.concatenate([[0], np.cumsum(self.sizes)[:-1]])
        self.middles = (2.0**bits - 1) / 2
        self.largest = np.full(len(self.sizes), LARGEST_DIGIT)
        self.largest[:wide] = LARGEST_NUMBER


@dataclass(frozen=True)
class Digits:
    """Coefficients rounded to whole numbers, and what the rounding adds to a bound.

    Attributes:
        numbers: (n,) float64, whole.
        scales: (segments,) float32, S.
        constant: addend of Σ S · code · number: it shifts the codes to their middle, and bounds
            what rounding to numbers and the kernel's float32 arithmetic lose.
    """

    numbers: FloatArray
    scales: NDArray[np.float32]
    constant: float


def digits_of(coefficients: FloatArray, segments: Segments) -> Digits:
    """Round coefficients to digits.

    Args:
        coefficients: (n,) one for each code.
        segments: the segments of the codes.
    """
    numbers, scales = np.empty(len(coefficients)), np.empty(len(segments.sizes), np.float32)
    lost, shift, magnitude = round_to_digits(
        coefficients, segments.sizes, segments.middles, segments.largest, numbers, scales
    )
    error = rounding(magnitude, abs(shift) + lost, operations=len(scales) + 32)
    return Digits(numbers, scales, lost - shift + error)


@dataclass(frozen=True)
class DigitQuery:
    """A query as the kernel of the middle or the residual level reads it.

    Attributes:
        digits: (n,) int8, code by code; zero where nothing is coded.
        scales: (segments,) float32.
        terms: (1 + bounds,) float64: the constant, then the factor of each bound of a row.
    """

    digits: NDArray[np.int8]
    scales: NDArray[np.float32]
    terms: FloatArray


def digit_query(
    rotated: RotatedQuery, coefficients: FloatArray, segments: Segments, factors: Sequence[float]
) -> DigitQuery:
    """Round a query for the kernel of the middle or the residual level.

    Args:
        rotated: the query.
        coefficients: (n,) one for each code.
        segments: the segments of the codes.
        factors: factor of each bound of a row.
    """
    digits = digits_of(coefficients, segments)
    # Estimates and bounds are stored as float32: a few units of each term.
    constant = digits.constant + rounding(abs(rotated.constant), *factors, 8)
    return DigitQuery(digits.numbers.astype(np.int8), digits.scales, np.array([constant, *factors]))
