"""Intervals and p-values, counted out by hand and against other computations."""

from itertools import product

import numpy as np
import pytest

from export.evaluation.significance import (
    Difference,
    Interval,
    holm,
    mean_interval,
    paired_difference,
    paired_p_value,
)


def all_sign_flips_p_value(differences):
    """Share of the 2^n sign patterns whose mean is at least as far from zero, by loops."""
    observed = abs(sum(differences))
    totals = [
        abs(sum(sign * d for sign, d in zip(signs, differences, strict=True)))
        for signs in product((1, -1), repeat=len(differences))
    ]
    return sum(total >= observed - 1e-12 for total in totals) / len(totals)


def test_three_gains_are_counted_out_by_hand():
    # Of the 8 sign patterns of (0.1, 0.2, 0.3) only +++ and --- reach a sum of 0.6: p = 2/8.
    assert paired_p_value([0, 0, 0], [0.1, 0.2, 0.3]) == 0.25
    # (0.1, 0.2, -0.3) sums to 0, and every pattern reaches that.
    assert paired_p_value([0, 0, 0.3], [0.1, 0.2, 0]) == 1.0


@pytest.mark.parametrize("seed", range(5))
def test_few_changes_are_counted_out_however_many_queries_did_not_change(seed):
    random = np.random.default_rng(seed)
    differences = random.choice([-0.5, 1 / 3, 0.25, 1 / 7], size=10)
    before = random.uniform(0, 1, 300)
    before[:10] = 0
    after = before.copy()
    after[:10] = differences

    assert paired_p_value(before, after) == pytest.approx(all_sign_flips_p_value(differences))


def test_many_changes_are_flipped_at_random_as_often_as_the_normal_law_says():
    # Sum of n random signs × 0.1: standard deviation 0.1 √n. 60 gains and 40 losses: 2 of it.
    differences = np.array([0.1] * 60 + [-0.1] * 40)

    # P(|binomial(100, ½) - 50| ≥ 10), exact: 0.0569.
    assert paired_p_value(np.zeros(100), differences) == pytest.approx(0.0569, abs=0.003)


def test_the_test_is_two_sided_and_seeded():
    random = np.random.default_rng(0)
    before, after = random.uniform(size=(2, 40))

    assert paired_p_value(before, after) == paired_p_value(before, after)
    assert paired_p_value(before, after) == pytest.approx(paired_p_value(after, before), abs=0.005)


def test_photos_of_one_item_do_not_count_as_so_many_proofs():
    gains = [0.1] * 8

    assert paired_p_value([0] * 8, gains) == 2 / 2**8
    assert paired_p_value([0] * 8, gains, items=[0, 0, 0, 0, 1, 1, 1, 1]) == 2 / 2**2
    assert paired_p_value([0] * 8, gains, items=[7] * 8) == 1.0


def test_no_change_is_no_evidence():
    assert paired_difference([0.5, 0.25], [0.5, 0.25]) == Difference(0.0, Interval(0.0, 0.0), 1.0)
    assert paired_p_value([0.5, 0.25], [0.5, 0.75]) == 1.0  # one change may be either way round


def test_the_interval_is_that_of_the_binomial_where_the_values_are_hits():
    # Means of resamples of 30 ones in 100 are binomial(100, 0.3) / 100: quantiles 0.21 and 0.39.
    interval = mean_interval([1.0] * 30 + [0.0] * 70)

    assert interval.low == pytest.approx(0.21, abs=0.0101)
    assert interval.high == pytest.approx(0.39, abs=0.0101)


def test_three_values_are_resampled_as_the_27_samples_say():
    values = (0.0, 0.0, 1.0)
    means = sorted(sum(sample) / 3 for sample in product(values, repeat=3))
    # 8 of 27 means are 0 and 1 of 27 is 1: both lie beyond 2.5 %.
    assert (means[0], means[-1]) == (0.0, 1.0)

    assert mean_interval(values) == Interval(0.0, 1.0)


def test_an_item_is_resampled_with_all_its_photos():
    random = np.random.default_rng(3)
    items = np.repeat(np.arange(40), random.integers(1, 5, 40))
    values = random.uniform(size=40)[items] + random.normal(0, 0.01, len(items))
    means = []
    for _ in range(4000):
        drawn = random.integers(0, 40, 40)
        means.append(np.mean(np.concatenate([values[items == item] for item in drawn])))

    interval = mean_interval(values, items.tolist())

    assert (interval.low, interval.high) == pytest.approx(np.quantile(means, (0.025, 0.975)), 0.02)
    alone = mean_interval(values)
    assert alone.high - alone.low < 0.8 * (interval.high - interval.low)


def test_the_interval_holds_the_true_mean_about_as_often_as_it_says():
    random = np.random.default_rng(5)
    held = 0
    for seed in range(100):
        interval = mean_interval(random.choice([0.0, 0.0, 0.5, 1.0], 80), seed=seed)
        held += interval.low <= 0.375 <= interval.high

    assert 89 <= held <= 99


def test_one_item_allows_no_interval():
    assert mean_interval([0.5]) is None
    assert mean_interval([0.5, 0.7], items=[3, 3]) is None
    assert mean_interval([0.5, 0.5]) == Interval(0.5, 0.5)


def test_holm_worked_by_hand():
    # Sorted: 0.01 × 4, 0.02 × 3, 0.03 × 2, 0.5 × 1, each at least the one before.
    assert holm([0.02, 0.5, 0.01, 0.03]) == pytest.approx((0.06, 0.5, 0.04, 0.06))
    assert holm([0.4, 0.3]) == pytest.approx((0.6, 0.6))
    assert holm([0.9, 0.8]) == (1.0, 1.0)
    assert holm([]) == ()


def test_what_does_not_pair_is_refused():
    with pytest.raises(ValueError, match="2 values before, 3 after"):
        paired_p_value([0, 0], [0, 0, 0])
    with pytest.raises(ValueError, match="2 values, but 3 items"):
        mean_interval([0, 0], [1, 2, 3])
