"""What a search's speed depends on, and never its result."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """What the speed depends on, and never the result.

    Attributes:
        seeds: how many rows of the best estimates the byte level bounds.
        more_seeds: how many more than top_k of them are read.
        few_rows: up to so many go straight to the byte level, which then costs less than rotating
            the query further.
        blocks_at_once: of the coarse level, that are worth handing to another core.
        rows_at_once: of the middle and the residual level.
    """

    seeds: int = 32
    more_seeds: int = 3
    few_rows: int = 1000
    blocks_at_once: int = 500
    rows_at_once: int = 2000


DEFAULT_TUNING = Tuning()
