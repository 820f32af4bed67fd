"""Eq. (8) as one inner product: what a search may drop.

For factors f_n = 1 + α_n s_n > 0 and any u_n > 0 the inequality of the means says, over the M
backbones with α_n > 0 (the factor of another is 1),

    ∏ f_n = ∏ u_n f_n / ∏ u_n ≤ ((Σ u_n f_n) / M)^M / ∏ u_n.

With w_n = u_n α_n and L = Σ w_n s_n that is: a similarity of τ > 0 needs

    L ≥ M (τ ∏ u_n)^(1/M) - Σ u_n.

It is tight where the u_n f_n are equal; we take u_n = 1 / (1 + α_n r) at a cosine r that a good
match has. Any u is correct, so r is no setting.

Where a factor may be ≤ 0 the inequality fails. Such a row reaches τ > 0 only if an even number of
its factors is negative, and then its similarity is at most ∏ (α_n c - 1) ∏ (1 + α_n c) over the
negative and the other ones, c ≥ |cosine|. ``covers`` compares the largest of these with τ; where it
says no, the search goes without the levels that rest on L. Non-negative descriptors have no
negative cosines, whatever α.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from retrieval_server.exact_search.levels.rotation import LONGEST, FloatArray
from retrieval_server.exact_search.row_factors import RowFactors, RowGrowth

REFERENCE_COSINE = 0.72
_LARGEST_COSINE = LONGEST**2 * (1 + 1e-9)


class FusedBound:
    """The inequality for one query.

    Args:
        alphas: (N,) α ≥ 0.
        rectified: (N,) whether a backbone's cosines cannot be negative.
        factors: factors of single rows; None for none.
    """

    def __init__(
        self,
        alphas: Sequence[float],
        rectified: Sequence[bool],
        factors: RowFactors | None = None,
    ) -> None:
        at_reference = np.array([1 + alpha * REFERENCE_COSINE for alpha in alphas])
        self._active = np.array(alphas) > 0
        self._u = 1 / at_reference[self._active]
        self._sum_of_u, self._product_of_u = float(self._u.sum()), float(self._u.prod())
        self.weights: FloatArray = np.array(alphas, dtype=np.float64) / at_reference
        """(N,) w; zero where α is zero."""
        self._sum_of_weights = float(self.weights.sum())
        self._factors = factors
        largest_with_negatives = _largest_with_negatives(alphas, rectified)
        if factors is not None:
            largest_with_negatives *= factors.largest * (1 + 1e-9)
        self._least_covered = max(0.0, largest_with_negatives)

    def covers(self, similarity: float) -> bool:
        """Whether no row with a factor ≤ 0 can reach this similarity."""
        return similarity > self._least_covered

    def growth(self) -> RowGrowth | None:
        """What the factors of single rows do to bounds of L; None without factors."""
        if self._factors is None:
            return None
        growths = _root(self._factors.factors, len(self._u)).astype(np.float32)
        growths = np.nextafter(growths, np.float32(np.inf))
        return RowGrowth(self._factors.rows, growths, self._sum_of_u)

    def threshold(self, similarity: float) -> np.float32:
        """The L that a row of this similarity reaches, rounded down; see ``covers``."""
        found: np.float32 = self._thresholds(np.array([similarity]))[0]
        return found

    def thresholds(self, similarities: FloatArray) -> NDArray[np.float32]:
        """``threshold`` of each similarity; where it is not covered, one that all rows reach.

        Rows that may not be found have a bound of -inf, and reach none.
        """
        found = self._thresholds(np.maximum(similarities, 0))
        return np.where(similarities > self._least_covered, found, np.finfo(np.float32).min)

    def _thresholds(self, similarities: FloatArray) -> NDArray[np.float32]:
        count = len(self._u)
        products = similarities * (1 - 1e-12) * self._product_of_u
        exact = count * _root(products, count)
        total = self._sum_of_u
        slack = 1e-13 * (total + exact) + 1e-11 * self._sum_of_weights  # float64 rounding
        below = (exact - total - slack).astype(np.float32)
        return np.nextafter(below, np.float32(-np.inf))


def _root(numbers: FloatArray, degree: int) -> FloatArray:
    """The roots of numbers; the square root is ten times as fast as the others."""
    roots: FloatArray = np.sqrt(numbers) if degree == 2 else numbers ** (1 / degree)
    return roots


def _largest_with_negatives(alphas: Sequence[float], rectified: Sequence[bool]) -> float:
    """The largest similarity of a row with a negative factor; -inf if there can be none."""
    negative = [
        alpha * _LARGEST_COSINE - 1 if not is_rectified else -1.0
        for alpha, is_rectified in zip(alphas, rectified, strict=True)
    ]
    possible = [backbone for backbone, largest in enumerate(negative) if largest >= 0]
    best = -math.inf
    for count in range(2, len(possible) + 1, 2):
        for chosen in itertools.combinations(possible, count):
            best = max(
                best,
                math.prod(
                    negative[backbone] if backbone in chosen else 1 + alpha * _LARGEST_COSINE
                    for backbone, alpha in enumerate(alphas)
                ),
            )
    return best * (1 + 1e-9)
