"""A stage of the cascade: a level that bounds L of the candidates.

The coarse level has a stage of its own; the levels after it have a ``RowStage`` each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from retrieval_server.exact_search.kernels.row_kernel import RowKernel
from retrieval_server.exact_search.levels.candidates import Candidates
from retrieval_server.exact_search.levels.digits import DigitQuery
from retrieval_server.exact_search.levels.level import Level, LevelArrays
from retrieval_server.exact_search.levels.rotation import RotatedQuery, SearchFit
from retrieval_server.exact_search.parallelism import IntraQueryParallelism


@dataclass(frozen=True, kw_only=True)
class StageSettings:
    """What the speed of the stages depends on, and never their result.

    Attributes:
        few_rows: up to so many candidates go straight to the byte level, which then costs less
            than rotating the query further.
        piece_blocks: number of blocks of the coarse level to hand to another core at once.
        piece_rows: number of rows of the middle and the residual level to hand over at once.
    """

    few_rows: int = 1000
    piece_blocks: int = 500
    piece_rows: int = 2000


class Stage(Protocol):
    """A level that bounds L(x), see rotation, as a stage of the cascade."""

    @property
    def name(self) -> str:
        """The name of the level."""

    @property
    def fewest_candidates(self) -> int:
        """A search with fewer candidates leaves out this stage and the stages after it."""

    def bound(
        self, query: RotatedQuery, candidates: Candidates, parallelism: IntraQueryParallelism
    ) -> None:
        """Write an estimate and an upper bound of L for every candidate.

        Args:
            query: the query; the stage rounds it for its kernel.
            candidates: what earlier stages wrote; takes what this stage writes.
            parallelism: shares the work among idle cores.
        """


class StageLevel(Level, Protocol):
    """A level that has a stage."""

    def stage(self, fit: SearchFit, arrays: LevelArrays, settings: StageSettings) -> Stage:
        """The level of a database as a stage of the cascade.

        Args:
            fit: the fit of the database.
            arrays: codes and bounds of the level.
            settings: what the speed depends on.
        """


@dataclass(frozen=True)
class RowStage:
    """A stage that bounds the candidates that earlier stages kept, row by row.

    Attributes:
        name: the name of the level.
        arrays: codes and bounds, one row for each row of the database.
        rounded: rounds a query for the kernel; rotates it further if need be.
        kernel: estimates and bounds some rows.
        piece: number of rows to hand to another core at once.
        follows_coarse: whether the stage before wrote an estimate of every row of the database,
            instead of one for each candidate.
        fewest_candidates: see ``Stage``.
    """

    name: str
    arrays: LevelArrays
    rounded: Callable[[RotatedQuery], DigitQuery]
    kernel: RowKernel
    piece: int
    follows_coarse: bool = False
    fewest_candidates: int = 0

    def bound(  # noqa: D102 - see Stage
        self, query: RotatedQuery, candidates: Candidates, parallelism: IntraQueryParallelism
    ) -> None:
        rounded, rows = self.rounded(query), candidates.rows
        earlier = candidates.coarse_estimates if self.follows_coarse else candidates.estimates

        def bound_rows(first: int, last: int) -> None:
            self.kernel(
                self.arrays.codes, self.arrays.bounds, rows, first, last, earlier,
                rounded.digits, rounded.scales, rounded.terms,
                candidates.estimates, candidates.upper_bounds,
            )  # fmt: skip

        parallelism.share(bound_rows, candidates.count, self.piece)
