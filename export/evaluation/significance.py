"""The uncertainty of a mean over queries, and of the difference of two means.

- Intervals: percentile bootstrap over items. Percentile rather than BCa: it is defined for every
  sample, also a constant one, and never leaves the range of the values. Of the differences that
  refinement makes most are zero, and there BCa's lower bound is more often too high.
- Test: the sign-flip randomisation test on the paired differences (Smucker, Allan, Carterette,
  *A comparison of statistical significance tests for information retrieval evaluation*, CIKM
  2007), two-sided, exact where there are few changes, otherwise by random flips.
- Several comparisons at once: Holm's step-down correction.

The ratings of two photos of one item are correlated, so interval and test take items, not photos,
for independent, if they get the items. Everything is seeded: the same input gives the same result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEVEL = 0.95
SIGNIFICANCE = 0.05  # a p-value above it is called noise
RESAMPLES = 9_999
FLIPS = 19_999  # the smallest p-value is 1 / 10,000; up to 14 changed items are counted out
_BATCH_VALUES = 2**20  # resampled values held at once

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A confidence interval.

    Attributes:
        low: its lower end.
        high: its upper end.
    """

    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """The difference between the means of two methods over the same queries.

    Attributes:
        mean: after minus before.
        interval: confidence interval of the mean; None for fewer than two items.
        p_value: two-sided p-value of no difference; not corrected for further comparisons.
    """

    mean: float
    interval: Interval | None
    p_value: float


def mean_interval(
    values: ArrayLike, items: Sequence[int] | None = None, seed: int = 0
) -> Interval | None:
    """95 % confidence interval of a mean over queries, by the percentile bootstrap.

    Args:
        values: (Q,) one value for each query.
        items: (Q,) item that each query shows; queries of one item are resampled together. None
            means that each query shows another item.
        seed: seed of the resampling.

    Returns:
        The interval; None for fewer than two items.

    Raises:
        ValueError: if ``items`` has another length.
    """
    from scipy import stats

    sums, counts = _by_item(values, items)
    if len(sums) < 2:
        return None
    found = stats.bootstrap(
        (sums, counts),
        lambda s, c, axis=-1: s.sum(axis=axis) / c.sum(axis=axis),
        paired=True,
        vectorized=True,
        method="percentile",
        confidence_level=LEVEL,
        n_resamples=RESAMPLES,
        batch=max(1, _BATCH_VALUES // len(sums)),
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Interval(float(found.low), float(found.high))


def paired_p_value(
    before: ArrayLike, after: ArrayLike, items: Sequence[int] | None = None, seed: int = 0
) -> float:
    """Two-sided p-value of the hypothesis that the two methods do not differ.

    Args:
        before: (Q,) values of one method, one for each query.
        after: (Q,) values of the other method, in the same order.
        items: as in ``mean_interval``; a flip changes the sign of all queries of an item.
        seed: seed of the random flips.

    Returns:
        A probability in (0, 1]; 1 if no value differs.

    Raises:
        ValueError: if the lengths differ.
    """
    from scipy import stats

    sums, _ = _by_item(_differences(before, after), items)
    changed = sums[sums != 0]  # a flip does not change a zero
    if len(changed) < 2:
        return 1.0
    return float(
        stats.permutation_test(
            (changed,),
            lambda d, axis=-1: d.sum(axis=axis),
            permutation_type="samples",
            vectorized=True,
            n_resamples=FLIPS,
            batch=max(1, _BATCH_VALUES // len(changed)),
            rng=np.random.default_rng(seed),
        ).pvalue
    )


def paired_difference(
    before: ArrayLike, after: ArrayLike, items: Sequence[int] | None = None, seed: int = 0
) -> Difference:
    """Difference of two means over the same queries, with its interval and p-value.

    Arguments and errors are those of ``paired_p_value``.
    """
    differences = _differences(before, after)
    return Difference(
        float(differences.mean()),
        mean_interval(differences, items, seed),
        paired_p_value(before, after, items, seed),
    )


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Correct the p-values of several comparisons (Holm 1979), which bounds the family-wise error.

    Args:
        p_values: p-values of all comparisons of one table.

    Returns:
        The adjusted values in the same order, each at least the given one and at most 1.
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return tuple(adjusted)


def _differences(before: ArrayLike, after: ArrayLike) -> FloatArray:
    old, new = np.asarray(before, np.float64), np.asarray(after, np.float64)
    if old.shape != new.shape:
        raise ValueError(f"{old.size} values before, {new.size} after: they must be pairs.")
    return new - old


def _by_item(values: ArrayLike, items: Sequence[int] | None) -> tuple[FloatArray, FloatArray]:
    """Sum of the values and number of queries, by item."""
    array = np.asarray(values, np.float64)
    if items is None:
        return array, np.ones(len(array))
    if len(items) != len(array):
        raise ValueError(f"{len(array)} values, but {len(items)} items: one is needed for each.")
    _, numbers = np.unique(np.asarray(items), return_inverse=True)
    sums = np.bincount(numbers, array).astype(np.float64)
    return sums, np.bincount(numbers).astype(np.float64)
