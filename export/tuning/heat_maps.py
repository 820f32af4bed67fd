"""Heat maps of a rated grid: mAP@7 by two settings at a time, the others as they were chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from export.tuning.grid import Grid
from export.tuning.grid_ratings import GridRatings
from export.tuning.setting import PRODUCT, InitialStage, Setting


@dataclass(frozen=True)
class HeatMap:
    """mAP@7 on all queries by two settings; its best values are optimistic.

    Attributes:
        title: names the settings that vary and the values of the others.
        row_name: the setting that varies by row.
        column_name: the setting that varies by column.
        rows: labels of the rows.
        columns: labels of the columns.
        values: mAP@7 by row and column.
    """

    title: str
    row_name: str
    column_name: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: tuple[tuple[float, ...], ...]


def heat_maps(
    ratings: GridRatings, stages: Sequence[InitialStage], setting: Setting, grid: Grid
) -> tuple[HeatMap, ...]:
    """Draw pooling × side, α × α if there are two backbones, β × k if there are words, and k × τ.

    Args:
        ratings: ratings of the grid.
        stages: initial rankings of the grid.
        setting: the chosen setting; the maps hold its other values fixed.
        grid: the values that were tried.
    """
    fused = [stage for stage in stages if stage.fusion == PRODUCT]
    maps = [_pooling_by_side(ratings, fused, setting, grid)]
    if len(setting.initial.used) == len(grid.profile.backbones) == 2:
        maps.append(_alpha_by_alpha(ratings, fused, setting, grid))
    if grid.tunes_words:
        maps.append(_text_weight_by_keep(ratings, setting, grid))
    return (*maps, _threshold_by_keep(ratings, setting))


def _pooling_by_side(
    ratings: GridRatings, fused: Sequence[InitialStage], setting: Setting, grid: Grid
) -> HeatMap:
    best: dict[tuple[str, int], float] = {}
    for stage in fused:
        label = " + ".join(dict.fromkeys(pooling.label for pooling in stage.poolings))
        key = (label, stage.side)
        best[key] = max(best.get(key, 0.0), _mean(ratings, replace(setting, initial=stage)))
    strengths = "α and β" if grid.tunes_words else "α"
    labels = tuple(dict.fromkeys(label for label, _ in best))
    sides = sorted({side for _, side in best})
    return HeatMap(
        title=f"pooling and side, each with its best {strengths}; {_refinement(setting)}",
        row_name="pooling",
        column_name="side",
        rows=labels,
        columns=tuple(map(str, sides)),
        values=tuple(tuple(best[label, side] for side in sides) for label in labels),
    )


def _alpha_by_alpha(
    ratings: GridRatings, fused: Sequence[InitialStage], setting: Setting, grid: Grid
) -> HeatMap:
    used = [stage.alphas for stage in fused if not stage.is_single]
    first, second = (sorted({alphas[backbone] for alphas in used}) for backbone in (0, 1))
    stages = [[replace(setting.initial, alphas=(one, other)) for other in second] for one in first]
    return HeatMap(
        title=f"α, with the chosen side and poolings; {_refinement(setting)}",
        row_name=f"α of {grid.profile.models[0]}",
        column_name=f"α of {grid.profile.models[1]}",
        rows=tuple(f"{alpha:g}" for alpha in first),
        columns=tuple(f"{alpha:g}" for alpha in second),
        values=tuple(
            tuple(_mean(ratings, replace(setting, initial=stage)) for stage in row)
            for row in stages
        ),
    )


def _text_weight_by_keep(ratings: GridRatings, setting: Setting, grid: Grid) -> HeatMap:
    keeps, weights = sorted(ratings.keeps), sorted(grid.text_weights)
    stages = [replace(setting.initial, text_weight=weight) for weight in weights]
    return HeatMap(
        title=f"β and k, with the chosen descriptors; τ {setting.threshold:g}",
        row_name="β",
        column_name="k",
        rows=tuple(f"{weight:g}" for weight in weights),
        columns=tuple(map(str, keeps)),
        values=tuple(
            tuple(_mean(ratings, replace(setting, initial=stage, keep=keep)) for keep in keeps)
            for stage in stages
        ),
    )


def _threshold_by_keep(ratings: GridRatings, setting: Setting) -> HeatMap:
    keeps, thresholds = sorted(ratings.keeps), sorted(ratings.thresholds)
    return HeatMap(
        title="τ and k, with the chosen initial ranking",
        row_name="τ",
        column_name="k",
        rows=tuple(f"{threshold:g}" for threshold in thresholds),
        columns=tuple(map(str, keeps)),
        values=tuple(
            tuple(
                _mean(ratings, replace(setting, threshold=threshold, keep=keep)) for keep in keeps
            )
            for threshold in thresholds
        ),
    )


def _mean(ratings: GridRatings, setting: Setting) -> float:
    """mAP@7 (gt) of a setting on all queries."""
    threshold = ratings.thresholds.index(setting.threshold)
    sums = ratings.sums(setting.initial)[threshold, ratings.keeps.index(setting.keep)]
    return float(sums.sum()) / len(ratings.folds)


def _refinement(setting: Setting) -> str:
    return f"k {setting.keep}, τ {setting.threshold:g}"
