"""Parts of a rated grid for people to look at, each through the setting that was chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from export.tuning.grid import Grid
from export.tuning.grid_ratings import GridRatings
from export.tuning.setting import PRODUCT, InitialStage, Setting


@dataclass(frozen=True)
class Slice:
    """A part of the grid to look at: mAP@7 on all queries, hence optimistic.

    Attributes:
        title: what varies, and what is fixed.
        row_name: what the rows are.
        column_name: what the columns are.
        rows: their labels.
        columns: their labels.
        values: by row and column.
    """

    title: str
    row_name: str
    column_name: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: tuple[tuple[float, ...], ...]


def grid_slices(
    ratings: GridRatings, stages: Sequence[InitialStage], setting: Setting, grid: Grid
) -> tuple[Slice, ...]:
    """Pooling × side, α × α where there are two backbones, and k × τ.

    Args:
        ratings: of the grid.
        stages: its initial rankings.
        setting: what was chosen.
        grid: what was tried.
    """
    fused = [stage for stage in stages if stage.fusion == PRODUCT]
    parts = [_pooling_by_side(ratings, fused, setting)]
    if len(setting.initial.used) == len(grid.profile.backbones) == 2:
        parts.append(_alpha_by_alpha(ratings, fused, setting, grid))
    return (*parts, _threshold_by_keep(ratings, setting))


def _pooling_by_side(
    ratings: GridRatings, fused: Sequence[InitialStage], setting: Setting
) -> Slice:
    best: dict[tuple[str, int], float] = {}
    for stage in fused:
        label = " + ".join(dict.fromkeys(pooling.label for pooling in stage.poolings))
        key = (label, stage.side)
        best[key] = max(best.get(key, 0.0), _mean(ratings, replace(setting, initial=stage)))
    labels = tuple(dict.fromkeys(label for label, _ in best))
    sides = sorted({side for _, side in best})
    return Slice(
        title=f"pooling and side, each with its best α; {_refinement(setting)}",
        row_name="pooling",
        column_name="side",
        rows=labels,
        columns=tuple(map(str, sides)),
        values=tuple(tuple(best[label, side] for side in sides) for label in labels),
    )


def _alpha_by_alpha(
    ratings: GridRatings, fused: Sequence[InitialStage], setting: Setting, grid: Grid
) -> Slice:
    used = [stage.alphas for stage in fused if not stage.is_single]
    first, second = (sorted({alphas[number] for alphas in used}) for number in (0, 1))
    stages = [[replace(setting.initial, alphas=(one, other)) for other in second] for one in first]
    return Slice(
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


def _threshold_by_keep(ratings: GridRatings, setting: Setting) -> Slice:
    keeps, thresholds = sorted(ratings.keeps), sorted(ratings.thresholds)
    return Slice(
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
    """mAP@7 (gt) on all queries."""
    threshold = ratings.thresholds.index(setting.threshold)
    sums = ratings.sums(setting.initial)[threshold, ratings.keeps.index(setting.keep)]
    return float(sums.sum()) / len(ratings.folds)


def _refinement(setting: Setting) -> str:
    return f"k {setting.keep}, τ {setting.threshold:g}"
