"""The result of an evaluation: the paper's Table 1 with its uncertainty, by query and by category.

``sections`` puts a result into words and tables; ``terminal``, ``markdown`` and ``html`` render
these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from export.evaluation.metrics import AveragePrecision
from export.evaluation.significance import SIGNIFICANCE, Interval

TYPED, READ = "typed words", "read words"
BOTH = f"{TYPED} and {READ}"
WORD_METHODS = (TYPED, READ, BOTH)  # the methods that search with words, unrefined


@dataclass(frozen=True)
class Rating:
    """The rating of one query by one method.

    Attributes:
        average_precision: at 7, by both conventions.
        recall_at_7: share of the relevant images, or products, among the first seven.
        hit_at_1: whether the first result is relevant, 0 or 1.
        ranks: ranks of the relevant images or products, by name; without those beyond the seventh.
    """

    average_precision: AveragePrecision
    recall_at_7: float
    hit_at_1: float
    ranks: Mapping[str, int]


@dataclass(frozen=True)
class RatedQuery:
    """The ratings of one query by all methods.

    Attributes:
        name: name of its image file.
        item: the item that it shows, as a number; queries with a relevant image in common share it.
        category: category of most of its relevant images; None if the catalogue has none.
        relevant: number of relevant images, or products.
        ratings: in the order of ``Evaluation.rows``.
    """

    name: str
    item: int
    category: str | None
    relevant: int
    ratings: tuple[Rating, ...]


@dataclass(frozen=True)
class Intervals:
    """95 % confidence intervals of a row's means; None for fewer than two items.

    Attributes:
        gt: interval of mAP@7 (gt).
        hits: interval of mAP@7 (hits).
        recall_at_7: interval of mean recall.
        hit_at_1: interval of mean hit@1.
    """

    gt: Interval | None
    hits: Interval | None
    recall_at_7: Interval | None
    hit_at_1: Interval | None


@dataclass(frozen=True)
class Comparison:
    """The difference between two means of mAP@7 over the same queries.

    Attributes:
        difference: the mean minus that of the method it is compared with.
        interval: 95 % confidence interval of the difference; None for fewer than two items.
        p_value: p-value of the two-sided sign-flip randomisation test.
        adjusted_p_value: the p-value corrected by Holm for all rows of its table.
    """

    difference: float
    interval: Interval | None
    p_value: float
    adjusted_p_value: float

    @property
    def verdict(self) -> str:
        """``gain``, ``loss``, or ``noise`` if the difference is not significant."""
        if self.adjusted_p_value > SIGNIFICANCE:
            return "noise"
        return "gain" if self.difference > 0 else "loss"


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes:
        method: "baseline", "k = 3", "words", or "words, k = 3".
        keep: the paper's k; None for the baseline.
        map_at_7: mAP@7 by both conventions.
        recall_at_7: mean recall among the first seven.
        hit_at_1: share of queries whose first result is relevant.
        intervals: intervals of these means.
        improved_percent: percentage of queries with a higher average precision (gt) than by the
            baseline.
        impaired_percent: percentage of queries with a lower one.
        against_baseline: comparison by ``gt`` and by ``hits``; None for the baseline.
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
    """mAP@7 on the queries of one category.

    Attributes:
        name: the category.
        queries: number of queries.
        items: number of items that they show.
        map_at_7: mAP@7 (gt) by method.
        difference: mAP@7 (gt) of the detailed method minus that of the baseline.
        interval: 95 % confidence interval of ``difference``, not corrected for the number of
            categories.
    """

    name: str
    queries: int
    items: int
    map_at_7: Mapping[str, float]
    difference: float
    interval: Interval | None


@dataclass(frozen=True)
class WordsChange:
    """What words change on some queries, over the same search without words.

    Attributes:
        category: the category of the queries; None for all queries.
        queries: number of queries.
        words: one of ``WORD_METHODS``.
        without: mAP@7 (gt) with refinement, without words.
        with_words: the same with words.
        change: their difference; the p-value is corrected for these words on all categories.
    """

    category: str | None
    queries: int
    words: str
    without: float
    with_words: float
    change: Comparison


@dataclass(frozen=True)
class Evaluation:
    """The paper's Table 1 on one dataset, with details.

    Attributes:
        dataset: name of the dataset's folder.
        index_version: version of the index.
        profile: profile of the index.
        products: number of database images.
        queries: number of queries whose image could be read.
        items: number of items that they show.
        unreadable: why a query image could not be read, by its name; no figure includes it.
        rows: baseline, then k = 6 to 1, then those with words if a query has words.
        detailed: the method that is compared with the baseline by category and by query, such as
            "k = 3".
        categories: most queries first; empty if the catalogue has no column ``category``.
        words: what words change on all queries, then by category; empty if there are none.
        text_weight: β, by which the words count.
        rated_queries: ratings of every query by every method.
        where: the conditions that a product must meet to be found, as typed; empty for none.
        searched: number of database images that meet them.
        unanswerable: number of queries without a true match among these; no figure includes them.
        by_product: whether the ground truth names products, so that results and true matches are
            products instead of images.
        group_by: column of whose values each result is the best image; None for single images.
        warnings: facts that a reader should know, such as random weights.
    """

    dataset: str
    index_version: str
    profile: str
    products: int
    queries: int
    items: int
    unreadable: Mapping[str, str]
    rows: tuple[Row, ...]
    detailed: str
    categories: tuple[Category, ...]
    words: tuple[WordsChange, ...]
    text_weight: float
    rated_queries: tuple[RatedQuery, ...]
    where: tuple[str, ...]
    searched: int
    unanswerable: int
    by_product: bool
    group_by: str | None
    warnings: tuple[str, ...]

    def position(self, method: str) -> int:
        """Position of a method's row in ``rows``."""
        return [row.method for row in self.rows].index(method)

    def to_json(self) -> dict[str, Any]:
        """This evaluation as plain JSON values, verdicts included."""
        values = asdict(self)
        for row, plain in zip(self.rows, values["rows"], strict=True):
            for convention, comparison in (row.against_baseline or {}).items():
                plain["against_baseline"][convention]["verdict"] = comparison.verdict
        for changed, plain in zip(self.words, values["words"], strict=True):
            plain["change"]["verdict"] = changed.change.verdict
        return values
