"""Fused similarity, eq. (8), and the exact ranking by it.

The similarity of a query q and a database image x over N backbones is ∏ (1 + α_n s_n), with the
cosine s_n accumulated in float64 over the stored float32 descriptors. It is not rounded to
float32: that would turn neighbours in a ranking into ties. Ties go to the smaller row. A factor
may be negative (α_n s_n < -1, possible for unrectified descriptors); it is taken as it is.

Ranking half a million images needs float64 for a handful only: a float32 pass over all of them
has a provable error, so everything that could belong to the best k is known, and is computed
again in float64. Paper → here: s_visual^n → ``cosines``, ŝ_visual → ``similarity``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

NORM_TOLERANCE = 1e-3  # how far from 1 a descriptor's L2 norm may be


@dataclass(frozen=True)
class Ranking:
    """Database rows by descending similarity.

    Attributes:
        rows: (K,) int64.
        similarities: (K,) float64, descending.
        cosines: (K, N) float64, by backbone in the order of the profile.
    """

    rows: NDArray[np.int64]
    similarities: NDArray[np.float64]
    cosines: NDArray[np.float64]

    def head(self, k: int) -> Ranking:
        """The best k."""
        return Ranking(self.rows[:k], self.similarities[:k], self.cosines[:k])


def fused_similarity(cosines: ArrayLike, alphas: ArrayLike) -> NDArray[np.float64]:
    """Fuse the backbones' cosines into one similarity, eq. (8).

    Args:
        cosines: (..., N) in [-1, 1], one per backbone.
        alphas: (N,), α_n ≥ 0.

    Returns:
        (...) float64, larger is more similar; not itself a cosine.
    """
    factors = 1 + np.asarray(alphas, dtype=np.float64) * np.asarray(cosines, dtype=np.float64)
    similarity: NDArray[np.float64] = factors.prod(axis=-1)
    return similarity


class ExactSearch:
    """Ranks database images by eq. (8), exactly.

    Args:
        descriptors: one (N, C_n) float32 array for each backbone, rows of unit norm or zero.
    """

    def __init__(self, descriptors: Sequence[NDArray[np.float32]]) -> None:
        self.descriptors = tuple(descriptors)

    def __len__(self) -> int:
        return len(self.descriptors[0])

    def query_of_row(self, row: int) -> tuple[NDArray[np.float32], ...]:
        """The stored descriptors of a database image, as a query."""
        return tuple(np.array(database[row]) for database in self.descriptors)

    def rank_all(
        self,
        query: Sequence[NDArray[np.float32]],
        alphas: Sequence[float],
        top_k: int,
        exclude: int | None = None,
    ) -> Ranking:
        """Rank the whole database.

        Args:
            query: one (C_n,) float32 descriptor for each backbone.
            alphas: α_n ≥ 0 of eq. (8).
            top_k: length of the ranking, ≥ 1; shorter where the database is.
            exclude: a row to leave out.

        Returns:
            The ranking that brute force in float64 gives, ties by ascending row.
        """
        rough = np.ones(len(self))
        for database, vector, alpha in zip(self.descriptors, query, alphas, strict=True):
            rough *= 1 + alpha * (database @ vector).astype(np.float64)
        if exclude is not None:
            rough[exclude] = -np.inf
        eligible = len(self) - (exclude is not None)
        if top_k >= eligible:
            candidates = np.flatnonzero(rough > -np.inf)
        else:
            kth = np.partition(rough, -top_k)[-top_k]
            candidates = np.flatnonzero(rough >= kth - 2 * self._rough_error(alphas))
        return self.rank_rows(query, alphas, candidates, top_k)

    def rank_rows(
        self,
        query: Sequence[NDArray[np.float32]],
        alphas: Sequence[float],
        rows: NDArray[np.integer],
        top_k: int,
    ) -> Ranking:
        """Rank some rows only; see ``rank_all``.

        Args:
            query: one (C_n,) float32 descriptor for each backbone.
            alphas: α_n ≥ 0 of eq. (8).
            rows: (M,) distinct rows.
            top_k: length of the ranking; shorter where there are fewer rows.
        """
        cosines = np.empty((len(rows), len(self.descriptors)))
        for column, (database, vector) in enumerate(zip(self.descriptors, query, strict=True)):
            # Products of two float32 are exact in float64, and each row is summed by itself: the
            # same image has the same cosine whatever else is ranked beside it.
            cosines[:, column] = (database[rows].astype(np.float64) * vector).sum(axis=1)
        similarities = fused_similarity(cosines, alphas)
        order = np.lexsort((rows, -similarities))[:top_k]
        return Ranking(rows[order].astype(np.int64), similarities[order], cosines[order])

    def _rough_error(self, alphas: Sequence[float]) -> float:
        """Bound |rough - exact| of the float32 pass.

        A float32 inner product of C terms, summed in any order, errs by at most γ ‖q‖ ‖x‖ with
        γ = C u / (1 - C u), u = 2⁻²⁴ (Higham 2002, eq. 3.5, and Cauchy-Schwarz); norms are at most
        1 + NORM_TOLERANCE. With e_n the error of one cosine, the product errs by at most
        ∏ (1 + α_n (b + e_n)) - ∏ (1 + α_n b), b the largest cosine. The float64 roundings of
        both passes are 2⁻²⁹ of float32's; doubling the bound covers them.
        """
        largest_cosine = (1 + NORM_TOLERANCE) ** 2
        exact = rough = 1.0
        for database, alpha in zip(self.descriptors, alphas, strict=True):
            rounding = database.shape[1] * 2.0**-24
            error = rounding / (1 - rounding) * largest_cosine
            exact *= 1 + alpha * largest_cosine
            rough *= 1 + alpha * (largest_cosine + error)
        return 2 * (rough - exact)
