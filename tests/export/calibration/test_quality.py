"""AUROC, Brier score and reliability: worked out by hand, and by scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, roc_auc_score

from export.calibration.quality import auroc, interval_of, quality_of, reliability_curve
from retrieval_server.index.calibration import ReliabilityBin

VALUES = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])
CASES = st.lists(st.tuples(VALUES, st.booleans()), min_size=2, max_size=30).filter(
    lambda cases: len({is_true for _, is_true in cases}) == 2
)


@given(CASES)
def test_the_figures_are_those_of_scikit_learn(cases):
    values, is_true = (np.array(column) for column in zip(*cases, strict=True))

    quality = quality_of(values, is_true, range(len(values)))

    assert quality.auroc == pytest.approx(roc_auc_score(is_true, values))
    assert quality.brier == pytest.approx(brier_score_loss(is_true, values))
    base = np.full(len(values), is_true.mean())
    assert quality.base_brier == pytest.approx(brier_score_loss(is_true, base))


def test_auroc_counts_pairs_and_ties_half():
    # true 0.8 beats both false ones, true 0.4 beats one and ties with the other
    values, is_true = np.array([0.8, 0.4, 0.4, 0.1]), np.array([True, True, False, False])
    assert auroc(values, is_true) == 3.5 / 4
    twice = np.array([1.0, 2.0, 1.0, 1.0])
    assert auroc(values, is_true, twice) == (2 + 2 * 1.5) / 6


def test_the_curve_has_mean_prediction_and_observed_share_of_each_tenth():
    probabilities = np.array([0.05, 0.09, 0.55, 1.0, 0.0])
    is_true = np.array([False, True, True, True, False])
    assert reliability_curve(probabilities, is_true) == (
        ReliabilityBin(pytest.approx(0.14 / 3), pytest.approx(1 / 3), 3),
        ReliabilityBin(0.55, 1.0, 1),
        ReliabilityBin(1.0, 1.0, 1),
    )


def test_the_calibration_error_is_the_weighted_distance_of_the_curve():
    probabilities, is_true = np.array([0.2, 0.2, 0.9]), np.array([True, False, True])
    quality = quality_of(probabilities, is_true, [0, 1, 2])
    assert quality.calibration_error == pytest.approx((2 * 0.3 + 0.1) / 3)


def test_cases_of_one_cluster_are_resampled_together():
    rng = np.random.default_rng(0)
    values, clusters = rng.random(100), list(range(100))

    def mean_of(values):
        return lambda counts: float(np.average(values, weights=counts))

    low, high = interval_of(mean_of(values), clusters)
    repeated = interval_of(mean_of(np.tile(values, 9)), clusters * 9)

    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 10, rel=0.1)
    assert repeated == pytest.approx((low, high))  # nine photos of an item are one observation
    assert interval_of(mean_of(values), clusters) == (low, high)
