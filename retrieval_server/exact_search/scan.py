"""The search of a small database: it reads every row."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval_server.exact_search.groups import Groups
from retrieval_server.exact_search.originals import ORIGINALS, BestRows
from retrieval_server.exact_search.row_factors import RowFactors
from retrieval_server.exact_search.search import ExactWanted, Query, SearchLevel
from retrieval_server.exact_search.shared_scan import Search, unshared
from retrieval_server.exact_search.similarity import Ranking

SCANNED_ROWS = 4096  # up to so many rows a scan takes a few milliseconds, and needs no levels


class ScanSearch:
    """Ranks a small database by eq. (8): reads every row.

    Args:
        descriptors: (N, C_n) float32 or float16 by backbone, rows of unit norm or zero.
    """

    def __init__(self, descriptors: Sequence[NDArray[Any]]) -> None:
        self.descriptors = tuple(descriptors)

    def __len__(self) -> int:
        return len(self.descriptors[0])

    def level_sizes(self) -> tuple[SearchLevel, ...]:  # noqa: D102 - see ExactSearch
        return (originals_level(self.descriptors),)

    def rank_all(  # noqa: D102 - see ExactSearch
        self,
        query: Query,
        alphas: Sequence[float],
        top_k: int,
        exclude: int | None = None,
        allowed: NDArray[np.bool_] | None = None,
        factors: RowFactors | None = None,
        groups: Groups | None = None,
    ) -> Ranking:
        rows = eligible_rows(len(self), exclude, allowed)
        return self.rank_rows(query, alphas, rows, top_k, factors, groups)

    def ranking(self, wanted: ExactWanted) -> Search[Ranking]:  # noqa: D102 - see ExactSearch
        return unshared(partial(wanted.ranked_by, self.rank_all))

    def rank_rows(  # noqa: D102 - see ExactSearch
        self,
        query: Query,
        alphas: Sequence[float],
        rows: NDArray[np.integer],
        top_k: int,
        factors: RowFactors | None = None,
        groups: Groups | None = None,
    ) -> Ranking:
        best = BestRows(self.descriptors, query, alphas, top_k, factors, groups)
        best.read(rows.astype(np.int64))
        return best.ranking


def originals_level(descriptors: Sequence[NDArray[Any]]) -> SearchLevel:
    """The stored descriptors as the last level."""
    return SearchLevel(ORIGINALS, sum(matrix.nbytes for matrix in descriptors), False)


def eligible_rows(
    rows: int, exclude: int | None, allowed: NDArray[np.bool_] | None
) -> NDArray[np.int32]:
    """The rows that may be found, ascending."""
    if allowed is None:
        eligible = np.arange(rows, dtype=np.int32)
    else:
        eligible = np.flatnonzero(allowed).astype(np.int32)
    return eligible if exclude is None else eligible[eligible != exclude]
