"""How good probabilities are: discrimination (AUROC), error (Brier), reliability by bins.

The intervals come from a bootstrap over clusters. A query's present and absent case
are two clusters, though they show one item: leaving products out never makes the best result more
similar, so within pairs the present case wins by construction. A photo that a server gets has no
such twin.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from retrieval_server.index.calibration import Quality, ReliabilityBin

RESAMPLES = 1_999
LEVEL = 0.95
BINS = 10  # of equal width, as in the reliability diagrams of the literature

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


def quality_of(probabilities: FloatArray, is_true: BoolArray, clusters: Sequence[int]) -> Quality:
    """Rate probabilities of cases that took no part in the fit.

    Args:
        probabilities: (C,) from 0 to 1.
        is_true: (C,) what came true; at least one true and one false.
        clusters: (C,) the cluster of each case; those of one are resampled together.
    """
    curve = reliability_curve(probabilities, is_true)
    errors = (probabilities - is_true) ** 2
    base = is_true.mean()
    return Quality(
        auroc=auroc(probabilities, is_true),
        auroc_interval=interval_of(lambda counts: auroc(probabilities, is_true, counts), clusters),
        brier=float(errors.mean()),
        brier_interval=interval_of(
            lambda counts: float(np.average(errors, weights=counts)), clusters
        ),
        base_brier=float(base * (1 - base)),
        calibration_error=sum(each.count * abs(each.predicted - each.observed) for each in curve)
        / len(is_true),
        curve=curve,
    )


def auroc(values: FloatArray, is_true: BoolArray, weights: FloatArray | None = None) -> float:
    """The probability that a true case has a larger value than a false one; ties count half.

    Args:
        values: (C,) of the cases.
        is_true: (C,) which of them are true.
        weights: (C,) how often each case counts; None for once.

    Returns:
        The area under the ROC curve; NaN without a true or without a false case.
    """
    counts = np.ones(len(values)) if weights is None else weights
    _, places = np.unique(values, return_inverse=True)
    true = np.bincount(places, counts * is_true)
    false = np.bincount(places, counts * ~is_true)
    below = np.cumsum(false) - false
    with np.errstate(invalid="ignore"):
        return float((true * (below + false / 2)).sum() / (true.sum() * false.sum()))


def interval_of(
    statistic: Callable[[FloatArray], float], clusters: Sequence[int], seed: int = 0
) -> tuple[float, float]:
    """95 % interval of a statistic by the percentile bootstrap over clusters.

    Args:
        statistic: computes it from how often each case counts, (C,).
        clusters: (C,) the cluster of each case.
        seed: seed of the resampling.
    """
    _, members = np.unique(np.asarray(clusters), return_inverse=True)
    count = int(members.max()) + 1
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(count, np.full(count, 1 / count), RESAMPLES).astype(np.float64)
    found = [statistic(counts[members]) for counts in drawn]
    low, high = np.nanquantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def reliability_curve(probabilities: FloatArray, is_true: BoolArray) -> tuple[ReliabilityBin, ...]:
    """Mean prediction and observed share by bins of equal width; empty bins are left out."""
    places = np.minimum((probabilities * BINS).astype(int), BINS - 1)
    return tuple(
        ReliabilityBin(
            float(probabilities[inside].mean()), float(is_true[inside].mean()), int(inside.sum())
        )
        for inside in (places == place for place in range(BINS))
        if inside.any()
    )
