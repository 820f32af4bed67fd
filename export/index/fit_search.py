"""The parameters with which the exact search encodes a database, fitted to a sample of its rows.

The search is exact for any parameters, see ``retrieval_server.exact_search.levels.rotation``. The
scalings are √w at the profile's α, the axes the principal ones of the sample, and the ranges of the
coarse level's bounds those of the sample with a margin. The ranges of the codes on the axes and the
steps of the residual level are those that lose least on the sample: some databases are nearly
Gaussian on the axes (J. Max, Quantizing for minimum distortion, 1960, table II has the steps for
them), others have long tails.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from retrieval_server.exact_search.fused_bound import FusedBound
from retrieval_server.exact_search.levels.fit_parameters import FitParameters
from retrieval_server.exact_search.levels.fitting import (
    axes_loss,
    code_offset,
    range_losses,
    residual_losses,
    unfitted,
)
from retrieval_server.exact_search.levels.rotation import (
    FloatArray,
    SearchFit,
    axis_count,
    rotate_rows,
)
from retrieval_server.storage.arrays import release_pages

SAMPLE_ROWS = 40_000
RANGE_ROWS = 8_000  # of the sample; the ranges and steps are fitted to them
GATHERED_AT_ONCE = 4_096
SMALLEST_SCALING = 0.2  # of the largest; a backbone without α today may have one tomorrow
MARGIN = 1.25  # of the coarse level's ranges
BYTE_STEPS = 254
RESIDUAL_STEPS = np.arange(0.5, 1.25, 0.05)  # of the residual level, in σ; 0.5860 for a Gaussian
AXIS_RANGES = np.arange(3.0, 11.0, 0.4)  # in σ; of a Gaussian 4.0 for 2 bits, 7.9 for 8
STEP_ROWS = 2_000  # of the sample; ranges on the axes and residual steps are fitted to them


def fit_search(
    descriptors: Sequence[NDArray[Any]], alphas: Sequence[float], sample_rows: int = SAMPLE_ROWS
) -> SearchFit:
    """Fit the parameters to a database.

    The same rows give the same fit, bit for bit, on the same machine if BLAS has one thread.

    Args:
        descriptors: (N, C_n) float32 or float16 by backbone; may be mapped from disk.
        alphas: the profile's α by backbone.
        sample_rows: number of rows of the sample.
    """
    rows = len(descriptors[0])
    chosen = np.sort(np.random.default_rng(0).permutation(rows)[:sample_rows])
    sample = [_gathered(matrix, chosen) for matrix in descriptors]
    scalings = _scalings(alphas)
    means = np.concatenate([matrix.mean(axis=0, dtype=np.float64) for matrix in sample])
    means = means.astype(np.float32)
    rotation = _principal_axes(_scaled(sample, means, scalings))
    exact = rotation.astype(np.float64)
    error = float(np.linalg.norm(exact @ exact.T - np.eye(len(exact))))
    parameters = FitParameters(
        rows=rows,
        sample_rows=len(chosen),
        alphas=tuple(map(float, alphas)),
        scalings=scalings,
        rotation_error=error * (1 + 1e-9),
        mean_lows=(0.0,) * len(sample),
        mean_steps=(1.0,) * len(sample),
        residual_step=1.0,
        tail_step=1.0,
        code_offsets=tuple(map(code_offset, sample)),
    )
    fit = unfitted(parameters, means, rotation)
    return _with_ranges(fit, [matrix[:: -(-len(chosen) // RANGE_ROWS)] for matrix in sample])


def _gathered(matrix: NDArray[Any], rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Copy some rows to memory; releases the mapped pages around them piece by piece."""
    gathered = np.empty((len(rows), matrix.shape[1]), np.float32)
    for first in range(0, len(rows), GATHERED_AT_ONCE):
        chunk = slice(first, first + GATHERED_AT_ONCE)
        gathered[chunk] = matrix[rows[chunk]]
        release_pages(matrix)
    return gathered


def _scalings(alphas: Sequence[float]) -> tuple[float, ...]:
    scalings = np.sqrt(FusedBound(alphas, (True,) * len(alphas)).weights)
    if not scalings.any():
        scalings[:] = 1
    smallest = SMALLEST_SCALING * scalings.max()
    return tuple(np.maximum(scalings, smallest).astype(np.float32).tolist())


def _scaled(
    sample: Sequence[NDArray[np.float32]], means: NDArray[np.float32], scalings: Sequence[float]
) -> NDArray[np.float32]:
    """The centred and scaled rows y of the sample, (m, D)."""
    scaled = np.concatenate(sample, axis=1)
    scaled -= means
    first = 0
    for matrix, scaling in zip(sample, scalings, strict=True):
        scaled[:, first : first + matrix.shape[1]] *= np.float32(scaling)
        first += matrix.shape[1]
    return scaled


def _principal_axes(scaled: NDArray[np.float32]) -> NDArray[np.float32]:
    """(K, D) float32, orthonormal up to rounding, by descending variance."""
    dimension = scaled.shape[1]
    axes = axis_count(dimension)
    covariance = scaled.T @ scaled
    _, vectors = scipy.linalg.eigh(
        covariance,
        subset_by_index=[dimension - axes, dimension - 1],
        overwrite_a=True,
        check_finite=False,
    )
    orthonormal, _ = np.linalg.qr(vectors[:, ::-1].astype(np.float64))
    return np.ascontiguousarray(orthonormal.T, dtype=np.float32)


def _with_ranges(fit: SearchFit, sample: Sequence[NDArray[np.float32]]) -> SearchFit:
    """Complete a fit by the steps and ranges of a sample, (m, C_n) by backbone."""
    rows = rotate_rows(fit, sample)
    ranges = _least_losing(range_losses, rows.coordinates[:STEP_ROWS], AXIS_RANGES)
    loss = axes_loss(replace(fit, ranges=ranges), rows)
    residual = residual_steps(loss.remainder[:STEP_ROWS])
    lows, highs = rows.means.min(axis=0), rows.means.max(axis=0)
    room = (MARGIN - 1) * (highs - lows) + 1e-6
    parameters = replace(
        fit.parameters,
        mean_lows=tuple((lows - room).tolist()),
        mean_steps=tuple(((highs - lows + 2 * room) / BYTE_STEPS).tolist()),
        residual_step=float(loss.residual_norms.max()) * MARGIN / BYTE_STEPS + 1e-9,
        tail_step=float(loss.tail_norms.max()) * MARGIN / BYTE_STEPS + 1e-9,
    )
    return SearchFit(parameters, fit.means, fit.rotation, ranges, residual)


def residual_steps(remainder: NDArray[np.float32]) -> NDArray[np.float32]:
    """The step of each dimension that loses least of some rows, (D,).

    Args:
        remainder: (m, D) r of the residual level.
    """
    return _least_losing(residual_losses, remainder, RESIDUAL_STEPS)


def _least_losing(
    losses: Callable[[NDArray[np.float32], NDArray[np.float32]], FloatArray],
    rows: NDArray[np.float32],
    multiples: FloatArray,
) -> NDArray[np.float32]:
    """For each column, the multiple of its standard deviation that loses least, (D,).

    Args:
        losses: what some rows lose in each column, with a width for each column.
        rows: (m, D).
        multiples: those to try.
    """
    deviations = np.sqrt(np.mean(rows**2, axis=0, dtype=np.float64))
    candidates = (multiples[:, None] * deviations).astype(np.float32)
    lost = np.stack([losses(rows, widths) for widths in candidates])
    best: NDArray[np.float32] = candidates[lost.argmin(axis=0), np.arange(len(deviations))]
    return best
