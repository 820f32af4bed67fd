"""The coarse level: 2 to 8 bits on each of the 320 leading axes; the one that is always read whole.

Axes with more variance have more bits: so what all axes lose, times what a query has there, is
least. 136 bytes a row for up to two backbones, see layout. The bounds of a row are b by backbone,
the norm ρ of the coordinates' residual, see axis_codes, and the norm t beside the axes, each
rounded up in steps. A row that one of them cannot hold is an *outlier*: it skips the levels on the
axes.

Bound (notation: rotation). With ĉ from the codes,

    L(x) ≤ ⟨Pg, ĉ⟩ + Σ w_n b_n + constant + |Pg / c| ρ + |Tg| t.

The first three terms are the estimate of a row, all five its upper bound. Pg · step becomes digits
(see digits); the leading axes, on which it is by far the largest, have two, so that little is lost
on those. The weights of the bounds become digits rounded up. All sums of codes and digits are exact
integers below 2²⁴; the few float32 operations on them are covered by ``rounding``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval_server.exact_search.kernels.coarse import QUERIES_AT_ONCE, coarse_bounds
from retrieval_server.exact_search.kernels.coarse_lines import SEGMENT_LENGTHS
from retrieval_server.exact_search.kernels.layout import (
    BLOCK_ROWS,
    COARSE_SEGMENTS,
    COARSE_STRIPES,
    COARSE_TABLE,
    HIGH_DIGIT,
    LANES,
    STRIPE,
    WIDE_CODES,
    WORD,
    bound_words,
    store_row_words,
    stripe_codes,
)
from retrieval_server.exact_search.levels.axis_codes import AxisCodes
from retrieval_server.exact_search.levels.candidates import Candidates
from retrieval_server.exact_search.levels.digits import Segments, digits_of
from retrieval_server.exact_search.levels.fit_parameters import FitParameters
from retrieval_server.exact_search.levels.level import ArrayForm, LevelArrays, NewRows
from retrieval_server.exact_search.levels.rotation import (
    FloatArray,
    RotatedQuery,
    SearchFit,
    rounding,
)
from retrieval_server.exact_search.levels.stage import StageSettings
from retrieval_server.exact_search.parallelism import IntraQueryParallelism
from retrieval_server.exact_search.shared_scan import Scan

_LARGEST_BOUND = 255
_CODES = AxisCodes(COARSE_TABLE)
SEGMENTS = Segments(
    [stripe_codes(bits) * length for bits, lengths in COARSE_SEGMENTS for length in lengths],
    COARSE_TABLE.bits,
    wide=1,
)
_LENGTHS = np.array(SEGMENT_LENGTHS, np.int64)
_JUST_UNDER = 126.999  # so that rounding up stays a signed byte


def rounded_bounds(
    parameters: FitParameters, means: FloatArray, residuals: FloatArray, tails: FloatArray
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Round what bounds a row up to bytes.

    Args:
        parameters: steps and lows.
        means: (m, N) b.
        residuals: (m,) ρ.
        tails: (m,) t.

    Returns:
        (m, 4 W) uint8, and (m,) whether a row is an outlier.
    """
    steps = [
        *(means - parameters.mean_lows).T / np.array(parameters.mean_steps)[:, None],
        residuals / parameters.residual_step,
        tails / parameters.tail_step,
    ]
    rounded: FloatArray = np.ceil(np.array(steps).T * (1 + 1e-9) + 1e-9)
    stored = np.zeros((len(rounded), WORD * bound_words(means.shape[1])), np.uint8)
    stored[:, : rounded.shape[1]] = np.clip(rounded, 0, _LARGEST_BOUND)
    is_outlier: NDArray[np.bool_] = np.any(rounded > _LARGEST_BOUND, axis=1)
    return stored, is_outlier


@dataclass(frozen=True)
class CoarseQuery:
    """A query as the kernel reads it.

    Attributes:
        digits: (32 + 384,) int8: the low ones of the wide segment; then code by code.
        scales: (11,) float32: S of the low digits and of the 8 segments, the unit of the weights,
            the constant.
        weights: (W, 2, 4) int8: of the bytes of the bounds that belong to the estimate, and of
            those that belong to the upper bound only.
    """

    digits: NDArray[np.int8]
    scales: NDArray[np.float32]
    weights: NDArray[np.int8]


def coarse_query(fit: SearchFit, rotated: RotatedQuery) -> CoarseQuery:
    """Round a query for the kernel."""
    parameters, weights = fit.parameters, rotated.weights
    coordinates = rotated.region(0)
    rounded = digits_of(_CODES.coefficients(fit, coordinates), SEGMENTS)
    high = np.rint(rounded.numbers[:WIDE_CODES] / HIGH_DIGIT)
    low = rounded.numbers[:WIDE_CODES] - HIGH_DIGIT * high
    digits = np.concatenate([low, high, rounded.numbers[WIDE_CODES:]])
    scales = rounded.scales[0], HIGH_DIGIT * rounded.scales[0], *rounded.scales[1:]
    by_byte = np.zeros((2, WORD * bound_words(len(weights))))  # of estimate, of upper bound
    by_byte[0, : len(weights)] = weights * parameters.mean_steps
    by_byte[1, len(weights) : len(weights) + 2] = (
        _CODES.query_norm(coordinates) * parameters.residual_step,
        rotated.tail_norm(1) * parameters.tail_step,
    )
    unit = float(np.float32(by_byte.max() / _JUST_UNDER + 1e-30))
    weight_digits = np.ceil(by_byte / unit)

    constant = rotated.constant + float(weights @ parameters.mean_lows) + rounded.constant
    largest = unit * _LARGEST_BOUND * weight_digits.sum()
    constant += rounding(largest, abs(constant), abs(rounded.constant))
    by_word = weight_digits.astype(np.int8).reshape(2, -1, WORD).transpose(1, 0, 2)
    return CoarseQuery(
        digits.astype(np.int8),
        np.array([*scales, unit, constant], np.float32),
        np.ascontiguousarray(by_word),
    )


