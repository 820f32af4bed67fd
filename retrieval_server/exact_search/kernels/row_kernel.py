"""What the kernels of the middle and the residual level have in common: they bound chosen rows."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class RowKernel(Protocol):
    """Estimates and bounds L of rows[first:last]."""

    def __call__(
        self,
        codes: NDArray[np.uint8],
        bounds: NDArray[np.float32],
        rows: NDArray[np.int32],
        first: int,
        last: int,
        earlier: NDArray[np.float32],
        digits: NDArray[np.int8],
        scales: NDArray[np.float32],
        terms: NDArray[np.float64],
        estimates: NDArray[np.float32],
        upper_bounds: NDArray[np.float32],
    ) -> None:
        """Estimate and bound L of rows[first:last].

        Args:
            codes: (N, W).
            bounds: (N, B).
            rows: (M,) rows.
            first: first position in ``rows``.
            last: one past the last position.
            earlier: estimates of the level before.
            digits: (n,) of the query, code by code.
            scales: (segments,) S of the codes whose digits share a scale.
            terms: (1 + B,) the constant, the factor of each bound.
            estimates: (M,) out.
            upper_bounds: (M,) out.
        """


def row_bounds_reference(
    unpacked: NDArray[np.uint8],
    bounds: NDArray[np.float32],
    earlier: NDArray[np.float32],
    digits: NDArray[np.int8],
    scales: NDArray[np.float32],
    terms: NDArray[np.float64],
    starts: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What a ``RowKernel`` computes of every row, by numpy, up to float32 rounding.

    Args:
        unpacked: (N, n) the codes.
        bounds: (N, B).
        earlier: (N,) estimates of the level before.
        digits: (n,) of the query.
        scales: (segments,).
        terms: (1 + B,).
        starts: (segments,) first code of each segment.

    Returns:
        Estimates and upper bounds, (N,) each.
    """
    dots = np.add.reduceat(unpacked.astype(np.int32) * digits, starts, axis=1)
    estimates = earlier + dots @ scales.astype(np.float64) + terms[0]
    return estimates, estimates + bounds.astype(np.float64) @ terms[1:]
