"""Tune a profile on a dataset with ground truth: ``beauty-export tune``.

Every setting of the grid is rated: all initial rankings whose backbones share a pooling, with every
k and τ; then, from the best on, other poolings for single backbones, one at a time (all pairs of
poolings would be the square of their number). Beyond ``tuning_grid.MOST_ALPHAS`` combinations of α,
one α at a time is changed. What is reported is cross-validated: see ``cross_validation``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.evaluation.results import Comparison
from export.evaluation.significance import Interval, holm, mean_interval, paired_difference
from export.progress import progress
from export.tuning.cross_validation import CrossValidated, cross_validate, folds_of
from export.tuning.described_dataset import DescribedDataset, text_neighbours
from export.tuning.grid import Grid
from export.tuning.grid_ratings import GridRatings
from export.tuning.grid_slices import Slice, grid_slices
from export.tuning.setting import PRODUCT, SUM, InitialStage, Setting

CHOSEN = "whole profile"


@dataclass(frozen=True)
class Scope:
    """What a search may change.

    Attributes:
        name: for people.
        allows: whether it may choose an initial ranking.
    """

    name: str
    allows: Callable[[InitialStage], bool]


@dataclass(frozen=True)
class TunedRow:
    """What one search found.

    Attributes:
        scope: what it could change.
        setting: what it chose on all queries.
        described: that setting in words.
        held_out: cross-validated mAP@7 (gt).
        interval: of that, 95 %.
        gain: over the profile as it is, on the same queries.
        optimistic: mAP@7 of the setting on the queries it was chosen on.
        by_fold: what was chosen without each fold, in words.
    """

    scope: str
    setting: Setting
    described: str
    held_out: float
    interval: Interval | None
    gain: Comparison
    optimistic: float
    by_fold: tuple[str, ...]


@dataclass(frozen=True)
class Tuning:
    """The outcome.

    Attributes:
        described: what was tuned on.
        grid: what was tried.
        settings: how many settings were rated in the first step.
        folds: of the cross-validation.
        seed: of the folds.
        default: mAP@7 of the profile as it is.
        default_interval: of that, 95 %.
        rows: one for each scope.
        slices: parts of the grid, through the chosen setting.
    """

    described: DescribedDataset
    grid: Grid
    settings: int
    folds: int
    seed: int
    default: float
    default_interval: Interval | None
    rows: tuple[TunedRow, ...]
    slices: tuple[Slice, ...]

    @property
    def chosen(self) -> TunedRow:
        """The row whose setting goes into the profile."""
        return next(row for row in self.rows if row.scope == CHOSEN)

    def to_json(self) -> dict[str, Any]:
        """This outcome as plain JSON values."""
        profile = self.chosen.setting.profile(self.grid.profile)
        return {
            "dataset": self.described.name,
            "profile": self.grid.profile.name,
            "queries": len(self.described.queries),
            "products": len(self.described.products),
            "unreadable": list(self.described.unreadable),
            "rejected": self.described.rejected,
            "settings": self.settings,
            "folds": self.folds,
            "seed": self.seed,
            "default": {
                "map_at_7": self.default,
                "interval": self.default_interval and asdict(self.default_interval),
                "setting": asdict(self.grid.default),
            },
            "rows": [asdict(row) for row in self.rows],
            "chosen": {
                "profile": profile.to_json(),
                "keep": self.chosen.setting.keep,
                "threshold": self.chosen.setting.threshold,
            },
            "slices": [asdict(part) for part in self.slices],
        }


def tune(described: DescribedDataset, grid: Grid, folds: int, seed: int) -> Tuning:
    """Rate a grid on a dataset, choose, and say what the choice is worth.

    Args:
        described: the dataset under all sides and poolings of the grid.
        grid: what to try.
        folds: of the cross-validation, two or more.
        seed: of the folds.

    Raises:
        CatalogueError: if the ground truth is too small to be split, or names a product whose
            image cannot be read.
    """
    items = described.items
    neighbours = text_neighbours(described.products, grid.thresholds)
    fold_of = folds_of(items, folds, seed)
    count = int(fold_of.max()) + 1
    ratings = GridRatings(described, neighbours, grid.keeps, fold_of)
    stages = list(grid.initial_stages())
    with progress("initial rankings", len(stages)) as advance:
        ratings.rate(stages, advance)
    searches = {}
    allowed = {
        scope.name: [stage for stage in stages if scope.allows(stage)] for scope in scopes(grid)
    }
    allowed = {name: some for name, some in allowed.items() if some}
    with progress("searches", len(allowed) * (count + 1)) as advance:
        for name, some in allowed.items():
            searches[name] = cross_validate(ratings, grid, some, advance)
    before = ratings.ratings(grid.default)
    return Tuning(
        described=described,
        grid=grid,
        settings=len(stages) * len(grid.keeps) * len(grid.thresholds),
        folds=count,
        seed=seed,
        default=float(before.mean()),
        default_interval=mean_interval(before, items),
        rows=_rows(searches, before, items, grid),
        slices=grid_slices(ratings, stages, searches[CHOSEN].setting, grid),
    )


def scopes(grid: Grid) -> tuple[Scope, ...]:
    """What is searched, from little freedom to much; the last but one is for the profile."""
    own = grid.default.initial

    def keeps_descriptors(stage: InitialStage) -> bool:
        return (stage.side, stage.poolings) == (own.side, own.poolings)

    def is_product(stage: InitialStage) -> bool:
        return stage.fusion == PRODUCT and not stage.is_single

    return (
        Scope("k, τ", lambda stage: stage == own),
        Scope("k, τ, α", lambda stage: keeps_descriptors(stage) and is_product(stage)),
        Scope("all, eq. (8)", is_product),
        Scope("one backbone", lambda stage: stage.is_single),
        Scope(CHOSEN, lambda stage: stage.fusion == PRODUCT),
        Scope("all, sum", lambda stage: stage.fusion == SUM),
    )


def _rows(
    searches: Mapping[str, CrossValidated],
    before: NDArray[np.float64],
    items: list[int],
    grid: Grid,
) -> tuple[TunedRow, ...]:
    gains = [paired_difference(before, found.held_out, items) for found in searches.values()]
    adjusted = holm([gain.p_value for gain in gains])
    return tuple(
        TunedRow(
            scope=name,
            setting=found.setting,
            described=found.setting.describe(grid.profile),
            held_out=float(found.held_out.mean()),
            interval=mean_interval(found.held_out, items),
            gain=Comparison(gain.mean, gain.interval, gain.p_value, p_value),
            optimistic=float(found.optimistic.mean()),
            by_fold=tuple(setting.describe(grid.profile) for setting in found.chosen),
        )
        for (name, found), gain, p_value in zip(searches.items(), gains, adjusted, strict=True)
    )
