"""Fused similarity, eq. (8), and a ranking by it.

The similarity of a query q and a database image x over N backbones is ∏ (1 + α_n s_n), with the
cosine s_n accumulated in float64 over the stored descriptors. It is not rounded to float32: that
would turn neighbours in a ranking into ties. Ties go to the smaller row. A factor may be negative
(α_n s_n < -1, possible for unrectified descriptors); it is taken as it is. Paper → here:
s_visual^n → ``cosines``, ŝ_visual → ``similarity``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from retrieval_server.exact_search.proof import Proof

NORM_TOLERANCE = 1e-3  # how far from 1 a descriptor's L2 norm may be


@dataclass(frozen=True)
class Ranking:
    """Database rows by descending similarity.

    Attributes:
        rows: (K,) int64.
        similarities: (K,) float64, descending.
        cosines: (K, N) float64, by backbone in the order of the profile.
        proof: what is proved of a ranking of candidates; None for one that is exact by itself.
    """

    rows: NDArray[np.int64]
    similarities: NDArray[np.float64]
    cosines: NDArray[np.float64]
    proof: Proof | None = None

    def head(self, k: int) -> Ranking:
        """The ranking of the best k rows."""
        return replace(
            self,
            rows=self.rows[:k],
            similarities=self.similarities[:k],
            cosines=self.cosines[:k],
        )

    def reaching(self, similarity: float | None) -> Ranking:
        """The ranking of the rows with at least a similarity; of all rows for None."""
        if similarity is None:
            return self
        return self.head(int(np.count_nonzero(self.similarities >= similarity)))


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
