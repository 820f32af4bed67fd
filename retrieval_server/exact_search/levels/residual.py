"""The residual level: 3 bits on each dimension of what the axes leave; few rows pass it.

1,544 bytes a row for D = 3,968, see layout. A code k stands for (k - 3.5) · step of its dimension.

What is coded is r = y - Pᵀĉ, with ĉ from the coarse and the middle codes, in the dimensions of the
descriptors: so the query needs no further rotation. With r̂ from the codes and e = r - r̂,

    ⟨g, y⟩ = ⟨Pg, ĉ⟩ + ⟨g, r̂⟩ + ⟨g, e⟩

is an identity, whatever P is. The first term is the middle level's. The last is bounded as in
``rotation``, with the 320 leading axes P₀, on which g is long and e, spread evenly, is short:

    ⟨g, e⟩ ≤ |P₀g| |P₀e| + |T₀g| |T₀e| + ε |g| |e|.

The bounds of a row are |P₀e| and |T₀e|; as |e| ≤ (1 + ε) (|P₀e| + |T₀e|), the last term is part of
their factors.

Rounding. r is computed in float32: y within 4u |y| (rotation), Pᵀĉ within γ |ĉ| ‖P‖_F, where
‖P‖_F ≤ √K (1 + ε), and their difference and e within u |r| and u |e|. All of it together, δ, is
added to the norms of e.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray

from retrieval_server.exact_search.kernels.encoders import encode_residuals
from retrieval_server.exact_search.kernels.layout import (
    COARSE_AXES,
    LINE,
    RESIDUAL_BITS,
    RESIDUAL_BOUNDS,
    RESIDUAL_DIMENSIONS,
    residual_bytes,
)
from retrieval_server.exact_search.kernels.product import product
from retrieval_server.exact_search.kernels.residual import residual_bounds
from retrieval_server.exact_search.levels.digits import DigitQuery, Segments, digit_query
from retrieval_server.exact_search.levels.level import ArrayForm, LevelArrays, NewRows, rounded_up
from retrieval_server.exact_search.levels.rotation import (
    UNIT,
    FloatArray,
    RotatedQuery,
    RotatedRows,
    SearchFit,
    product_error,
    row_norms,
    tail_norms,
)
from retrieval_server.exact_search.levels.stage import RowStage, StageSettings


def residuals(fit: SearchFit, rows: RotatedRows, decoded: FloatArray) -> NDArray[np.float32]:
    """(m, D) r, up to rounding.

    Args:
        fit: the axes.
        rows: (m) rotated rows.
        decoded: (m, 768), ĉ.
    """
    axes = len(fit.rotation)
    remainder = product(decoded[:, :axes].astype(np.float32), fit.to_dimensions)
    return np.subtract(rows.scaled, remainder, out=remainder)


def write_codes(
    fit: SearchFit, rows: RotatedRows, decoded: FloatArray, codes: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """Write the codes of rows.

    Args:
        fit: the axes and steps.
        rows: (m) rotated rows.
        decoded: (m, 768), ĉ.
        codes: (m, 192 · ⌈D / 512⌉) out, zero before.

    Returns:
        (m, 2) their bounds.
    """
    remainder = residuals(fit, rows, decoded)
    remainder_norms = _norms(remainder)
    encode_residuals(remainder, fit.residual_steps, codes)  # leaves e in its place
    norms = _norms(remainder)
    rotation_error, axes = fit.parameters.rotation_error, len(fit.rotation)
    length = 1 + rotation_error
    decoded_norms = np.linalg.norm(decoded, axis=1) * (1 + 1e-12)
    computed = product_error(axes) * math.sqrt(axes) * length * decoded_norms
    error = 4 * UNIT * length * rows.norms + computed + 2 * UNIT * (remainder_norms + norms)
    leading = fit.to_axes.first(COARSE_AXES)
    squares = _norms(product(remainder, leading)) ** 2
    longest = norms + error
    on_axes_error = length * (product_error(remainder.shape[1]) * leading.columns**0.5 * norms)
    on_axes_error += length * error
    beside = tail_norms(longest, squares, on_axes_error, rotation_error)
    return rounded_up(np.column_stack([np.sqrt(squares) + on_axes_error, beside]))


def residual_query(fit: SearchFit, rotated: RotatedQuery) -> DigitQuery:
    """Round a query for the kernel."""
    dimension = len(fit.means)
    groups = -(-dimension // RESIDUAL_DIMENSIONS)
    coefficients = np.zeros(groups * RESIDUAL_DIMENSIONS)
    coefficients[:dimension] = rotated.vector * fit.residual_steps
    # ε |g| |e|, and what float64 loses, generously
    either = (fit.parameters.rotation_error * 1.01 + 1e-9) * rotated.norm
    factors = [rotated.region_norm(0) + either, rotated.tail_norm(1) + either]
    return digit_query(rotated, coefficients, _segments(groups), factors)


@cache
def _segments(groups: int) -> Segments:
    """A scale for each 64 codes of so many groups of dimensions."""
    codes = groups * RESIDUAL_DIMENSIONS
    return Segments([LINE] * (codes // LINE), np.full(codes, RESIDUAL_BITS))


class ResidualLevel:
    """The residual level; see ``StageLevel``."""

    name, is_resident = "residual", True

    def shapes(  # noqa: D102 - see Level
        self, dimensions: Sequence[int], rows: int
    ) -> tuple[ArrayForm, ArrayForm]:
        codes = (rows, residual_bytes(sum(dimensions))), np.uint8
        return codes, ((rows, RESIDUAL_BOUNDS), np.float32)

    def encode_rows(  # noqa: D102 - see Level
        self, fit: SearchFit, rows: NewRows, arrays: LevelArrays
    ) -> None:
        codes = arrays.codes[rows.own]
        arrays.bounds[rows.own] = write_codes(fit, rows.rotated, rows.decoded, codes)

    def stage(  # noqa: D102 - see StageLevel
        self, fit: SearchFit, arrays: LevelArrays, settings: StageSettings
    ) -> RowStage:
        rounded = partial(residual_query, fit)
        return RowStage(self.name, arrays, rounded, residual_bounds, settings.piece_rows)


def _norms(vectors: NDArray[np.float32]) -> FloatArray:
    """(m,) norms, at least."""
    return row_norms(vectors) * (1 + 1e-12)
