"""The middle level: more bits, more axes, for the rows that the coarse level left.

328 bytes a row, see layout. The codes are further bits on axes 64-319, which split the steps of the
coarse codes, and 4 bits on axes 320-767. The bounds are ρ of all these axes, see axis_codes, and t
beside them.

Bound (notation: rotation). With ĉ from all codes so far,

    L(x) ≤ estimate + |Pg / c| ρ + |Tg| t,

where the estimate is the coarse level's plus this level's codes times Pg, see ``digits``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from retrieval_server.exact_search.kernels.layout import (
    LINE,
    MIDDLE_BOUNDS,
    MIDDLE_LINES,
    MIDDLE_STRIDE,
    MIDDLE_TABLE,
)
from retrieval_server.exact_search.kernels.middle import middle_bounds
from retrieval_server.exact_search.levels.axis_codes import AxisCodes
from retrieval_server.exact_search.levels.digits import DigitQuery, Segments, digit_query
from retrieval_server.exact_search.levels.level import ArrayForm, LevelArrays, NewRows, rounded_up
from retrieval_server.exact_search.levels.rotation import RotatedQuery, SearchFit
from retrieval_server.exact_search.levels.stage import RowStage, StageSettings

_CODES = AxisCodes(MIDDLE_TABLE)
SEGMENTS = Segments([LINE * len(planes) for planes in MIDDLE_LINES], MIDDLE_TABLE.bits)


def middle_query(fit: SearchFit, rotated: RotatedQuery) -> DigitQuery:
    """Round a query for the kernel."""
    coordinates = np.concatenate([rotated.region(0), rotated.region(1)])
    factors = [_CODES.query_norm(coordinates), rotated.tail_norm(2)]
    return digit_query(rotated, _CODES.coefficients(fit, coordinates), SEGMENTS, factors)


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
        arrays.codes[rows.own], *norms = _CODES.encode(fit, rows.rotated, rows.decoded)
        arrays.bounds[rows.own] = rounded_up(np.column_stack(norms))

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
