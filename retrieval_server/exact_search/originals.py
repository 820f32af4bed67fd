"""The stored descriptors themselves: the similarity that counts, and the best rows so far."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval_server.exact_search.groups import RowGroups
from retrieval_server.exact_search.kernels.inner_products import dots
from retrieval_server.exact_search.levels.rotation import FloatArray
from retrieval_server.exact_search.row_factors import RowFactors
from retrieval_server.exact_search.row_file import RowFile
from retrieval_server.exact_search.similarity import Ranking, fused_similarity

ORIGINALS = "originals"  # what the last level is called

RowSource = NDArray[Any] | RowFile  # gives its rows by [rows]


def exact_cosines(
    descriptors: Sequence[RowSource],
    query: Sequence[NDArray[np.float32]],
    rows: NDArray[np.integer],
) -> FloatArray:
    """Cosines of some rows, summed in float64.

    Products of two float32 are exact in float64, and each row is summed by itself in one order: the
    same row has the same cosine whatever is computed beside it.

    Args:
        descriptors: (N, C_n) float32 or float16 by backbone.
        query: (C_n,) by backbone.
        rows: (m,).

    Returns:
        (m, N) float64.
    """
    cosines = np.empty((len(rows), len(descriptors)))
    for backbone, (source, descriptor) in enumerate(zip(descriptors, query, strict=True)):
        matrix = source[rows].astype(np.float32, copy=False)
        products = np.empty(len(rows))
        dots(matrix, descriptor.astype(np.float64), products)
        cosines[:, backbone] = products
    return cosines


class BestSoFar:
    """The best rows of a search so far, in the order of the result.

    Args:
        alphas: (N,) α ≥ 0.
        top_k: number of rows to keep.
        factors: factors of single rows; None for none.
        groups: groups of rows, of each of which only the best row is kept; None keeps any rows.
        floor: the similarity that every row must reach.
    """

    def __init__(
        self,
        alphas: Sequence[float],
        top_k: int,
        factors: RowFactors | None = None,
        groups: RowGroups | None = None,
        floor: float = -np.inf,
    ) -> None:
        self._alphas, self.top_k, self._factors = alphas, top_k, factors
        self._groups, self._floor = groups, floor
        self._seen: set[int] = set()
        nothing = np.empty(0)
        self.ranking = Ranking(nothing.astype(np.int64), nothing, nothing.reshape(0, len(alphas)))
        """The best rows, at most top_k of them."""

    @property
    def count(self) -> int:
        """How many rows were added."""
        return len(self._seen)

    @property
    def is_full(self) -> bool:
        """Whether there are top_k rows."""
        return len(self.ranking.rows) == self.top_k

    @property
    def last(self) -> float:
        """The similarity that a further row must reach; the floor as long as there is room."""
        if not self.is_full:
            return self._floor
        return max(self._floor, float(self.ranking.similarities[-1]))

    def reach(self, rows: NDArray[np.integer]) -> NDArray[np.float64]:
        """The similarity that each of some rows must reach to change the ranking, (M,).

        That is the similarity of the last row, or that of the best row of its own group.
        """
        reach = np.full(len(rows), self.last)
        if self._groups is not None:
            groups = self._groups.of(rows)
            for group, similarity in zip(*self.of_groups(), strict=True):
                reach[groups == group] = similarity
        return reach

    def of_groups(self) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """The groups of the ranking, and the similarity of each, in its order."""
        assert self._groups is not None, "there are groups"
        return self._groups.of(self.ranking.rows), self.ranking.similarities

    def unseen(self, rows: NDArray[np.integer]) -> NDArray[np.int64]:
        """Those of some rows that were not added yet, in the same order."""
        if not self._seen:
            return rows.astype(np.int64)
        return np.array([row for row in rows.tolist() if row not in self._seen], np.int64)

    def add(self, rows: NDArray[np.int64], cosines: FloatArray) -> None:
        """Keep the best of distinct rows that were not added yet.

        Args:
            rows: (m,).
            cosines: (m, N), see ``exact_cosines``.
        """
        self._seen.update(rows.tolist())
        cosines = np.concatenate([self.ranking.cosines, cosines])
        rows = np.concatenate([self.ranking.rows, rows])
        similarities = fused_similarity(cosines, self._alphas)
        if self._factors is not None:
            similarities *= self._factors.of(rows)
        order = np.lexsort((rows, -similarities))
        if self._groups is None:
            order = order[: self.top_k]
        else:
            order = order[self._groups.first_of_each(rows[order], self.top_k)]
        self.ranking = Ranking(rows[order], similarities[order], cosines[order])


class BestRows(BestSoFar):
    """The best rows so far, which it reads from the stored descriptors.

    Args:
        descriptors: (N, C_n) float32 or float16 by backbone.
        query: (C_n,) by backbone.
        alphas: (N,) α ≥ 0.
        top_k: number of rows to keep.
        factors: factors of single rows; None for none.
        groups: groups of rows, of each of which only the best row is kept; None keeps any rows.
        floor: the similarity that every row must reach.
    """

    def __init__(
        self,
        descriptors: Sequence[RowSource],
        query: Sequence[NDArray[np.float32]],
        alphas: Sequence[float],
        top_k: int,
        factors: RowFactors | None = None,
        groups: RowGroups | None = None,
        floor: float = -np.inf,
    ) -> None:
        super().__init__(alphas, top_k, factors, groups, floor)
        self._descriptors, self._query = descriptors, query

    def read(self, rows: NDArray[np.int64]) -> None:
        """Read distinct rows that were not read yet, and keep the best."""
        self.add(rows, exact_cosines(self._descriptors, self._query, rows))
