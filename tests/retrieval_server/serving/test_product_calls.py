"""Products by their ids: all that the catalogue says of them, and which ids it does not have."""

import logging

import grpc
import pytest

from client import InvalidQueryError, OverloadedError, RetrievalClient
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.serving.calls.products import MAX_PRODUCT_IDS
from retrieval_server.v1 import retrieval_pb2 as pb
from tests.support.search_calls import photo, trailing
from tests.support.served import PATIENCE_S, Served, ServedBy


def test_every_product_of_the_index_is_found_by_its_id(shared: Served, bundle: IndexBundle) -> None:
    expected = [bundle.product(row) for row in reversed(range(len(bundle)))]
    with RetrievalClient(shared.address) as client:
        found = client.products(product.product_id for product in expected)
        (limit,) = {client.status().limits.max_product_ids}
    assert [vars(product) for product in found.products] == [vars(each) for each in expected]
    assert (found.missing_ids, found.index_version) == ((), bundle.version)
    assert limit == MAX_PRODUCT_IDS


def test_ids_that_are_not_in_the_index_are_named_in_their_order(shared: Served) -> None:
    ids = ["none", "p0001", "", "p0000", "p0001", "商品", "none", "P0000"]
    with RetrievalClient(shared.address) as client:
        found = client.products(ids)
    assert [product.product_id for product in found.products] == ["p0001", "p0000"]
    assert found.missing_ids == ("none", "", "商品", "P0000")


@pytest.mark.parametrize(
    ("ids", "problem"),
    [
        ([], "product_ids: is empty. Give at least one id"),
        (["p0000"] * (MAX_PRODUCT_IDS + 1), "product_ids: has 1,001 ids; at most 1,000"),
    ],
)
def test_no_id_and_too_many_are_invalid_argument(
    shared: Served, ids: list[str], problem: str
) -> None:
    with RetrievalClient(shared.address) as client, pytest.raises(InvalidQueryError) as caught:
        client.products(ids)
    assert problem in str(caught.value)


def test_as_many_ids_as_the_limit_says_are_answered(shared: Served) -> None:
    ids = [f"x{number}" for number in range(MAX_PRODUCT_IDS)]
    with RetrievalClient(shared.address) as client:
        assert client.products(ids).missing_ids == tuple(ids)


def test_the_log_and_the_trailing_metadata_name_the_request(
    shared: Served, caplog: pytest.LogCaptureFixture
) -> None:
    request = pb.GetProductsRequest(product_ids=["p0000", "none"])
    with caplog.at_level(logging.INFO, "retrieval_server.serving.calls.request_log"):
        response, call = shared.stub.GetProducts.with_call(request, timeout=PATIENCE_S)
    assert trailing(call)["request-id"] == response.request_id
    (line,) = [each.getMessage() for each in caplog.records if response.request_id in each.message]
    assert '"products": 1, "missing": 1' in line


def test_a_server_that_is_full_refuses_products_and_says_when_to_try_again(
    served_by: ServedBy,
) -> None:
    with served_by(max_concurrent_requests=1) as served, RetrievalClient(served.address) as client:
        served.hold()
        search = served.stub.Search.future(pb.SearchRequest(image=photo()), timeout=PATIENCE_S)
        assert served.engine.arrived.acquire(timeout=PATIENCE_S)
        with pytest.raises(OverloadedError) as caught:
            client.products(["p0000"])
        assert caught.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert caught.value.retry_after_s > 0
        served.release()
        search.result()
        assert client.products(["p0000"]).products