@dataclass(frozen=True)
class CoarseStage:
    """The first stage of the cascade: every row that may be found is a candidate.

    Attributes:
        name: the name of the level.
        fit: the axes.
        arrays: codes (blocks, 33, 256) and bounds (blocks, W, 256).
        piece: number of blocks to hand to another core at once.
        fewest_candidates: see ``Stage``.
    """

    name: str
    fit: SearchFit
    arrays: LevelArrays
    piece: int
    fewest_candidates: int = 0

    def bound(  # noqa: D102 - see Stage
        self, query: RotatedQuery, candidates: Candidates, parallelism: IntraQueryParallelism
    ) -> None:
        self.bound_together([(query, candidates)], parallelism)

    def bound_together(
        self,
        searches: Sequence[tuple[RotatedQuery, Candidates]],
        parallelism: IntraQueryParallelism,
    ) -> None:
        """Bound L for several searches of a thread in one pass over the codes; see ``Stage``.

        Each gets the bounds that it gets alone, bit by bit.

        Args:
            searches: one, or up to ``QUERIES_AT_ONCE``: each query with its own candidates.
            parallelism: shares the work among idle cores.
        """
        for place, (_, candidates) in enumerate(searches):
            candidates.take_place(place)
        # The kernel is compiled for one query and for a whole group.
        repeated = [searches[-1]] * (QUERIES_AT_ONCE - len(searches)) if len(searches) > 1 else []
        together = [*searches, *repeated]
        rounded = [coarse_query(self.fit, query) for query, _ in together]
        codes, bounds = self.arrays.codes, self.arrays.bounds
        digits, scales, weights = zip(
            *((each.digits, each.scales, each.weights) for each in rounded), strict=True
        )
        allowed, estimates, upper_bounds, block_maxima = zip(
            *(
                (
                    each.allowed,
                    each.coarse_estimates,
                    each.coarse_upper_bounds,
                    each.block_maxima,
                )
                for _, each in together
            ),
            strict=True,
        )

        def bound_blocks(first: int, last: int) -> None:
            coarse_bounds(
                codes, bounds, first, last, digits, _LENGTHS, scales, weights,
                allowed, estimates, upper_bounds, block_maxima,
            )  # fmt: skip

        parallelism.share(bound_blocks, len(codes), self.piece)
        for _, candidates in searches:
            candidates.leave_out_excluded()


@dataclass(frozen=True, eq=False)
class CoarseScan:
    """The scan of the coarse level that one search needs; see ``shared_scan.Scan``.

    Attributes:
        stage: scans.
        query: the query.
        candidates: takes what the scan writes.
        parallelism: shares the work among idle cores.
    """

    stage: CoarseStage
    query: RotatedQuery
    candidates: Candidates
    parallelism: IntraQueryParallelism

    def can_share(self, other: Scan) -> bool:  # noqa: D102 - see Scan
        if self is other:
            return True
        if not isinstance(other, CoarseScan) or self.stage is not other.stage:
            return False
        return self._reads_all() and other._reads_all()

    def run_with(self, others: Sequence[CoarseScan]) -> None:  # noqa: D102 - see Scan
        searches = [(each.query, each.candidates) for each in (self, *others)]
        with self.parallelism.searching():
            self.stage.bound_together(searches, self.parallelism)

    def _reads_all(self) -> bool:
        """Whether most lines have a row that may be found: alone, the scan would read them all."""
        allowed = self.candidates.allowed
        return allowed.size == 0 or LANES * int(np.count_nonzero(allowed)) >= allowed.size


class CoarseLevel:
    """The coarse level; see ``StageLevel``."""

    name, is_resident = "coarse", True

    def shapes(  # noqa: D102 - see Level
        self, dimensions: Sequence[int], rows: int
    ) -> tuple[ArrayForm, ArrayForm]:
        blocks = -(-rows // BLOCK_ROWS)
        codes = (blocks, COARSE_STRIPES, STRIPE), np.uint8
        return codes, ((blocks, bound_words(len(dimensions)), STRIPE), np.uint8)

    def encode_rows(  # noqa: D102 - see Level
        self, fit: SearchFit, rows: NewRows, arrays: LevelArrays
    ) -> None:
        codes, *norms = _CODES.encode(fit, rows.rotated, rows.decoded)
        store_row_words(arrays.codes, rows.first, codes)
        stored, rows.is_outlier[:] = rounded_bounds(fit.parameters, rows.rotated.means, *norms)
        store_row_words(arrays.bounds, rows.first, stored)

    def stage(  # noqa: D102 - see StageLevel
        self, fit: SearchFit, arrays: LevelArrays, settings: StageSettings
    ) -> CoarseStage:
        return CoarseStage(self.name, fit, arrays, settings.piece_blocks)
