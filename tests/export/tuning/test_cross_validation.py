"""What is chosen for a fold does not depend on the fold."""

import numpy as np
import pytest

from export.ground_truth.queries import Query
from export.tuning.cross_validation import best_setting, cross_validate
from export.tuning.described_dataset import text_neighbours
from export.tuning.grid import Grid
from export.tuning.grid_ratings import GridRatings
from export.tuning.rate_settings import RowLists
from export.tuning.setting import SUM
from export.tuning.tune import CHOSEN
from retrieval_server.models.profile import Backbone, Profile
from tests.support.export.small_grid import GRMAC, SMALL_GRID, SPOC


class MadeUp:
    """Two kinds of queries, two backbones: each backbone finds the item of one kind only."""

    def __init__(self, kinds):
        """``kinds``: for each query the backbone that finds its item."""
        count = len(kinds)
        profile = Profile(
            name="made-up",
            side=64,
            backbones=tuple(
                Backbone(model=f"m{n}", timm_name="none", alpha=1.0, pooling="spoc") for n in (0, 1)
            ),
        )
        self.grid = Grid.of(
            profile, sides=(64,), poolings=(SPOC,), alphas=(1.0,), keeps=(7,), thresholds=(0.6,)
        )
        self.profile = profile
        self.queries = tuple(Query(f"q{n}", frozenset({f"p{n}"})) for n in range(count))
        self.items = list(range(count))
        self.relevant = RowLists.of([[n] for n in range(count)])
        self.groups = np.arange(count)
        self.kinds = np.array(kinds)
        self.text_cosines = None

    def cosines(self, side, model, pooling):
        finds = self.kinds == int(model[1])
        found = np.eye(len(self.kinds)) * finds[:, None]
        return found + 0.5 * np.roll(np.eye(len(self.kinds)), 1, axis=1) * ~finds[:, None]

    def ratings(self, folds):
        none = RowLists.of([[]] * len(self.kinds))
        return GridRatings(self, {0.6: none}, (7,), np.array(folds))


def test_what_is_chosen_for_a_fold_does_not_depend_on_the_fold():
    # Fold 0 holds four queries of the second kind, which outnumber all others of either kind.
    kinds, folds = [1, 1, 1, 1, 0, 0, 1, 0, 0], [0, 0, 0, 0, 1, 1, 1, 2, 2]
    made_up = MadeUp(kinds)
    ratings = made_up.ratings(folds)
    singles = [stage for stage in made_up.grid.initial_stages() if stage.is_single]

    found = cross_validate(ratings, made_up.grid, singles, lambda _: None)

    assert found.setting.initial.used == (1,)  # five of nine
    assert [setting.initial.used for setting in found.chosen] == [(0,), (1,), (1,)]
    # fold 0 alone is rated with the first backbone, which finds none of its items first
    assert (found.held_out[:4] < 1).all()
    assert found.optimistic[:4].tolist() == [1, 1, 1, 1]
    assert found.held_out.mean() < found.optimistic.mean()

    turned = MadeUp([0, 0, 0, 0, *kinds[4:]])  # the fold's own truth changes
    again = cross_validate(turned.ratings(folds), turned.grid, singles, lambda _: None)
    assert again.chosen[0] == found.chosen[0]
    assert again.setting != found.setting


def test_other_poolings_of_one_backbone_are_tried_from_the_best_on(described):
    grid = SMALL_GRID
    neighbours = text_neighbours(described.products, grid.thresholds)
    folds = np.arange(len(described.queries)) % 2
    ratings = GridRatings(described, neighbours, grid.keeps, folds)
    stages = list(grid.initial_stages())

    best = best_setting(ratings, grid, stages, (0, 1))

    shared = {stage.poolings for stage in stages}
    assert shared == {(GRMAC, GRMAC), (SPOC, SPOC)}

    def value(stage):
        return max(ratings.sums(stage).sum(axis=-1).ravel())

    assert value(best.initial) >= max(value(stage) for stage in stages)
    for other in grid.other_poolings(best.initial):
        assert value(other) <= value(best.initial)


def test_a_wider_search_is_never_worse_on_its_own_queries(tuning):
    optimistic = {row.search_space: row.optimistic for row in tuning.rows}

    assert tuning.default <= optimistic["k, τ"] <= optimistic["k, τ, α"]
    assert optimistic["k, τ, α"] <= optimistic["all, eq. (8)"] <= optimistic[CHOSEN]
    assert optimistic["one backbone"] <= optimistic[CHOSEN]
    assert [row.search_space for row in tuning.rows][-1] == "all, sum"
    assert tuning.chosen.setting.initial.fusion != SUM
    for row in tuning.rows:
        assert len(row.by_fold) == tuning.folds == 4
        assert row.gain.difference == pytest.approx(row.held_out - tuning.default)
        assert row.gain.adjusted_p_value >= row.gain.p_value
