"""All photos of an item are in one fold."""

import pytest

from export.ground_truth.folds import folds_of
from retrieval_server.errors import CatalogueError


def test_the_photos_of_an_item_are_in_one_fold():
    items = [0, 1, 0, 2, 3, 3, 4, 5, 5, 5]

    folds = folds_of(items, 3, seed=1)

    assert sorted(set(folds)) == [0, 1, 2]
    assert all(len({f for f, i in zip(folds, items, strict=True) if i == item}) == 1
               for item in set(items))  # fmt: skip
    assert folds.tolist() == folds_of(items, 3, seed=1).tolist()
    assert folds.tolist() != folds_of(items, 3, seed=2).tolist()
    assert set(folds_of([0, 1, 1], 5, seed=0)) == {0, 1}
    with pytest.raises(CatalogueError, match="one item only"):
        folds_of([0, 0], 5, seed=0)
