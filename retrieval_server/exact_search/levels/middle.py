"""The middle level: more bits, more axes, for the rows that the coarse level left.

332 bytes a row, see layout. The codes are 2 further bits on axes 0-255, which split a step of the
coarse codes in four, and 4 bits on axes 256-767. The bounds are ρ' of axes 0-255, ρ of axes
256-767, t beside them.

Bound (notation: rotation). With ĉ from all codes so far,

    L(x) ≤ estimate + |Pg|_0 ρ' + |Pg|_1 ρ + |Tg| t,

where the estimate is the coarse level's plus this level's codes times Pg, see ``digits``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from retrieval_server.exact_search.kernels.encoders import encode_middle
from retrieval_server.exact_search.kernels.layout import (
    AXES,
    COARSE_AXES,
    LEADING_AXES,
    LINE,
    MIDDLE_BOUNDS,
    MIDDLE_LINES,
    MIDDLE_STRIDE,
    REFINED_BITS,
)
from retrieval_server.exact_search.kernels.middle import middle_bounds
from retrieval_server.exact_search.levels.digits import DigitQuery, Planes, digit_query
from retrieval_server.exact_search.levels.level import ArrayForm, LevelArrays, NewRows, rounded_up
from retrieval_server.exact_search.levels.rotation import (
    RotatedQuery,
    RotatedRows,
    SearchFit,
    tail_norms,
)
from retrieval_server.exact_search.levels.stage import RowStage, StageSettings

_BITS = [bits for bits in MIDDLE_LINES for _ in range(8 // bits)]
_PLANES = Planes([LINE] * len(_BITS), _BITS)


def write_codes(
    fit: SearchFit, rows: RotatedRows, codes: NDArray[np.uint8], decoded: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Write the codes of rows.

    Args:
        fit: the steps.
        rows: (m) rotated rows.
        codes: (m, 320), zero before.
        decoded: (m, 768) out, ĉ.

    Returns:
        (m, 3) their bounds.
    """
    lost, squares = np.empty((len(decoded), 2)), np.empty(len(decoded))
    encode_middle(rows.coordinates, fit.steps, codes, decoded, lost, squares)
    error = rows.error(AXES)
    tails = tail_norms(rows.norms, squares, error, fit.parameters.rotation_error)
    return rounded_up(np.column_stack([np.sqrt(lost) + error[:, None], tails]))


def middle_query(fit: SearchFit, rotated: RotatedQuery) -> DigitQuery:
    """Round a query for the kernel."""
    steps = fit.steps.astype(np.float64)
    steps[:COARSE_AXES] /= 2**REFINED_BITS
    steps[:LEADING_AXES] /= 2**REFINED_BITS  # the coarse level refines these already
    coefficients = np.concatenate([rotated.region(0), rotated.region(1)]) * steps
    factors = [rotated.region_norm(0), rotated.region_norm(1), rotated.tail_norm(2)]
    return digit_query(rotated, coefficients, _PLANES, factors)


class MiddleLevel:
    """The middle level; see ``StageLevel``."""

    name, is_resident = "middle", True

    def shapes(  # noqa: D102 - see Level
        self, dimensions: Sequence[int], rows: int
    ) -> tuple[ArrayForm, ArrayForm]:
        return ((rows, MIDDLE_STRIDE), np.uint8), ((rows, MIDDLE_BOUNDS), np.float32)

    def encode_rows(  # noqa: D102 - see Level
        self, fit: SearchFit, rows: NewRows, arrays: LevelArrays
    ) -> None:
        codes = arrays.codes[rows.own]
        arrays.bounds[rows.own] = write_codes(fit, rows.rotated, codes, rows.decoded)

    def stage(  # noqa: D102 - see StageLevel
        self, fit: SearchFit, arrays: LevelArrays, settings: StageSettings
    ) -> RowStage:
        return RowStage(
            self.name,
            arrays,
            partial(middle_query, fit),
            middle_bounds,
            settings.piece_rows,
            follows_coarse=True,
            fewest_candidates=settings.few_rows + 1,
        )
