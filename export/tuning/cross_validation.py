"""Choosing a setting on some queries and rating it on others: the figure is not the tuned one.

A grid's best value is too good: it is the best for these very queries. Here the queries are split
into folds, the photos of an item all in one. For each fold the whole search is done without it, and
what it finds is rated on the fold.
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
from retrieval_server.errors import CatalogueError


@dataclass(frozen=True)
class CrossValidated:
    """What a search over settings found, and what that is worth.

    Attributes:
        setting: chosen on all queries.
        optimistic: (Q,) its ratings on the queries it was chosen on.
        chosen: for each fold what was chosen without it.
        held_out: (Q,) each query rated with what was chosen without its fold.
    """

    setting: Setting
    optimistic: NDArray[np.float64]
    chosen: tuple[Setting, ...]
    held_out: NDArray[np.float64]


def folds_of(items: Sequence[int], count: int, seed: int) -> NDArray[np.int64]:
    """Split queries into folds.

    Args:
        items: for each query the number of its item; all queries of an item go together.
        count: folds; fewer where there are fewer items.
        seed: of the shuffling.

    Returns:
        (Q,) number of each query's fold, from 0.

    Raises:
        CatalogueError: if there are fewer than two items.
    """
    from sklearn.model_selection import GroupKFold

    count = min(count, len(set(items)))
    if count < 2:
        raise CatalogueError(
            "The queries show one item only: there is nothing to choose a setting on and test it "
            "with. Add queries of other items to the ground truth."
        )
    folds = np.empty(len(items), np.int64)
    splitter = GroupKFold(count, shuffle=True, random_state=seed)
    for fold, (_, held_out) in enumerate(splitter.split(folds, groups=items)):
        folds[held_out] = fold
    return folds


def cross_validate(
    ratings: GridRatings, grid: Grid, stages: Sequence[InitialStage], advance: Advance
) -> CrossValidated:
    """Search for the best setting, on all queries and without each fold.

    Args:
        ratings: rates settings; knows the folds.
        grid: for the poolings of single backbones.
        stages: initial rankings to choose from; of equals, the first.
        advance: told the number of folds finished, one more than there are.
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

    All the given initial rankings with every τ and k; then, from the best on, another pooling for
    one backbone at a time, as long as that helps. A ranking whose poolings may not differ from the
    profile's is given with those only, and stays as it is.

    Args:
        ratings: rates settings.
        grid: the poolings of the second step.
        stages: one or more initial rankings; of equals, the first.
        folds: numbers of the folds that may be looked at.
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
    """The best setting of some initial rankings, and the sum of its ratings."""
    ratings.rate(stages, lambda _: None)
    best, value = None, -np.inf
    for stage in stages:
        sums = ratings.sums(stage)[:, :, folds].sum(axis=-1)  # (T, K)
        place = np.unravel_index(np.argmax(sums), sums.shape)
        if sums[place] > value:
            best, value = (stage, place), float(sums[place])
    assert best is not None
    stage, (threshold, keep) = best
    setting = Setting(
        initial=stage, keep=ratings.keeps[keep], threshold=ratings.thresholds[threshold]
    )
    return setting, value
