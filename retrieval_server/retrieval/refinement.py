"""Refinement through the textual index: Algorithm 1.

The best k of the initial ranking, the *seeds*, stay. The rest is replaced by the best of the
*subset*: all text neighbours of the seeds, ranked by the same fused similarity. Where the paper
is silent: the subset is a set, without the seeds; where it is too short, the initial ranking
fills up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from retrieval_server.text.neighbours import TextIndex


class Stage(Enum):
    """Where in Algorithm 1 a result comes from."""

    INITIAL = "initial"
    REFINED = "refined"
    FILLED = "filled"


@dataclass(frozen=True)
class TextSubset:
    """Text neighbours of the seeds, I_subset of Algorithm 1.

    Attributes:
        rows: (M,) int64, ascending, distinct.
        seeds: (M,) int64, position from 0 of the seed with the most similar description; the
            better ranked of equals.
        cosines: (M,) float64, cosine of the two descriptions.
    """

    rows: NDArray[np.int64]
    seeds: NDArray[np.int64]
    cosines: NDArray[np.float64]


def text_subset(
    seeds: NDArray[np.int64], text_index: TextIndex, exclude: int | None = None
) -> TextSubset:
    """Gather the text neighbours of the seeds.

    Args:
        seeds: (k,) rows, best first.
        text_index: D of eq. (7).
        exclude: a row to leave out besides the seeds.
    """
    lists = [text_index.neighbours(int(seed)) for seed in seeds]
    rows = np.concatenate([np.empty(0, np.int64), *(rows for rows, _ in lists)]).astype(np.int64)
    cosines = np.concatenate([np.empty(0), *(cosines for _, cosines in lists)])
    positions = np.repeat(np.arange(len(lists)), [len(rows) for rows, _ in lists])
    wanted = ~np.isin(rows, seeds)
    if exclude is not None:
        wanted &= rows != exclude
    rows, cosines, positions = rows[wanted], cosines[wanted], positions[wanted]
    order = np.lexsort((positions, -cosines, rows))
    distinct, first = np.unique(rows[order], return_index=True)
    return TextSubset(distinct, positions[order][first], cosines[order][first])


def merge(
    initial: Sequence[int], subset: Sequence[int], keep: int, top_k: int
) -> list[tuple[int, Stage]]:
    """Put the final result together: k seeds, then the subset, then the initial ranking again.

    Args:
        initial: rows of the initial ranking, best first, at least top_k where there are as many.
        subset: rows of the ranked subset, best first, none of them a seed.
        keep: the paper's k ≥ 1.
        top_k: length of the result.

    Returns:
        Up to top_k (row, stage), all rows distinct.
    """
    seeds = [(row, Stage.INITIAL) for row in initial[: min(keep, top_k)]]
    replacements = [(row, Stage.REFINED) for row in subset[: top_k - len(seeds)]]
    taken = {row for row, _ in seeds + replacements}
    fill = [(row, Stage.FILLED) for row in initial if row not in taken]
    return (seeds + replacements + fill)[:top_k]
