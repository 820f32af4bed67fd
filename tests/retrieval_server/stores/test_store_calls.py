"""A server of a store answers as the server of the index that was loaded into it."""

import grpc
import pytest
from google.protobuf.json_format import MessageToDict

from retrieval_server.stores import store_search
from retrieval_server.v1 import retrieval_pb2 as pb
from tests.support.patience import PATIENCE_S
from tests.support.served import Served, ServedBy


@pytest.fixture(scope="module")
def both(served_by: ServedBy, index, address):
    """A server of the index in files, and one of the index in a store."""
    with served_by(index=index) as files, served_by(index=None, store=address.text) as store:
        yield files, store


def answer(server: Served, **fields: object) -> dict[str, object]:
    """What a server answers, but for what differs with each request."""
    found = MessageToDict(server.search(**fields))
    for name in ("timings", "requestId", "proof"):
        found.pop(name, None)
    return found


PRICE = pb.Filter(range=pb.Range(column="price", at_least=6, below=8.5))
REQUESTS = {
    "product": {"product_id": "p0301"},
    "longer": {"product_id": "p0000", "top_k": 40, "keep": 9},
    "unrefined": {"product_id": "p0702", "refine": False},
    "alpha": {"product_id": "p0103", "alpha": {"tiny_a": 0.0, "tiny_b": 30.0}},
    "no alpha": {"product_id": "p0103", "alpha": {"tiny_a": 0.0, "tiny_b": 0.0}},
    "filter": {"product_id": "p0203", "filter": PRICE},
    "excluded": {"product_id": "p0203", "exclude_ids": ["p0200", "p0201", "nobody's", ""]},
    "both": {"product_id": "p0203", "filter": PRICE, "exclude_ids": ["p0202"], "top_k": 20},
    "brands": {"product_id": "p0203", "group_by": "brand", "top_k": 40, "keep": 2},
    "prices": {"product_id": "p0203", "group_by": "price", "filter": PRICE, "keep": 1},
    "groups alone": {
        "product_id": "p0203",
        "group_by": "brand",
        "exclude_ids": ["p0202"],
        "alpha": {"tiny_a": 0.0, "tiny_b": 0.0},
    },
    "words": {"product_id": "p0301", "words": "ruby lipstick", "keep": 1},
    "heavy words": {"product_id": "p0301", "words": "violet", "text_weight": 100.0},
    "words alone": {"words": "ruby", "filter": PRICE, "top_k": 20},
    "grouped words": {"words": "nuxe ruby violet", "group_by": "brand"},
    "words and no alpha": {
        "product_id": "p0103",
        "words": "ruby",
        "alpha": {"tiny_a": 0.0, "tiny_b": 0.0},
        "exclude_ids": ["p0200"],
    },
    "similarity": {"product_id": "p0203", "min_similarity": 7.0},
    "nothing": {
        "product_id": "p0203",
        "filter": pb.Filter(equals=pb.Equals(column="brand", value=pb.Value(text="nobody"))),
    },
}


@pytest.mark.parametrize("fields", REQUESTS.values(), ids=REQUESTS)
def test_both_servers_answer_the_same(both, fields):
    files, store = both
    assert answer(store, **fields) == answer(files, **fields)


def test_a_photo_is_answered_the_same(both, tiny_catalogue):
    files, store = both
    for photo in sorted((tiny_catalogue / "queries").iterdir())[:3]:
        image = photo.read_bytes()
        found = answer(store, image=image)
        assert found == answer(files, image=image)
        assert found["inCatalogueProbability"] > 0  # the verdict


def test_an_answer_says_what_is_proved(both):
    files, store = both
    proof = store.search(product_id="p0301").proof
    assert proof.guarantee == pb.GUARANTEE_EXACT
    assert 7 <= proof.candidate_count <= 40
    assert not files.search(product_id="p0301").HasField("proof")


def test_an_answer_in_time_says_that_there_was_no_time_to_prove_it(both, monkeypatch):
    """The second list would take longer than any caller with a deadline waits."""
    monkeypatch.setattr(store_search, "SHORTEST_LIST", 1)
    monkeypatch.setattr(store_search, "GROWTH", 10**12)
    fields = {"product_id": "p0301", "top_k": 1, "words": "violet"}
    assert both[1].search(timeout_s=None, **fields).proof.guarantee == pb.GUARANTEE_EXACT
    in_time = both[1].search(timeout_s=PATIENCE_S, **fields)
    assert in_time.proof.guarantee == pb.GUARANTEE_NONE
    assert "there was no time for more" in in_time.proof.reason
    assert any("there was no time for more" in warning for warning in in_time.warnings)
    assert len(in_time.results) == 1


REFUSED = {
    "groups": ({"product_id": "p0301", "group_by": "size"}, "group_by: there is no column 'size'"),
    "read": (
        {"image": b"x", "read_words": True},
        "read_words: this server has no reader. Build",
    ),
    "column": (
        {
            "product_id": "p0301",
            "filter": pb.Filter(is_missing=pb.IsMissing(column="colour")),
        },
        "filter: there is no column 'colour'",
    ),
    "kind": (
        {
            "product_id": "p0301",
            "filter": pb.Filter(equals=pb.Equals(column="price", value=pb.Value(text="x"))),
        },
        "filter: column 'price' holds numbers",
    ),
}


@pytest.mark.parametrize(("fields", "message"), REFUSED.values(), ids=REFUSED)
def test_what_a_store_cannot_answer_is_refused_by_name(both, fields, message):
    error = both[1].refused(**fields)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.details().startswith(message)


def test_products_and_status_are_the_same(both, bundle):
    ids = ["p0301", "nobody's", "p0000", "p0301"]
    products = [
        MessageToDict(server.stub.GetProducts(pb.GetProductsRequest(product_ids=ids)))
        for server in both
    ]
    for found in products:
        found.pop("requestId")
    assert products[0] == products[1]
    of_files, of_store = (server.stub.GetStatus(pb.GetStatusRequest()) for server in both)
    assert of_store.index_version == of_files.index_version == bundle.version
    assert of_store.columns == of_files.columns
    assert of_store.models == of_files.models
    assert of_store.example == of_files.example
    assert [level.name for level in of_store.search_levels] == ["store"]
    assert of_store.word_index == of_files.word_index
