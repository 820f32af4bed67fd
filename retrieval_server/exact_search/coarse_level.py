"""The coarse level: 4 bits on each of the 256 leading axes; the one that every search reads whole.

Layout, 132 bytes a row for up to two backbones, in blocks of 64 rows:

- codes (blocks, 32, 256) uint8: for each group g of 8 axes, 64 rows × 4 bytes; byte j of a row has
  the code of axis 8g + j in its low and of axis 8g + 4 + j in its high half. A code k stands for
  (k - 7.5) · step of its axis.
- bounds (blocks, W, 256) uint8: 64 rows × 4 bytes, W = ⌈(N + 2) / 4⌉ of them: b by backbone, the
  norm ρ of the coordinates' residual, the norm t beside the axes; each rounded up in steps.

A row that one of them cannot hold is an *outlier*: it skips the levels on the axes.

Bound (notation: rotation). With ĉ from the codes,

    L(x) ≤ ⟨Pg, ĉ⟩ + Σ w_n b_n + constant + |Pg| ρ + |Tg| t.

The first three make the ``value``, all five the ``upper`` of a row. Pg · step becomes ``digits``;
the leading axes, on which it is by far the largest, share a scale with few others, so that little
is lost on those. The weights of the bounds become digits rounded up. All sums of codes and digits
are exact integers below 2²⁴; the few float32 operations on them are covered by ``rounding``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval_server.exact_search.digits import Planes, digits_of
from retrieval_server.exact_search.fit_parameters import FitParameters
from retrieval_server.exact_search.kernels import COARSE_SEGMENTS, coarse_scan
from retrieval_server.exact_search.rotation import (
    REGIONS,
    FloatArray,
    RotatedQuery,
    RotatedRows,
    SearchFit,
    rounding,
    tail_norms,
)

BLOCK_ROWS = 64
BITS = 4
_GROUPS = REGIONS[0] // 8
_SEGMENTS = Planes([8 * groups for groups in COARSE_SEGMENTS], [BITS] * len(COARSE_SEGMENTS))
_SEGMENT_LENGTHS = np.array([len(COARSE_SEGMENTS), *COARSE_SEGMENTS], np.int64)  # number first
_JUST_UNDER = 126.999  # so that rounding up stays a signed byte


def bound_words(backbones: int) -> int:
    """W: how many times 4 bytes the bounds of a row take."""
    return -(-(backbones + 2) // 4)


def encode_bounds(
    parameters: FitParameters, rows: RotatedRows, squares: FloatArray
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Round what bounds a row up to bytes.

    Args:
        parameters: steps and lows.
        rows: (m) rotated rows.
        squares: (m, 5), see ``encoders.encode_axes``.

    Returns:
        (m, 4 W) uint8, and (m,) whether a row is an outlier.
    """
    error = rows.error(REGIONS[0])
    residuals = np.sqrt(squares[:, 0]) + error
    tails = tail_norms(rows.norms, squares[:, 3], error, parameters.rotation_error)
    steps = [
        *(rows.means - parameters.mean_lows).T / np.array(parameters.mean_steps)[:, None],
        residuals / parameters.residual_step,
        tails / parameters.tail_step,
    ]
    rounded: FloatArray = np.ceil(np.array(steps).T * (1 + 1e-9) + 1e-9)
    stored = np.zeros((len(rounded), 4 * bound_words(rows.means.shape[1])), np.uint8)
    stored[:, : rounded.shape[1]] = np.clip(rounded, 0, 255)
    is_outlier: NDArray[np.bool_] = np.any(rounded > 255, axis=1)
    return stored, is_outlier


def store_bounds(bounds: NDArray[np.uint8], first_row: int, stored: NDArray[np.uint8]) -> None:
    """Put the bounds of rows in their place in the blocks.

    Args:
        bounds: (blocks, W, 256).
        first_row: row of the first.
        stored: (m, 4 W), from ``encode_bounds``.
    """
    rows = np.arange(first_row, first_row + len(stored))
    by_row = bounds.reshape(len(bounds), -1, BLOCK_ROWS, 4)
    words = stored.reshape(len(stored), -1, 4)
    by_row[rows // BLOCK_ROWS, :, rows % BLOCK_ROWS] = words


@dataclass(frozen=True)
class CoarseQuery:
    """A query as the scan reads it.

    Attributes:
        digits: (32, 2, 4) int8, of the axes as the codes lie.
        scales: (8,) float32: S of the 6 segments, the unit of the weights, the constant.
        weights: (W, 2, 4) int8: of the bytes of the bounds that belong to the value, and of those
            that belong to the upper bound only.
    """

    digits: NDArray[np.int8]
    scales: NDArray[np.float32]
    weights: NDArray[np.int8]


def coarse_query(fit: SearchFit, rotated: RotatedQuery, weights: FloatArray) -> CoarseQuery:
    """Round a query for the scan.

    Args:
        fit: the axes.
        rotated: the query on them.
        weights: (N,) w.
    """
    parameters = fit.parameters
    digits = digits_of(rotated.region(0) * fit.steps[: REGIONS[0]], _SEGMENTS)
    by_byte = np.zeros((2, 4 * bound_words(len(weights))))  # of the value, of the upper bound
    by_byte[0, : len(weights)] = weights * parameters.mean_steps
    by_byte[1, len(weights) : len(weights) + 2] = (
        rotated.region_norm(0) * parameters.residual_step,
        rotated.tail_norm(1) * parameters.tail_step,
    )
    unit = float(np.float32(by_byte.max() / _JUST_UNDER + 1e-30))
    weight_digits = np.ceil(by_byte / unit)

    constant = rotated.constant + float(weights @ parameters.mean_lows) + digits.constant
    constant += rounding(unit * 255 * weight_digits.sum(), abs(constant), abs(digits.constant))
    return CoarseQuery(
        digits.digits.reshape(_GROUPS, 2, 4),
        np.array([*digits.scales, unit, constant], np.float32),
        np.ascontiguousarray(weight_digits.astype(np.int8).reshape(2, -1, 4).transpose(1, 0, 2)),
    )


def scan(
    codes: NDArray[np.uint8],
    bounds: NDArray[np.uint8],
    query: CoarseQuery,
    blocks: range,
    values: NDArray[np.float32],
    uppers: NDArray[np.float32],
    block_max: NDArray[np.float32],
) -> None:
    """Bound the rows of some blocks.

    Args:
        codes: (blocks, 32, 256).
        bounds: (blocks, W, 256).
        query: the query.
        blocks: which blocks.
        values: (64 · blocks,) out.
        uppers: (64 · blocks,) out.
        block_max: (blocks,) out, the largest upper bound of each block.
    """
    coarse_scan(
        codes, bounds, query.digits, _SEGMENT_LENGTHS, query.scales, query.weights,
        blocks.start, blocks.stop, values, uppers, block_max,
    )  # fmt: skip
