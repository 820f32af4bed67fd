"""mAP@7 by both conventions, worked by hand."""

from fractions import Fraction
from itertools import chain, combinations

import pytest

from export.metrics import (
    AveragePrecision,
    average_precision,
    changed_percent,
    mean_average_precision,
)

RESULTS = ["a", "x", "b", "y", "z", "w", "c"]


def test_precisions_at_the_hits_are_divided_by_the_relevant_or_by_the_hits():
    # Hits at ranks 1, 3, 7: 1/1 + 2/3 + 3/7 = 44/21, of four relevant, three found.
    rating = average_precision(RESULTS, {"a", "b", "c", "missing"})

    assert rating.gt == pytest.approx(44 / 21 / 4)
    assert rating.hits == pytest.approx(44 / 21 / 3)


def test_more_than_seven_relevant_count_as_seven():
    relevant = {f"r{i}" for i in range(10)}

    rating = average_precision([f"r{i}" for i in range(10)], relevant)

    assert rating == AveragePrecision(gt=1.0, hits=1.0)


def test_the_eighth_result_does_not_count():
    assert average_precision(["x"] * 7 + ["a"], {"a"}) == AveragePrecision(0.0, 0.0)


def test_finding_one_of_six_first_is_perfect_only_by_hits():
    rating = average_precision(RESULTS, {"a", "1", "2", "3", "4", "5"})

    assert rating == AveragePrecision(gt=1 / 6, hits=1.0)


def test_a_query_without_relevant_images_is_refused():
    with pytest.raises(ValueError, match="at least one relevant"):
        average_precision(RESULTS, set())


def test_the_mean_is_over_queries():
    ratings = [AveragePrecision(1.0, 1.0), AveragePrecision(0.0, 0.0), AveragePrecision(0.5, 1.0)]

    assert mean_average_precision(ratings) == AveragePrecision(0.5, pytest.approx(2 / 3))


def test_improved_and_impaired_are_percentages_of_all_queries():
    before = [AveragePrecision(gt, 1.0) for gt in (0.5, 0.5, 0.5, 0.5)]
    after = [AveragePrecision(gt, 0.0) for gt in (0.6, 0.4, 0.5, 0.9)]

    assert changed_percent(before, after) == (50.0, 25.0)


def test_precisions_that_are_equal_as_fractions_compare_equal():
    for found in chain.from_iterable(combinations(range(1, 8), size) for size in range(8)):
        results = ["r" + str(rank) if rank in found else "x" for rank in range(1, 8)]
        exact = sum(Fraction(i, rank) for i, rank in enumerate(found, start=1))

        rating = average_precision(results, {f"r{rank}" for rank in range(1, 8)})

        assert rating.gt == float(exact / 7)
        assert rating.hits == (float(exact / len(found)) if found else 0)
