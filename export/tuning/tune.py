"""Tune a profile on a dataset with ground truth: ``beauty-export tune``.

Every setting of the grid is rated: all initial rankings whose backbones share a pooling, with every
β, k and τ; then, from the best on, other poolings for single backbones, one at a time (all pairs of
poolings would be the square of their number). Beyond ``grid.MOST_ALPHAS`` combinations of α, one α
at a time is changed. The reported mAP@7 is cross-validated: see ``cross_validation``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.evaluation.results import Comparison
from export.evaluation.significance import Interval, holm, mean_interval, paired_difference
from export.ground_truth.folds import folds_of
from export.progress import progress
from export.tuning.cross_validation import CrossValidated, cross_validate
from export.tuning.described_dataset import DescribedDataset, text_neighbours
from export.tuning.grid import Grid
from export.tuning.grid_ratings import GridRatings
from export.tuning.heat_maps import HeatMap, heat_maps
from export.tuning.setting import PRODUCT, SUM, InitialStage, Setting

CHOSEN = "whole profile"


@dataclass(frozen=True)
class SearchSpace:
    """The settings among which a search chooses.

    Attributes:
        name: names the settings that may change, for people.
        contains: tells whether an initial ranking belongs to the space.
    """

    name: str
    contains: Callable[[InitialStage], bool]


@dataclass(frozen=True)
class TunedRow:
    """The result of the search in one space.

    Attributes:
        search_space: name of the space.
        setting: the setting chosen on all queries.
        described: that setting in words.
        held_out: cross-validated mAP@7 (gt).
        interval: 95 % confidence interval of ``held_out``.
        gain: difference of ``held_out`` to the unchanged profile, on the same queries.
        optimistic: mAP@7 of the setting on the queries on which it was chosen.
        by_fold: for each fold, the setting chosen without it, in words.
    """

    search_space: str
    setting: Setting
    described: str
    held_out: float
    interval: Interval | None
    gain: Comparison
    optimistic: float
    by_fold: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """This row as plain JSON values."""
        values = asdict(self)
        return {"scope": values.pop("search_space"), **values}


@dataclass(frozen=True)
class Tuning:
    """The result of a tuning.

    Attributes:
        described: the dataset.
        grid: the values that were tried.
        settings: number of settings rated in the first step.
        folds: number of folds of the cross-validation.
        seed: seed of the folds.
        default: mAP@7 (gt) of the unchanged profile.
        default_interval: 95 % confidence interval of ``default``.
        rows: one for each search space.
        heat_maps: mAP@7 of the grid around the chosen setting.
    """

    described: DescribedDataset
    grid: Grid
    settings: int
    folds: int
    seed: int
    default: float
    default_interval: Interval | None
    rows: tuple[TunedRow, ...]
    heat_maps: tuple[HeatMap, ...]

    @property
    def chosen(self) -> TunedRow:
        """The row whose setting goes into the profile."""
        return next(row for row in self.rows if row.search_space == CHOSEN)

    def to_json(self) -> dict[str, Any]:
        """This result as plain JSON values."""
        profile = self.chosen.setting.profile(self.grid.profile)
        return {
            "dataset": self.described.name,
            "profile": self.grid.profile.name,
            "queries": len(self.described.queries),
            "products": len(self.described.products),
            "by_product": self.described.truth.by_product,
            "unreadable": dict(self.described.unreadable),
            "rejected": len(self.described.rejected),
            "settings": self.settings,
            "folds": self.folds,
            "seed": self.seed,
            "default": {
                "map_at_7": self.default,
                "interval": self.default_interval and asdict(self.default_interval),
                "setting": asdict(self.grid.default),
            },
            "rows": [row.to_json() for row in self.rows],
            "chosen": {
                "profile": profile.to_json(),
                "keep": self.chosen.setting.keep,
                "threshold": self.chosen.setting.threshold,
            },
            "slices": [asdict(heat_map) for heat_map in self.heat_maps],
        }


def tune(described: DescribedDataset, grid: Grid, folds: int, seed: int) -> Tuning:
    """Rate a grid on a dataset, choose a setting, and cross-validate the choice.

    Args:
        described: the dataset, described at all sides and by all poolings of the grid.
        grid: the values to try.
        folds: number of folds of the cross-validation, two or more.
        seed: seed of the folds.

    Raises:
        CatalogueError: if the ground truth is too small to be split, or names a product whose
            image cannot be read.
    """
    if described.text_cosines is None:
        grid = grid.without_words()
    items = described.items
    neighbours = text_neighbours(described.products, grid.thresholds)
    fold_of = folds_of(items, folds, seed)
    count = int(fold_of.max()) + 1
    ratings = GridRatings(described, neighbours, grid.keeps, fold_of)
    stages = list(grid.initial_stages())
    with progress("initial rankings", len(stages)) as advance:
        ratings.rate(stages, advance)
    searches = {}
    in_space = {
        space.name: [stage for stage in stages if space.contains(stage)]
        for space in search_spaces(grid)
    }
    in_space = {name: members for name, members in in_space.items() if members}
    with progress("searches", len(in_space) * (count + 1)) as advance:
        for name, members in in_space.items():
            searches[name] = cross_validate(ratings, grid, members, advance)
    before = ratings.ratings(grid.default)
    return Tuning(
        described=described,
        grid=grid,
        settings=len(stages) * len(grid.keeps) * len(grid.thresholds),
        folds=count,
        seed=seed,
        default=float(before.mean()),
        default_interval=mean_interval(before, items),
        rows=_rows(searches, before, items, described, grid),
        heat_maps=heat_maps(ratings, stages, searches[CHOSEN].setting, grid),
    )


def search_spaces(grid: Grid) -> tuple[SearchSpace, ...]:
    """The spaces, from the smallest to the largest; the last but one is chosen for the profile.

    The one with β is among them if the grid has several.
    """
    own = grid.default.initial

    def keeps_all_but_alpha(stage: InitialStage) -> bool:
        return replace(stage, alphas=own.alphas) == own

    def is_product(stage: InitialStage) -> bool:
        return stage.fusion == PRODUCT and not stage.is_single

    def changes_only_words(stage: InitialStage) -> bool:
        return replace(stage, text_weight=own.text_weight) == own

    return (
        SearchSpace("k, τ", lambda stage: stage == own),
        *((SearchSpace("k, τ, β", changes_only_words),) if grid.tunes_words else ()),
        SearchSpace("k, τ, α", lambda stage: keeps_all_but_alpha(stage) and is_product(stage)),
        SearchSpace("all, eq. (8)", is_product),
        SearchSpace("one backbone", lambda stage: stage.is_single),
        SearchSpace(CHOSEN, lambda stage: stage.fusion == PRODUCT),
        SearchSpace("all, sum", lambda stage: stage.fusion == SUM),
    )


def _rows(
    searches: Mapping[str, CrossValidated],
    before: NDArray[np.float64],
    items: list[int],
    described: DescribedDataset,
    grid: Grid,
) -> tuple[TunedRow, ...]:
    has_words = described.text_cosines is not None
    gains = [paired_difference(before, found.held_out, items) for found in searches.values()]
    adjusted = holm([gain.p_value for gain in gains])
    return tuple(
        TunedRow(
            search_space=name,
            setting=found.setting,
            described=found.setting.describe(grid.profile, has_words=has_words),
            held_out=float(found.held_out.mean()),
            interval=mean_interval(found.held_out, items),
            gain=Comparison(gain.mean, gain.interval, gain.p_value, p_value),
            optimistic=float(found.optimistic.mean()),
            by_fold=tuple(
                setting.describe(grid.profile, has_words=has_words) for setting in found.chosen
            ),
        )
        for (name, found), gain, p_value in zip(searches.items(), gains, adjusted, strict=True)
    )
