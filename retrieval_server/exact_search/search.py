"""The interface of exact search, which every search of a database has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from retrieval_server.exact_search.groups import Groups
from retrieval_server.exact_search.row_factors import RowFactors
from retrieval_server.exact_search.shared_scan import Search
from retrieval_server.exact_search.similarity import Ranking

Query = Sequence[NDArray[np.float32]]
Mask = TypeVar("Mask")
Grouping = TypeVar("Grouping")


@dataclass(frozen=True)
class Wanted(Generic[Mask, Grouping]):
    """The ranking of a whole database that is wanted.

    Attributes:
        query: one (C_n,) float32 descriptor for each backbone, of unit norm or zero.
        alphas: α_n ≥ 0 of eq. (8).
        top_k: length of the ranking, ≥ 1; shorter where there are fewer rows or groups.
        exclude: a row to leave out.
        allowed: which rows may be found; None for all.
        factors: factors of single rows; None for none.
        groups: groups of rows, of each of which the best row is ranked; None ranks all rows.
        floor: the similarity from which on rows are wanted; others may be missing.
    """

    query: Query
    alphas: Sequence[float]
    top_k: int
    exclude: int | None = None
    allowed: Mask | None = None
    factors: RowFactors | None = None
    groups: Grouping | None = None
    floor: float = -np.inf

    def ranked_by(self, rank_all: Callable[..., Ranking]) -> Ranking:
        """What ``rank_all`` of a search returns for it, rows below the floor among them."""
        return rank_all(
            self.query,
            self.alphas,
            self.top_k,
            self.exclude,
            self.allowed,
            self.factors,
            self.groups,
        )


@dataclass(frozen=True)
class SearchLevel:
    """One of the arrays that a search reads.

    Attributes:
        name: such as "coarse", or "originals".
        bytes: size of the level in bytes.
        is_resident: whether the level is copied to memory instead of read from disk.
    """

    name: str
    bytes: int
    is_resident: bool


class SearchCounts(Counter[str]):
    """By the name of a level, how many of its rows one search touched; for benchmarks and tests."""


ExactWanted: TypeAlias = Wanted[NDArray[np.bool_], Groups]


class ExactSearch(Protocol):
    """Ranks database images by eq. (8), exactly: as brute force in float64 does.

    Factors of single rows, if there are any, multiply eq. (8); see row_factors. Where rows have
    groups, a ranking holds the best row of each; see groups.
    """

    descriptors: tuple[NDArray[Any], ...]

    def __len__(self) -> int: ...

    def level_sizes(self) -> tuple[SearchLevel, ...]:
        """The levels, from the one that a search reads whole to the one it reads a few rows of."""

    def rank_all(
        self,
        query: Query,
        alphas: Sequence[float],
        top_k: int,
        exclude: int | None = None,
        allowed: NDArray[np.bool_] | None = None,
        factors: RowFactors | None = None,
        groups: Groups | None = None,
    ) -> Ranking:
        """Rank the whole database.

        Args:
            query: one (C_n,) float32 descriptor for each backbone, of unit norm or zero.
            alphas: α_n ≥ 0 of eq. (8).
            top_k: length of the ranking, ≥ 1; shorter where there are fewer rows or groups.
            exclude: a row to leave out.
            allowed: (N,) which rows may be found; None for all.
            factors: factors of single rows; None for none.
            groups: groups of rows, of each of which the best row is ranked; None ranks all rows.

        Returns:
            The ranking that brute force in float64 gives, ties by ascending row.
        """

    def ranking(self, wanted: ExactWanted) -> Search[Ranking]:
        """Rank the whole database, as ``rank_all`` does, beside other searches; see shared_scan."""

    def rank_rows(
        self,
        query: Query,
        alphas: Sequence[float],
        rows: NDArray[np.integer],
        top_k: int,
        factors: RowFactors | None = None,
        groups: Groups | None = None,
    ) -> Ranking:
        """Rank some rows only; see ``rank_all``.

        Args:
            query: one (C_n,) float32 descriptor for each backbone.
            alphas: α_n ≥ 0 of eq. (8).
            rows: (M,) distinct rows.
            top_k: length of the ranking; shorter where there are fewer rows.
            factors: factors of single rows; None for none.
            groups: groups of rows, of each of which the best of ``rows`` is ranked; None ranks all.
        """
