"""Factors of single rows beside those of eq. (8): ŝ(x) = S(x) f(x), with f(x) ≥ 1 for some rows.

S(x) is eq. (8), and f(x) is 1 for every row that is not listed. Where the factors come from is not
the search's concern. Where S(x) is negative, f(x) makes ŝ(x) smaller.

**Bounds of ŝ.** A number U ≥ S(x) gives f(x) U ≥ ŝ(x), because f(x) > 0; float64 rounds both
products in the same direction, so the inequality survives rounding.

**Bounds of L.** Let the M factors f_n = 1 + α_n s_n be positive and A = Σ u_n f_n = L + Σ u_n, see
fused_bound. The inequality of the means bounds S(x) by (A / M)^M / ∏ u_n, so ŝ(x) ≥ τ needs

    A f(x)^(1/M)  ≥  M (τ ∏ u_n)^(1/M).

That is the condition of a row without a factor on A f(x)^(1/M) in place of A. So a stage that has
bounded L by B bounds it by (B + Σ u_n) f(x)^(1/M) - Σ u_n, and compares with the same threshold. A
negative B + Σ u_n says that A is negative, which needs a negative f_n. Rows with a negative f_n are
no concern of the stages: ``FusedBound.covers`` compares τ with the largest f(x) times the largest S
of any of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval_server.exact_search.groups import RowGroups


@dataclass(frozen=True)
class RowFactors:
    """Factors of some rows; that of every other row is 1.

    Attributes:
        rows: (F,) int32, ascending, distinct.
        factors: (F,) float64, ≥ 1.
    """

    rows: NDArray[np.int32]
    factors: NDArray[np.float64]

    @property
    def largest(self) -> float:
        """The largest factor of any row."""
        return float(self.factors.max(initial=1.0))

    def of(self, rows: NDArray[np.integer]) -> NDArray[np.float64]:
        """The factors of some rows, (m,)."""
        found = np.ones(len(rows))
        positions = np.searchsorted(self.rows, rows)
        inside = np.flatnonzero(positions < len(self.rows))
        hits = inside[self.rows[positions[inside]] == rows[inside]]
        found[hits] = self.factors[positions[hits]]
        return found

    def best(
        self,
        count: int,
        exclude: int | None,
        allowed: NDArray[np.bool_] | None,
        groups: RowGroups | None,
    ) -> NDArray[np.int32]:
        """The rows with the largest factors, at most ``count``; of equal ones the smaller rows.

        Args:
            count: how many.
            exclude: a row to leave out.
            allowed: (N,) which rows may be found; None for all.
            groups: groups of rows, of each of which only the best row is given; None gives any.
        """
        eligible = self.rows != exclude
        if allowed is not None:
            eligible &= allowed[self.rows]
        rows, factors = self.rows[eligible], self.factors[eligible]
        if groups is None and count < len(rows):  # only those that may be among them are sorted
            is_near = factors >= np.partition(factors, -count)[-count]
            rows, factors = rows[is_near], factors[is_near]
        best: NDArray[np.int32] = rows[np.lexsort((rows, -factors))]
        return best[:count] if groups is None else best[groups.first_of_each(best, count)]


@dataclass(frozen=True)
class RowGrowth:
    """What the factors of some rows do to bounds of L, for one query.

    Attributes:
        rows: (F,) int32, ascending.
        growths: (F,) float32, f(x)^(1/M), rounded up.
        shift: Σ u_n.
    """

    rows: NDArray[np.int32]
    growths: NDArray[np.float32]
    shift: float
