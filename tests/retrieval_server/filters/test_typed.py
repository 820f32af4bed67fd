"""Conditions as they are typed mean here what they mean to a server that the client asks."""

import pytest

from client.filters import filter_of_texts
from retrieval_server.filters.expression import AllOf
from retrieval_server.filters.typed import ALL_PRODUCTS, TypedFilter
from retrieval_server.serving.calls.filter_messages import filter_of
from retrieval_server.v1 import retrieval_pb2 as pb

OTHER = "in_stock = true"


@pytest.mark.parametrize(
    "text",
    [
        "brand = Nuxe",
        "brand != 'L''Oréal'",
        "size = 30",
        "size = '30'",
        "in_stock != TRUE",
        "price < 30",
        "price <= 12.50",
        "price > 1e3",
        "price >= -1",
        "shade in (Ruby, 'Amber, dark', 7, false)",
        "shade not in (Ruby)",
        "'skin type' is missing",
        "'skin type' is not missing",
    ],
)
def test_a_typed_condition_is_the_filter_that_the_client_sends(text):
    sent = filter_of_texts([text, OTHER])
    assert sent is not None

    assert TypedFilter.of_texts([text, OTHER]).filter == filter_of(
        pb.SearchRequest(filter=sent.message)
    )


def test_no_condition_is_no_filter_and_a_condition_given_twice_counts_once():
    assert TypedFilter.of_texts([]) == ALL_PRODUCTS
    assert ALL_PRODUCTS.filter is None
    once = TypedFilter.of_texts([OTHER]).filter
    assert isinstance(once, AllOf)
    assert TypedFilter.of_texts([OTHER, OTHER]).filter == once
