"""The compiled loops that apply factors of single rows to estimates and upper bounds of L.

A factor f(x) of a row makes (L + Σ u) g - Σ u of L, with its *growth* g = f(x)^(1/M) ≥ 1; see
row_factors.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retrieval_server.exact_search.kernels.compilation import compiled, inlined
from retrieval_server.exact_search.kernels.layout import BLOCK_ROWS

ROUNDING = 2.0**-22  # more than the rounding to float32


@inlined
def _grown(value: np.float32, growth: np.float32, shift: float) -> np.float32:
    exact = (np.float64(value) + shift) * np.float64(growth) - shift
    return np.float32(exact * (1 + ROUNDING) if exact > 0 else exact * (1 - ROUNDING))


@compiled
def grow_rows(
    rows: NDArray[np.int32],
    growths: NDArray[np.float32],
    shift: float,
    estimates: NDArray[np.float32],
    upper_bounds: NDArray[np.float32],
    block_maxima: NDArray[np.float32],
) -> None:
    """Apply the growths of some rows to what the coarse level wrote of every row, in place.

    Args:
        rows: (F,) rows.
        growths: (F,).
        shift: Σ u.
        estimates: (64 · blocks,) estimates of L.
        upper_bounds: (64 · blocks,) upper bounds of L.
        block_maxima: (blocks,) at least the largest upper bound of each block.
    """
    for position in range(rows.size):
        row = rows[position]
        estimates[row] = _grown(estimates[row], growths[position], shift)
        upper_bounds[row] = _grown(upper_bounds[row], growths[position], shift)
        block = row // BLOCK_ROWS
        block_maxima[block] = max(block_maxima[block], upper_bounds[row])


@compiled
def grow_candidates(
    rows: NDArray[np.int32],
    growth_of: NDArray[np.float32],
    shift: float,
    estimates: NDArray[np.float32],
    upper_bounds: NDArray[np.float32],
) -> None:
    """Apply growths to what a later level wrote of some candidates, in place.

    Args:
        rows: (M,) the candidates.
        growth_of: (N,) growths of all rows, 1 without a factor.
        shift: Σ u.
        estimates: estimates of L, the first M by position in ``rows``.
        upper_bounds: upper bounds of L, likewise.
    """
    for position in range(rows.size):
        growth = growth_of[rows[position]]
        if growth != 1:
            estimates[position] = _grown(estimates[position], growth, shift)
            upper_bounds[position] = _grown(upper_bounds[position], growth, shift)


def grown_reference(
    values: NDArray[np.float32], growths: NDArray[np.float32], shift: float
) -> NDArray[np.float32]:
    """What the loops make of values of L, by numpy; those without a factor stay."""
    exact = (values.astype(np.float64) + shift) * growths.astype(np.float64) - shift
    rounded = np.where(exact > 0, exact * (1 + ROUNDING), exact * (1 - ROUNDING))
    return np.where(growths == 1, values, rounded.astype(np.float32))
