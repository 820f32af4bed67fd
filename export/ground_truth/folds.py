"""Folds of a cross-validation: all queries of an item are in one fold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from export.ground_truth.measurable import check_divisible


def folds_of(items: Sequence[int], count: int, seed: int) -> NDArray[np.int64]:
    """Split queries into folds.

    Args:
        items: the item of each query; all queries of an item go into one fold.
        count: number of folds; fewer if there are fewer items.
        seed: seed of the shuffling.

    Returns:
        (Q,) fold of each query, from 0.

    Raises:
        CatalogueError: if there are fewer than two items.
    """
    from sklearn.model_selection import GroupKFold

    count = min(count, len(set(items)))
    check_divisible(items)
    folds = np.empty(len(items), np.int64)
    splitter = GroupKFold(count, shuffle=True, random_state=seed)
    for fold, (_, held_out) in enumerate(splitter.split(folds, groups=items)):
        folds[held_out] = fold
    return folds
