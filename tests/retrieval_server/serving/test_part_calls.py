"""Searches within a part of the catalogue over a real gRPC server."""

import grpc
import pytest

from client import RetrievalClient
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.retrieval.retriever import Retriever
from retrieval_server.retrieval.search_request import SearchParameters
from retrieval_server.v1 import retrieval_pb2 as pb
from tests.support.reference_search import NoEngine
from tests.support.search_calls import descriptors_of, photo, without_times
from tests.support.served import Served


def test_excluded_products_are_in_neither_list_and_bring_no_text_neighbours(
    shared: Served, bundle: IndexBundle
) -> None:
    plain = shared.search(image=photo(1), top_k=9, keep=2)
    seed = plain.results[0].product_id
    excluded = [seed, plain.results[4].product_id, "nobody's"]
    response = shared.search(image=photo(1), top_k=9, keep=2, exclude_ids=excluded)
    found = {match.product_id for match in (*response.results, *response.initial_results)}
    assert not found & set(excluded)
    assert len(response.results) == len(response.initial_results) == 9
    assert seed not in {match.text.seed_product_id for match in response.results}


def test_least_similarity_holds_for_every_result_of_both_stages(
    shared: Served, bundle: IndexBundle
) -> None:
    query = descriptors_of(bundle, 17)
    plain = shared.search(descriptors=query, top_k=40, keep=2)
    least = plain.initial_results[4].similarity
    response = shared.search(descriptors=query, top_k=40, keep=2, min_similarity=least)
    assert list(response.initial_results) == list(plain.initial_results[:5])
    assert {match.product_id for match in response.results} == {
        match.product_id for match in plain.initial_results[:5]
    }
    parameters = SearchParameters(top_k=40, keep=2, min_similarity=least)
    by_row = tuple(database[17] for database in bundle.descriptors)
    expected = Retriever(bundle, NoEngine()).search(by_row, parameters)
    assert [(match.product_id, match.similarity) for match in response.results] == [
        (bundle.product_id(match.row), match.similarity) for match in expected.matches
    ]
    assert response.subset_size == expected.subset_size


def test_least_similarity_that_no_product_has_finds_nothing(shared: Served) -> None:
    response = shared.search(image=photo(1), min_similarity=1e9)
    assert (list(response.results), list(response.initial_results)) == ([], [])
    assert response.subset_size == 0


def test_least_similarity_of_zero_is_a_bound(shared: Served) -> None:
    bounded = shared.search(image=photo(1), min_similarity=0.0, top_k=40)
    assert without_times(bounded) == without_times(shared.search(image=photo(1), top_k=40))
    assert list(shared.search(words="nuxe", min_similarity=2.5).results) == []


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (
            {"exclude_ids": ["p0000"] * 1001},
            "exclude_ids: has 1,001 ids; at most 1,000 are accepted.",
        ),
        ({"min_similarity": float("nan")}, "min_similarity: must be a finite number, got nan."),
        ({"min_similarity": float("inf")}, "min_similarity: must be a finite number, got inf."),
    ],
)
def test_unusable_part_names_the_field(
    shared: Served, query: dict[str, object], message: str
) -> None:
    for kind in ({"image": photo(1)}, {"product_id": "p0000"}, {"words": "nuxe"}):
        error = shared.refused(**kind, **query)
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert error.details() == message


def test_as_many_excluded_ids_as_the_status_says_are_accepted(shared: Served) -> None:
    limits = shared.stub.GetStatus(pb.GetStatusRequest()).limits
    ids = ["p0000"] * limits.max_exclude_ids
    assert len(shared.search(image=photo(1), exclude_ids=ids, top_k=40).results) == 39


def test_client_searches_a_part(shared: Served) -> None:
    with RetrievalClient(shared.address) as client:
        first, second, *_ = client.search(photo(1)).results
        found = client.search(photo(1), exclude_ids=[first.product_id]).results
        assert found[0].product_id == second.product_id
        similar = client.similar("p0000", min_similarity=1e9)
        assert similar.results == ()
        with pytest.raises(TypeError, match=r"exclude_ids takes several ids. Write \['p0000'\]"):
            client.search(photo(1), exclude_ids="p0000")
        with pytest.raises(TypeError, match=r"where takes a filter, such as .*, not 'price < 30'"):
            client.search(photo(1), where="price < 30")
