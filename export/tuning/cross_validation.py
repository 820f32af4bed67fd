"""Cross-validation of the choice of a setting: chosen on some queries, rated on others.

The best value of a grid is optimistic, since it is the best for these very queries. So the queries
are split into folds, with all photos of an item in one fold. For each fold the whole search runs
without the fold, and the setting that it chooses is rated on the fold.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.progress import Advance
from export.tuning.grid import Grid
from export.tuning.grid_ratings import GridRatings
from export.tuning.setting import InitialStage, Setting


@dataclass(frozen=True)
class CrossValidated:
    """The result of a search over settings, with held-out ratings.

    Attributes:
        setting: the setting chosen on all queries.
        optimistic: (Q,) ratings of ``setting`` on the queries on which it was chosen.
        chosen: for each fold the setting chosen without it.
        held_out: (Q,) rating of each query with the setting chosen without its fold.
    """

    setting: Setting
    optimistic: NDArray[np.float64]
    chosen: tuple[Setting, ...]
    held_out: NDArray[np.float64]


def cross_validate(
    ratings: GridRatings, grid: Grid, stages: Sequence[InitialStage], advance: Advance
) -> CrossValidated:
    """Search for the best setting, on all queries and without each fold.

    Args:
        ratings: rates settings, by fold.
        grid: gives the other poolings of single backbones.
        stages: initial rankings to choose from; of equally good ones the first is chosen.
        advance: told 1 after the search on all queries, and 1 after each fold.
    """
    folds = range(int(ratings.folds.max()) + 1)
    setting = best_setting(ratings, grid, stages, folds)
    advance(1)
    held_out = np.empty(len(ratings.folds))
    chosen = []
    for fold in folds:
        found = best_setting(ratings, grid, stages, [f for f in folds if f != fold])
        chosen.append(found)
        tested = ratings.folds == fold
        held_out[tested] = ratings.ratings(found)[tested]
        advance(1)
    return CrossValidated(setting, ratings.ratings(setting), tuple(chosen), held_out)


def best_setting(
    ratings: GridRatings, grid: Grid, stages: Sequence[InitialStage], folds: Collection[int]
) -> Setting:
    """Search for the setting with the highest mAP@7 (gt) on some folds.

    Rates all the given initial rankings with every τ and k. Then changes the best one, the pooling
    of one backbone at a time, as long as mAP@7 rises. Omits the second step if all the given
    rankings have the same poolings.

    Args:
        ratings: rates settings.
        grid: gives the poolings of the second step.
        stages: one or more initial rankings; of equally good ones the first is chosen.
        folds: the folds whose queries are rated.
    """
    seen = sorted(folds)
    best, value = _best_of(ratings, stages, seen)
    is_free = len({stage.poolings for stage in stages}) > 1
    while is_free:
        others = list(grid.other_poolings(best.initial))
        other, other_value = _best_of(ratings, others, seen)
        if not other_value > value:
            break
        best, value = other, other_value
    return best


def _best_of(
    ratings: GridRatings, stages: Sequence[InitialStage], folds: Sequence[int]
) -> tuple[Setting, float]:
    """The best setting with one of some initial rankings, and the sum of its ratings."""
    ratings.rate(stages, lambda _: None)
    best, value = None, -np.inf
    for stage in stages:
        sums = ratings.sums(stage)[:, :, folds].sum(axis=-1)  # (T, K)
        position = np.unravel_index(np.argmax(sums), sums.shape)
        if sums[position] > value:
            best, value = (stage, position), float(sums[position])
    assert best is not None
    stage, (threshold, keep) = best
    setting = Setting(
        initial=stage, keep=ratings.keeps[keep], threshold=ratings.thresholds[threshold]
    )
    return setting, value
