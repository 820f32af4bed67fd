"""The middle level: more bits, more axes, for the rows that the coarse level left.

332 bytes a row, see layout. The codes are 2 more bits on axes 0-255, which split a coarse step in
four, and 4 bits on axes 256-767. The bounds are ρ' of axes 0-255, ρ of axes 256-767, t beside them.

Bound (notation: rotation). With ĉ from all codes so far,

    L(x) ≤ estimate + |Pg|_0 ρ' + |Pg|_1 ρ + |Tg| t,

where the estimate is the coarse level's plus this level's codes times Pg, see ``digits``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval_server.exact_search.kernels.encoders import AXES_SQUARE, MIDDLE_LOST, REFINED_LOST
from retrieval_server.exact_search.kernels.layout import (
    AXES,
    COARSE_AXES,
    LINE,
    MIDDLE_LINES,
    REFINED_BITS,
)
from retrieval_server.exact_search.kernels.middle import middle_bounds
from retrieval_server.exact_search.levels.digits import DigitQuery, Planes, digit_query
from retrieval_server.exact_search.levels.rotation import (
    FloatArray,
    RotatedQuery,
    RotatedRows,
    SearchFit,
    tail_norms,
)
from retrieval_server.exact_search.levels.stage import Candidates
from retrieval_server.exact_search.parallelism import IntraQueryParallelism

_BITS = [bits for bits in MIDDLE_LINES for _ in range(8 // bits)]
_PLANES = Planes([LINE] * len(_BITS), _BITS)


def encode_bounds(
    rotation_error: float, rows: RotatedRows, squares: FloatArray
) -> NDArray[np.float32]:
    """Compute what bounds the rows.

    Args:
        rotation_error: ε.
        rows: (m) rotated rows.
        squares: (m, 5), see ``encoders.encode_axes``.

    Returns:
        (m, 3).
    """
    error = rows.error(AXES)
    residuals = np.sqrt(squares[:, [REFINED_LOST, MIDDLE_LOST]]) + error[:, None]
    tails = tail_norms(rows.norms, squares[:, AXES_SQUARE], error, rotation_error)
    return rounded_up(np.column_stack([residuals, tails]))


def rounded_up(exact: FloatArray) -> NDArray[np.float32]:
    """The float32 at or above each float64."""
    return np.nextafter(exact.astype(np.float32), np.float32(np.inf))


def middle_query(fit: SearchFit, rotated: RotatedQuery) -> DigitQuery:
    """Round a query for the kernel."""
    steps = fit.steps.astype(np.float64)
    steps[:COARSE_AXES] /= 2**REFINED_BITS
    coefficients = np.concatenate([rotated.region(0), rotated.region(1)]) * steps
    factors = [rotated.region_norm(0), rotated.region_norm(1), rotated.tail_norm(2)]
    return digit_query(rotated, coefficients, _PLANES, factors)


@dataclass(frozen=True)
class MiddleStage:
    """The middle level as a stage of the cascade; it rotates the query further.

    Attributes:
        fit: the axes.
        codes: (N, 320) uint8.
        bounds: (N, 3) float32.
        piece: number of rows to hand to another core at once.
        fewest_candidates: see ``Stage``.
        name: the name of the level.
    """

    fit: SearchFit
    codes: NDArray[np.uint8]
    bounds: NDArray[np.float32]
    piece: int
    fewest_candidates: int
    name: str = "middle"

    def bound(  # noqa: D102 - see Stage
        self, query: RotatedQuery, candidates: Candidates, parallelism: IntraQueryParallelism
    ) -> None:
        rounded = middle_query(self.fit, query)
        rows = candidates.rows

        def bound_rows(first: int, last: int) -> None:
            middle_bounds(
                self.codes, self.bounds, rows, first, last, candidates.coarse_estimates,
                rounded.digits, rounded.scales, rounded.terms,
                candidates.estimates, candidates.upper_bounds,
            )  # fmt: skip

        parallelism.share(bound_rows, candidates.count, self.piece)
