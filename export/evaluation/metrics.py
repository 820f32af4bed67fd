"""Retrieval metrics over the first seven results: average precision, recall, hit@1.

Two conventions of mAP@7 are in use, and both are printed. They divide the sum of the precisions at
the hits by different numbers:

- ``gt``: divided by min(relevant images, 7), the default; a relevant image that is not found costs.
- ``hits``: divided by the number of hits; one of six relevant images at rank 1 counts as perfect.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

RESULTS = 7
_UNIT = math.lcm(*range(1, RESULTS + 1))


@dataclass(frozen=True)
class AveragePrecision:
    """Average precision at 7 of one query, or its mean over queries, in [0, 1].

    Attributes:
        gt: the sum divided by min(relevant, 7).
        hits: the sum divided by the number of hits; 0 without a hit.
    """

    gt: float
    hits: float


def average_precision(results: Sequence[str | None], relevant: Collection[str]) -> AveragePrecision:
    """Rate the results of one query.

    Args:
        results: names of images or products, best first, each at most once; the first seven count.
            None stands for one without a name of interest.
        relevant: the names of those that show the same item, at least one.

    Raises:
        ValueError: if nothing is relevant.
    """
    if not relevant:
        raise ValueError("average precision needs at least one relevant name")
    hits = 0
    precisions = 0  # in units of 1 / _UNIT, an integer: equal sums compare equal
    for rank, name in enumerate(results[:RESULTS], start=1):
        if name in relevant:
            hits += 1
            precisions += hits * (_UNIT // rank)
    return AveragePrecision(
        gt=precisions / (_UNIT * min(len(relevant), RESULTS)),
        hits=precisions / (_UNIT * hits) if hits else 0.0,
    )


def ranks_of(results: Sequence[str | None], relevant: Collection[str]) -> dict[str, int]:
    """Ranks of the relevant ones among the first seven results, by name, from 1."""
    return {
        name: rank
        for rank, name in enumerate(results[:RESULTS], start=1)
        if name is not None and name in relevant
    }


def recall(results: Sequence[str | None], relevant: Collection[str]) -> float:
    """Recall at 7: the share of all relevant names among the first seven, at least one relevant."""
    return len(ranks_of(results, relevant)) / len(relevant)


def hit_at_1(results: Sequence[str | None], relevant: Collection[str]) -> float:
    """Hit@1: 1 where the first result is relevant, else 0."""
    return float(bool(results) and results[0] in relevant)


def mean_average_precision(ratings: Sequence[AveragePrecision]) -> AveragePrecision:
    """Mean over at least one query (mAP@7)."""
    count = len(ratings)
    return AveragePrecision(
        gt=sum(rating.gt for rating in ratings) / count,
        hits=sum(rating.hits for rating in ratings) / count,
    )


def changed_percent(
    before: Sequence[AveragePrecision], after: Sequence[AveragePrecision]
) -> tuple[float, float]:
    """Percentage of queries whose average precision (gt) rose, and of those where it fell.

    Args:
        before: ratings of the baseline, by query.
        after: ratings of the method, by query.
    """
    pairs = list(zip(before, after, strict=True))
    improved = sum(new.gt > old.gt for old, new in pairs)
    impaired = sum(new.gt < old.gt for old, new in pairs)
    return 100 * improved / len(pairs), 100 * impaired / len(pairs)
