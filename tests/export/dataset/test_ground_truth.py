"""Which queries show the same item."""

from pathlib import Path

import pytest

from export.dataset.ground_truth import Query, items_of


@pytest.mark.parametrize(
    ("relevant", "items"),
    [
        ([], []),
        (["a", "b", "c"], [0, 1, 2]),
        (["a b", "c", "b a"], [0, 1, 0]),
        (["a", "b", "c", "a c"], [0, 1, 0, 0]),  # the last joins the first and the third
        (["c d", "a", "d e", "e a", "f"], [0, 0, 0, 0, 1]),
    ],
)
def test_queries_with_a_true_match_in_common_show_the_same_item(relevant, items):
    queries = [Query(Path("q.jpg"), frozenset(ids.split())) for ids in relevant]

    assert items_of(queries) == items
