"""How much of a mean over queries, or of a difference of two, is chance.

- Intervals: percentile bootstrap over items. Percentile rather than BCa: it is defined for every
  sample, constant ones included, it never leaves the range of the values, and on differences of
  which most are zero, as refinement gives, BCa's lower bound is the more often too high.
- Test: the sign-flip randomisation test on the paired differences (Smucker, Allan, Carterette,
  *A comparison of statistical significance tests for information retrieval evaluation*, CIKM
  2007), two-sided, exact where there are few changes, otherwise by random flips.
- Several comparisons at once: Holm's step-down correction.

Photos of one item rise and fall together; so both take items, not photos, for independent, where
they are told which photos belong together. Everything is seeded: same input, same answer.
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
    """How the mean of one method differs from that of another, over the same queries.

    Attributes:
        mean: after minus before.
        interval: of the mean; None for fewer than two items.
        p_value: of no difference, two-sided; not corrected for further comparisons.
    """

    mean: float
    interval: Interval | None
    p_value: float


def mean_interval(
    values: ArrayLike, items: Sequence[int] | None = None, seed: int = 0
) -> Interval | None:
    """95 % confidence interval of a mean over queries, by the percentile bootstrap.

    Args:
        values: (Q,) one for each query.
        items: (Q,) number of the item that a query shows; queries of one item are resampled
            together. None: each query is an item of its own.
        seed: of the resampling.

    Returns:
        The interval; None for fewer than two items, which say nothing about others.

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
    """Two-sided p-value of "which of the two methods is which makes no difference".

    Args:
        before: (Q,) one value for each query.
        after: (Q,) of the other method, same order.
        items: as in ``mean_interval``; the sign of an item is flipped as a whole.
        seed: of the random flips.

    Returns:
        A probability in (0, 1]; 1 where nothing differs.

    Raises:
        ValueError: if the lengths differ.
    """
    from scipy import stats

    sums, _ = _by_item(_differences(before, after), items)
    changed = sums[sums != 0]  # the flip of a zero changes nothing
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
    """Correct p-values for being several (Holm 1979): the chance of one false alarm stays bounded.

    Args:
        p_values: of comparisons that are looked at together.

    Returns:
        The adjusted values in the same order, each at least the given one and at most 1.
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
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
