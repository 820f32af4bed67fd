"""The certificate: what an engine's list says of the rows that are not in it.

An engine ranks by one inner product. We ask it for the rows with the largest L(x) = Σ w_n s_n, with
the weights w of ``FusedBound``: the inequality of the means bounds eq. (8) by L. With all u_n = 1
this is ∏ (1 + α_n s_n) ≤ ((N + S) / N)^N for S = Σ α_n s_n. ``FusedBound`` takes u_n that make the
inequality tight at the cosine of a good match, so fewer candidates suffice.

The engine returns its list by falling L. A row outside of the list has at most the L of the last
row. If less than that L is needed to reach the k-th best similarity of the list, no row outside is
among the best k, and none is as similar as the k-th. Rows with a negative factor 1 + α_n s_n break
the inequality; ``FusedBound.covers`` compares the similarity with the largest that such a row may
have.

Where single rows have factors f(x) ≥ 1 (see row_factors), a row outside of the list has at most
f U(L), with U(L) the bound of eq. (8) and f the largest factor of a row outside. So it cannot reach
a similarity τ if U(L) < τ / f. The search therefore reads rows by falling factor as well, and takes
for f the largest factor that it has not read: this is the threshold of Fagin's algorithm for two
sorted lists.

The engine computes L in float32. For a query p of D values and a row x, any order of the D products
is wrong by at most γ |p| |x|, γ = m u / (1 - m u), u = 2⁻²⁴ (Higham 2002, section 3.1). Here m is
D + 2, since the products w_n q_n are rounded to float32, and the result once more. Products that
float32 flushes to zero add at most 2⁻¹²⁴ each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from retrieval_server.exact_search.fused_bound import FusedBound
from retrieval_server.exact_search.levels.rotation import LONGEST, UNIT
from retrieval_server.exact_search.row_factors import RowFactors


class SumCertificate:
    """The certificate for one query.

    Args:
        query: one (C_n,) float32 descriptor for each backbone, of unit norm or zero.
        alphas: (N,) α ≥ 0 of eq. (8), at least one above 0.
        rectified: (N,) whether no stored descriptor of a backbone has a negative value.
        factors: factors of single rows; None for none.

    Attributes:
        sum_query: (D,) float32, the descriptors side by side, each times its w_n: its inner product
            with a stored row is L.
        error: how much the engine's L and the true one differ at most.
    """

    def __init__(
        self,
        query: Sequence[NDArray[np.float32]],
        alphas: Sequence[float],
        rectified: Sequence[bool],
        factors: RowFactors | None = None,
    ) -> None:
        never_negative = [
            is_rectified and bool((descriptor >= 0).all())
            for is_rectified, descriptor in zip(rectified, query, strict=True)
        ]
        self._bound = FusedBound(alphas, never_negative, factors)
        weighted = [
            weight * descriptor.astype(np.float64)
            for weight, descriptor in zip(self._bound.weights, query, strict=True)
        ]
        self.sum_query: NDArray[np.float32] = np.concatenate(weighted).astype(np.float32)
        roundings = (len(self.sum_query) + 2) * UNIT
        length = math.hypot(*(float(np.linalg.norm(part)) for part in weighted))
        longest = LONGEST * math.sqrt(len(query))
        relative = roundings / (1 - roundings) * length * longest * (1 + 1e-6)
        self.error = relative + len(self.sum_query) * 2.0**-124

    def sums(self, cosines: NDArray[np.float64]) -> NDArray[np.float64]:
        """L of some rows, (m,).

        Args:
            cosines: (m, N), exact.
        """
        sums: NDArray[np.float64] = cosines @ self._bound.weights
        return sums

    def covers(self, similarity: float) -> bool:
        """Whether the inequality holds for every row that may reach a similarity.

        Args:
            similarity: that of eq. (8), times its factor.
        """
        return self._bound.covers(similarity)

    def proves(self, similarity: float, last_sum: float, error: float, factor: float = 1.0) -> bool:
        """Whether no row outside of a list can reach a similarity.

        Args:
            similarity: that of eq. (8), times its factor, that a further row would have to reach.
            last_sum: the smallest L of the list, as the engine has computed it.
            error: how much an L of the engine may be wrong.
            factor: the largest factor of a row outside of the list.
        """
        if not self.covers(similarity):
            return False
        return last_sum + error < float(self._bound.threshold(similarity / factor))
