"""mAP@7 by both conventions, worked by hand."""

from fractions import Fraction
from itertools import chain, combinations

import numpy as np
import pytest
import pytrec_eval
from sklearn.metrics import average_precision_score

from export.evaluation.metrics import (
    AveragePrecision,
    average_precision,
    changed_percent,
    hit_at_1,
    mean_average_precision,
    ranks_of,
    recall,
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


def test_recall_hit_and_ranks_worked_by_hand():
    relevant = {"b", "c", "missing", "beyond"}

    assert ranks_of([*RESULTS, "beyond"], relevant) == {"b": 3, "c": 7}
    assert recall([*RESULTS, "beyond"], relevant) == 2 / 4
    assert hit_at_1(RESULTS, relevant) == 0.0
    assert hit_at_1(RESULTS, {"a"}) == 1.0
    assert hit_at_1([], {"a"}) == 0.0


def random_queries(number):
    """Results and relevant ids of made-up queries, 1 to 7 relevant."""
    random = np.random.default_rng(0)
    for _ in range(number):
        ids = [f"d{i:02d}" for i in random.permutation(12)]
        relevant = {f"d{i:02d}" for i in random.choice(12, random.integers(1, 8), replace=False)}
        yield ids[:7], relevant


def test_trec_eval_says_the_same():
    # map_cut.7 divides by the relevant; up to seven of them, that is the convention gt.
    queries = {f"q{number}": query for number, query in enumerate(random_queries(200))}
    evaluator = pytrec_eval.RelevanceEvaluator(
        {name: dict.fromkeys(relevant, 1) for name, (_, relevant) in queries.items()},
        {"map_cut.7", "recall.7", "success.1"},
    )
    run = {
        name: {product_id: 7.0 - rank for rank, product_id in enumerate(results)}
        for name, (results, _) in queries.items()
    }

    for name, said in evaluator.evaluate(run).items():
        results, relevant = queries[name]
        assert average_precision(results, relevant).gt == pytest.approx(said["map_cut_7"])
        assert recall(results, relevant) == pytest.approx(said["recall_7"])
        assert hit_at_1(results, relevant) == said["success_1"]


def test_scikit_learn_says_the_same_by_hits():
    # Its average precision knows no relevant image but those in the list.
    for results, relevant in random_queries(200):
        is_hit = [product_id in relevant for product_id in results]
        expected = average_precision_score(is_hit, range(7, 0, -1)) if any(is_hit) else 0.0

        assert average_precision(results, relevant).hits == pytest.approx(expected)
