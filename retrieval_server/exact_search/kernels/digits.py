"""The compiled loop that rounds the coefficients of a query to digits; see ``levels.digits``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retrieval_server.exact_search.kernels.compilation import compiled

SMALLEST_SCALE = 1e-30  # so that no scale is zero


@compiled
def round_to_digits(
    coefficients: NDArray[np.float64],
    sizes: NDArray[np.int64],
    middles: NDArray[np.float64],
    largest: NDArray[np.int64],
    numbers: NDArray[np.float64],
    scales: NDArray[np.float32],
) -> tuple[float, float, float]:
    """Round coefficients to whole numbers, segment by segment.

    Args:
        coefficients: (n,) one for each code.
        sizes: (segments,) number of codes in each segment.
        middles: (n,) of each code.
        largest: (segments,) the largest number of each segment.
        numbers: (n,) out.
        scales: (segments,) out.

    Returns:
        What rounding loses at most; Σ scale · number · middle; 2 Σ scale · largest · middle.
    """
    lost = shift = magnitude = 0.0
    first = 0
    for segment in range(sizes.size):
        last, limit, peak = first + sizes[segment], np.float64(largest[segment]), 0.0
        for code in range(first, last):
            peak = max(peak, abs(coefficients[code]))
        scales[segment] = np.float32(peak / limit + SMALLEST_SCALE)
        scale, square, middle_square = np.float64(scales[segment]), 0.0, 0.0
        for code in range(first, last):
            coefficient, middle = coefficients[code], middles[code]
            number = min(max(np.rint(coefficient / scale), -limit), limit)
            numbers[code] = number
            square += (coefficient - number * scale) ** 2
            middle_square += middle * middle
            shift += number * scale * middle
            magnitude += 2 * limit * scale * middle
        lost += np.sqrt(square * middle_square)
        first = last
    return lost, shift, magnitude


def digits_reference(
    coefficients: NDArray[np.float64],
    sizes: NDArray[np.int64],
    middles: NDArray[np.float64],
    largest: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.float32], tuple[float, float, float]]:
    """What ``round_to_digits`` computes, by numpy: numbers, scales, and what it returns."""
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    peaks = np.maximum.reduceat(np.abs(coefficients), starts)
    scales = (peaks / largest + SMALLEST_SCALE).astype(np.float32)
    each, limits = np.repeat(scales.astype(np.float64), sizes), np.repeat(largest, sizes)
    numbers = np.rint(coefficients / each).clip(-limits, limits)
    squares = np.add.reduceat((coefficients - numbers * each) ** 2, starts)
    lost = np.sqrt(squares * np.add.reduceat(middles**2, starts)).sum()
    shift, magnitude = (numbers * each) @ middles, 2 * (each * limits) @ middles
    return numbers, scales, (float(lost), float(shift), float(magnitude))
