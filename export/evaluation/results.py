"""What an evaluation found: the paper's Table 1 with its uncertainty, by query and by category.

One value, several renderings: ``evaluation_sections`` puts it into words and tables, which
``evaluation_table``, ``evaluation_markdown`` and ``evaluation_page`` print.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from export.evaluation.metrics import AveragePrecision
from export.evaluation.significance import SIGNIFICANCE, Interval


@dataclass(frozen=True)
class Rating:
    """How well one method answered one query.

    Attributes:
        average_precision: at 7, by both conventions.
        recall_at_7: share of the relevant images among the first seven.
        hit_at_1: whether the first result is relevant, 0 or 1.
        ranks: where the relevant images stand, by id; those beyond the seventh are missing.
    """

    average_precision: AveragePrecision
    recall_at_7: float
    hit_at_1: float
    ranks: Mapping[str, int]


@dataclass(frozen=True)
class RatedQuery:
    """One query by all methods.

    Attributes:
        name: the name of its file.
        item: number of the item it shows; queries with a relevant image in common share it.
        category: that of most of its relevant images; None where the catalogue has none.
        relevant: how many relevant images there are.
        ratings: in the order of ``Evaluation.rows``.
    """

    name: str
    item: int
    category: str | None
    relevant: int
    ratings: tuple[Rating, ...]


@dataclass(frozen=True)
class Intervals:
    """95 % confidence intervals of a row's means; None where one item allows none.

    Attributes:
        gt: of mAP@7 (gt).
        hits: of mAP@7 (hits).
        recall_at_7: of recall.
        hit_at_1: of hit@1.
    """

    gt: Interval | None
    hits: Interval | None
    recall_at_7: Interval | None
    hit_at_1: Interval | None


@dataclass(frozen=True)
class Comparison:
    """The difference of a row's mAP@7 to the baseline's.

    Attributes:
        difference: the row's mean minus the baseline's.
        interval: 95 % confidence interval of the difference; None for fewer than two items.
        p_value: of the sign-flip randomisation test, two-sided.
        adjusted_p_value: the same, corrected by Holm for all rows of the table.
    """

    difference: float
    interval: Interval | None
    p_value: float
    adjusted_p_value: float

    @property
    def verdict(self) -> str:
        """``gain``, ``loss``, or ``noise`` where the test does not tell it from chance."""
        if self.adjusted_p_value > SIGNIFICANCE:
            return "noise"
        return "gain" if self.difference > 0 else "loss"


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes:
        method: "baseline", or "k = 3".
        keep: the paper's k; None for the baseline.
        map_at_7: by both conventions.
        recall_at_7: mean recall among the first seven.
        hit_at_1: share of queries whose first result is relevant.
        intervals: of these means.
        improved_percent: queries whose average precision (gt) rose against the baseline.
        impaired_percent: queries whose average precision (gt) fell.
        against_baseline: by ``gt`` and ``hits``; None for the baseline.
    """

    method: str
    keep: int | None
    map_at_7: AveragePrecision
    recall_at_7: float
    hit_at_1: float
    intervals: Intervals
    improved_percent: float | None
    impaired_percent: float | None
    against_baseline: Mapping[str, Comparison] | None


@dataclass(frozen=True)
class Category:
    """The queries of one category.

    Attributes:
        name: the category.
        queries: how many.
        items: how many items they show.
        map_at_7: mAP@7 (gt) by method.
        difference: of the method looked at closely to the baseline, mAP@7 (gt).
        interval: of the difference, 95 %, not corrected for the number of categories.
    """

    name: str
    queries: int
    items: int
    map_at_7: Mapping[str, float]
    difference: float
    interval: Interval | None


@dataclass(frozen=True)
class Evaluation:
    """The table and what it was measured on.

    Attributes:
        dataset: the folder.
        index_version: the index that was searched.
        profile: the profile of the index.
        products: database images.
        queries: queries that were answered.
        items: items that they show.
        unreadable: query images that could not be read; they count nowhere.
        rows: baseline, then k = 6 to 1.
        detailed: the method that categories and queries are compared by, such as "k = 3".
        categories: most queries first; empty where the catalogue has no column ``category``.
        rated_queries: every query by every method.
        warnings: what a reader should know, such as random weights.
    """

    dataset: str
    index_version: str
    profile: str
    products: int
    queries: int
    items: int
    unreadable: tuple[str, ...]
    rows: tuple[Row, ...]
    detailed: str
    categories: tuple[Category, ...]
    rated_queries: tuple[RatedQuery, ...]
    warnings: tuple[str, ...]

    def place(self, method: str) -> int:
        """Position of a method's row, from 0."""
        return [row.method for row in self.rows].index(method)

    def to_json(self) -> dict[str, Any]:
        """This evaluation as plain JSON values, verdicts included."""
        values = asdict(self)
        for row, plain in zip(self.rows, values["rows"], strict=True):
            for convention, comparison in (row.against_baseline or {}).items():
                plain["against_baseline"][convention]["verdict"] = comparison.verdict
        return values
