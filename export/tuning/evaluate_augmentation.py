"""The measured gain of query expansion, database-side augmentation and white-out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.evaluation.metrics import RESULTS
from export.evaluation.results import Comparison
from export.evaluation.search_notes import BY_PRODUCT
from export.evaluation.sections import Cell, Section, comparison_cells, range_text
from export.evaluation.significance import Interval, holm, mean_interval, paired_difference
from export.models.pooling_choice import PoolingChoice
from export.progress import progress
from export.tuning.augmentation import Parts, augmented_database, expanded, fused
from export.tuning.described_dataset import DescribedDataset, text_neighbours, white_out_queries
from export.tuning.pooling_sweep import PoolingSweep
from export.tuning.rate_settings import best_rows, rate_settings

PLAIN = "as it is"


@dataclass(frozen=True)
class AugmentationRow:
    """mAP@7 of one method, with or without refinement.

    Attributes:
        method: name of the method.
        keep: k of the refinement; None for the initial ranking.
        map_at_7: mean average precision (gt).
        interval: 95 % confidence interval of ``map_at_7``.
        gain: difference to the same ranking without augmentation; None for that ranking itself.
    """

    method: str
    keep: int | None
    map_at_7: float
    interval: Interval | None
    gain: Comparison | None


@dataclass(frozen=True)
class AugmentationReport:
    """mAP@7 of every method on a dataset.

    Attributes:
        dataset: name of the dataset's folder.
        profile: name of the profile.
        queries: number of queries whose image could be read.
        products: number of database images.
        by_product: whether the ground truth names products, which are rated instead of images.
        threshold: τ of the refinement.
        rows: every method without and with refinement.
    """

    dataset: str
    profile: str
    queries: int
    products: int
    by_product: bool
    threshold: float
    rows: tuple[AugmentationRow, ...]

    def to_json(self) -> dict[str, Any]:
        """This report as plain JSON values."""
        return asdict(self)

    def section(self) -> Section:
        """This report for people."""
        return Section(
            f"{self.dataset}: {self.queries:,} queries, {self.products:,} images, {self.profile}, "
            f"τ = {self.threshold:g}",
            ("Method", "Refinement", "mAP@7 (gt)", "Gain", "p", "Verdict"),
            tuple(
                (
                    Cell(row.method),
                    Cell("none" if row.keep is None else f"k = {row.keep}"),
                    Cell(f"{row.map_at_7:.6f}", range_text(row.interval)),
                    *([Cell("-")] * 3 if row.gain is None else comparison_cells(row.gain)),
                )
                for row in self.rows
            ),
            (
                f"Gain: over {PLAIN!r} with the same refinement. p: as in the evaluation, "
                f"corrected by Holm for {sum(row.gain is not None for row in self.rows)} rows. "
                "Intervals: 95 %.",
                *([BY_PRODUCT] if self.by_product else []),
            ),
            texts=(0, 1, 5),
        )


def evaluate_augmentation(
    described: DescribedDataset, sweep: PoolingSweep, keep: int, threshold: float
) -> AugmentationReport:
    """Rate every method without and with refinement.

    Args:
        described: the dataset, described at the side and by the poolings of its profile.
        sweep: describes the queries with their background painted white.
        keep: k of the refinement.
        threshold: τ of the refinement.

    Raises:
        RetrievalError: if the ground truth does not fit, or the queries cannot be described again.
    """
    methods = _methods(described, sweep)
    neighbours = text_neighbours(described.products, (threshold,))[threshold]
    keeps = np.array([RESULTS, keep], np.int64)
    ratings: dict[tuple[str, int | None], NDArray[np.float64]] = {}
    relevant, groups = described.relevant, described.groups
    for name, similarities in methods.items():
        best = best_rows(similarities, groups)
        initial, refined = rate_settings(similarities, best, neighbours, relevant, keeps, groups)
        ratings |= {(name, None): initial, (name, keep): refined}
    return AugmentationReport(
        dataset=described.name,
        profile=described.profile.name,
        queries=len(described.queries),
        products=len(described.products),
        by_product=described.truth.by_product,
        threshold=threshold,
        rows=_rows(ratings, described.items),
    )


def _methods(described: DescribedDataset, sweep: PoolingSweep) -> dict[str, NDArray[np.float64]]:
    """Similarities (Q, N) by method."""
    profile = described.profile
    alphas = tuple(backbone.alpha for backbone in profile.backbones)
    pooling_of = {b.model: PoolingChoice.of(b) for b in profile.backbones}
    white_out_p = {model: pooling.mask_p for model, pooling in pooling_of.items()}
    pairs = [described.images[profile.side, model] for model in profile.models]
    pooled = list(pooling_of.values())
    database = [np.asarray(d.descriptors[p]) for (d, _), p in zip(pairs, pooled, strict=True)]
    queries = [np.asarray(q.descriptors[p]) for (_, q), p in zip(pairs, pooled, strict=True)]
    whitened = white_out_queries(described, pooling_of, white_out_p, sweep)
    with progress("database images", len(database[0])) as advance:
        augmented = augmented_database(database, alphas, advance)

    def expanded_similarities(photos: Parts, rows: Parts) -> NDArray[np.float64]:
        best = best_rows(fused(photos, rows, alphas))
        return fused(expanded(photos, rows, best), rows, alphas)

    return {
        PLAIN: fused(queries, database, alphas),
        "query expansion": expanded_similarities(queries, database),
        "database-side": fused(queries, augmented, alphas),
        "query expansion, database-side": expanded_similarities(queries, augmented),
        "white-out": fused(whitened, database, alphas),
        "white-out, query expansion": expanded_similarities(whitened, database),
    }


def _rows(
    ratings: Mapping[tuple[str, int | None], NDArray[np.float64]], items: list[int]
) -> tuple[AugmentationRow, ...]:
    differences = {
        (name, keep): paired_difference(ratings[PLAIN, keep], found, items)
        for (name, keep), found in ratings.items()
        if name != PLAIN
    }
    adjusted = holm([difference.p_value for difference in differences.values()])
    gains = {
        row: Comparison(d.mean, d.interval, d.p_value, p)
        for (row, d), p in zip(differences.items(), adjusted, strict=True)
    }
    return tuple(
        AugmentationRow(
            method=name,
            keep=keep,
            map_at_7=float(found.mean()),
            interval=mean_interval(found, items),
            gain=gains.get((name, keep)),
        )
        for (name, keep), found in ratings.items()
    )
