"""The parameters of a search: their ranges, and what an α changes."""

import dataclasses

import pytest

from retrieval_server.errors import QueryError
from retrieval_server.models.profile import MAX_ALPHA
from retrieval_server.retrieval.retriever import Retriever
from retrieval_server.retrieval.search_request import MAX_TOP_K, SearchParameters
from tests.support.reference_search import best, brute_force, random_query


@pytest.mark.parametrize("name", ["top_k", "keep"])
@pytest.mark.parametrize("value", [0, -1, MAX_TOP_K + 1])
def test_count_out_of_range_names_the_field_and_the_range(
    retriever: Retriever, name: str, value: int
) -> None:
    parameters = dataclasses.replace(SearchParameters(), **{name: value})
    with pytest.raises(QueryError, match=rf"{name}: must be 1\.\.100, got {value}") as caught:
        retriever.search(random_query(retriever.bundle, 0), parameters)
    assert caught.value.field == name


@pytest.mark.parametrize(
    ("alphas", "problem"),
    [
        ({"tiny_c": 1.0}, "no model 'tiny_c'; there are ['tiny_a', 'tiny_b']"),
        ({"tiny_a": -0.1}, "tiny_a must be 0..1e+06, got -0.1"),
        ({"tiny_a": float("nan")}, "tiny_a must be 0..1e+06, got nan"),
        ({"tiny_a": float("inf")}, "tiny_a must be 0..1e+06, got inf"),
    ],
)
def test_unusable_alpha_names_the_field_and_the_model(
    retriever: Retriever, alphas: dict[str, float], problem: str
) -> None:
    with pytest.raises(QueryError) as caught:
        retriever.search(random_query(retriever.bundle, 0), SearchParameters(alphas=alphas))
    assert caught.value.field == "alpha"
    assert problem in str(caught.value)


def test_alpha_of_zero_switches_a_backbone_off(retriever: Retriever) -> None:
    query = random_query(retriever.bundle, 9)
    parameters = SearchParameters(alphas={"tiny_b": 0.0}, refine=False)
    alone = brute_force(retriever.bundle, query, (3.0, 0.0))
    found = retriever.search(query, parameters)
    assert [match.row for match in found.matches] == best(alone, list(range(len(alone))), 7)


def test_the_largest_alpha_still_ranks_like_brute_force(retriever: Retriever) -> None:
    query = random_query(retriever.bundle, 9)
    alphas = dict.fromkeys(retriever.bundle.profile.models, MAX_ALPHA)
    expected = brute_force(retriever.bundle, query, (MAX_ALPHA, MAX_ALPHA))
    found = retriever.search(query, SearchParameters(alphas=alphas, refine=False))
    assert [m.row for m in found.matches] == best(expected, list(range(len(expected))), 7)
