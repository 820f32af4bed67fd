"""The page's calls, against a real gRPC server that records them: searches and errors."""

import socket

import grpc
import pytest
from starlette.testclient import TestClient

from client import Column, RetrievalClient
from client.server_status import PRODUCT_COLUMN
from client.web.app import web_app
from retrieval_server.attributes import names as server
from retrieval_server.v1 import retrieval_pb2 as pb
from tests.support.recording_servicer import INITIAL_IDS, LIMITS, MODELS
from tests.support.web_api import HERE

# Searching


def test_several_images_of_one_thing_arrive_as_one_search(page, servicer):
    answer = page.post("/api/search", params={"sizes": "5,3,4"}, content=b"firsttwolast")
    assert answer.status_code == 200
    (request,) = servicer.requests
    assert (request.image, list(request.more_images)) == (b"first", [b"two", b"last"])


@pytest.mark.parametrize("sizes", ["", "5,", "5,3", "a,b", "-5,17", "1,1,1,1,1,1,1,1,4"])
def test_sizes_that_are_not_those_of_the_body_are_refused(page, servicer, sizes):
    answer = page.post("/api/search", params={"sizes": sizes}, content=b"firsttwolast")
    assert (answer.status_code, answer.json()["kind"]) == (400, "invalid")
    assert not servicer.requests


def test_every_setting_of_a_photo_s_search_arrives_at_the_server(page, servicer):
    settings = {"top_k": 5, "keep": 2, "refine": "false", f"alpha.{MODELS[0]}": "2.75"}
    answer = page.post("/api/search", params=settings, content=b"photo")
    assert answer.status_code == 200
    (request,) = servicer.requests
    assert (request.image, request.top_k, request.keep) == (b"photo", 5, 2)
    assert not request.refine
    assert dict(request.alpha) == {MODELS[0]: 2.75}


def test_settings_left_out_are_the_server_s(page, servicer):
    page.post("/api/search", content=b"photo")
    page.get("/api/similar", params={"product_id": "1 & 2"})
    by_image, by_product = servicer.requests
    assert (by_image.top_k, by_image.keep, by_image.refine, dict(by_image.alpha)) == (
        0,
        0,
        True,
        {},
    )
    assert (by_product.product_id, by_product.refine) == ("1 & 2", True)


def test_words_go_with_a_photo_and_a_product_and_alone(page, servicer):
    words = {"words": "nuxe & oil", "text_weight": "2.5"}
    page.post("/api/search", params=words, content=b"photo")
    page.get("/api/similar", params=words | {"product_id": "1"})
    answer = page.get("/api/words", params=words)
    assert [request.WhichOneof("query") for request in servicer.requests] == [
        "image",
        "product_id",
        None,
    ]
    assert {(each.words, each.text_weight) for each in servicer.requests} == {("nuxe & oil", 2.5)}
    assert answer.json()["results"][0]["words"]["cosine"] == 0.75


def test_conditions_go_with_a_photo_and_a_product_and_words(page, servicer):
    where = {"where": ["'brand' = 'L''Oréal'", "'price' >= 3e+1"]}
    page.post("/api/search", params=where, content=b"photo")
    page.get("/api/similar", params=where | {"product_id": "1"})
    page.get("/api/words", params=where | {"words": "nuxe"})
    page.post("/api/search", content=b"photo")
    wanted = (Column("brand") == "L'Oréal") & (Column("price") >= 30)
    *with_filter, without = servicer.requests
    assert [request.filter for request in with_filter] == [wanted.message] * 3
    assert not without.HasField("filter")


def test_a_column_to_group_by_goes_with_a_photo_and_a_product_and_words(page, servicer):
    grouped = {"group_by": "skin 'type'"}
    photo = page.post("/api/search", params=grouped, content=b"photo")
    page.get("/api/similar", params=grouped | {"product_id": "1"})
    page.get("/api/words", params=grouped | {"words": "nuxe"})
    assert [request.group_by for request in servicer.requests] == ["skin 'type'"] * 3
    assert [match["group_size"] for match in photo.json()["results"]] == [1000, 2000, 3000, 4000]


def test_status_names_the_columns_in_which_images_share_values_that_of_products_first(
    page, servicer
):
    few = {"kind": pb.COLUMN_KIND_TEXT, "distinct_count": 2}
    servicer.further_columns = [  # of 500,000 products; after brands and prices
        pb.CatalogueColumn(name="unique", kind=pb.COLUMN_KIND_TEXT, distinct_count=500_000),
        pb.CatalogueColumn(name="product", kind=pb.COLUMN_KIND_TEXT, distinct_count=120_000),
        pb.CatalogueColumn(name="missing", **few, missing_count=499_998),
        pb.CatalogueColumn(name="one", kind=pb.COLUMN_KIND_TRUTH, distinct_count=1),
        pb.CatalogueColumn(name="", **few),
        pb.CatalogueColumn(name="often missing", **few, missing_count=499_000),
    ]
    assert page.get("/api/status").json()["group_columns"] == [
        "product",
        "brand",
        "price",
        "often missing",
    ]
    assert PRODUCT_COLUMN == server.PRODUCT_COLUMN


@pytest.mark.parametrize("limits", [None, pb.Limits(max_image_bytes=2**20, max_filter_depth=16)])
def test_status_names_none_where_the_server_ignores_groups(page, servicer, limits):
    servicer.limits = limits
    assert page.get("/api/status").json()["group_columns"] == []


def test_status_names_up_to_four_columns_that_a_person_can_choose_from(page, servicer):
    few = {"kind": pb.COLUMN_KIND_TEXT, "distinct_count": 2, "values": ["a", "b"]}
    servicer.further_columns = [  # after many brands, and prices
        pb.CatalogueColumn(name="one", kind=pb.COLUMN_KIND_NUMBER, distinct_count=1),
        pb.CatalogueColumn(name="new kind", kind=99, distinct_count=2),
        pb.CatalogueColumn(name="few", **few),
        pb.CatalogueColumn(
            name="sold", kind=pb.COLUMN_KIND_TRUTH, distinct_count=1, missing_count=3
        ),
        *(pb.CatalogueColumn(name=f"further {number}", **few) for number in range(3)),
    ]
    assert page.get("/api/status").json()["columns"] == [
        {"name": "price", "kind": "number", "values": []},
        {"name": "few", "kind": "text", "values": ["a", "b"]},
        {"name": "sold", "kind": "truth", "values": ["true", "false"]},
        {"name": "further 0", "kind": "text", "values": ["a", "b"]},
    ]


def test_an_answer_holds_both_rankings_with_scores_and_evidence(page):
    answer = page.post("/api/search", content=b"photo").json()
    assert [match["product_id"] for match in answer["initial_results"]] == list(INITIAL_IDS)
    refined = answer["results"][2]
    assert refined["stage"] == "refined"
    assert refined["text"] == {"seed_product_id": "1001", "seed_rank": 1, "cosine": 0.834}
    assert refined["cosines"] == {MODELS[0]: 0.91, MODELS[1]: -0.25}


def test_status_names_the_sliders_and_their_defaults(page, servicer):
    servicer.warnings = ["random weights"]
    answer = page.get("/api/status").json()
    assert answer["models"] == [{"name": name, "alpha": 3.0} for name in MODELS]
    assert (answer["default_top_k"], answer["default_keep"]) == (7, 3)
    assert answer["warnings"] == ["random weights"]
    assert (answer["has_words"], answer["default_text_weight"]) == (True, 1.0)
    assert answer["has_pictures"] is True


@pytest.mark.parametrize(
    "settings",
    [
        {"keep": "0"},
        {"keep": "101"},
        {"top_k": "5000000000"},
        {"top_k": "two"},
        {"top_k": "²"},
        {"refine": "yes"},
        {"alpha.a": "x"},
        {"alpha.a": "nan"},
        {"alpha.a": "inf"},
        {"text_weight": "strong"},
        {"words": "a" * 10_001},
        {"where": "price <"},
        {"group_by": ""},
    ],
)
def test_a_setting_that_no_slider_produces_is_refused_by_name(page, servicer, settings):
    answer = page.post("/api/search", params=settings, content=b"photo")
    assert answer.status_code == 400
    assert next(iter(settings)) in answer.json()["details"]
    assert servicer.requests == []


# What goes wrong


@pytest.mark.parametrize(
    ("code", "details", "status", "kind", "title"),
    [
        ("UNAVAILABLE", "engine away", 503, "unavailable", "The search server does not answer."),
        ("NOT_FOUND", "product_id: …", 404, "gone", "not in the index any more"),
        ("INVALID_ARGUMENT", "image: is damaged", 422, "image", "This photo cannot be read."),
        ("INVALID_ARGUMENT", "alpha: too large", 422, "invalid", "cannot use this query"),
        ("RESOURCE_EXHAUSTED", "full", 429, "busy", "too much to do"),
        ("DEADLINE_EXCEEDED", "late", 504, "late", "took too long"),
        ("UNAUTHENTICATED", "no token", 502, "refused", "refused this page"),
        ("INTERNAL", "r-1", 502, "failed", "The search failed."),
        ("UNIMPLEMENTED", "?", 502, "failed", "The search failed."),
    ],
)
def test_each_failure_has_plain_words_and_says_what_to_do(
    page, servicer, code, details, status, kind, title
):
    servicer.refusals = [(grpc.StatusCode[code], details)] * 9  # one for every retry
    answer = page.post("/api/search", content=b"photo")
    problem = answer.json()
    assert (answer.status_code, problem["kind"]) == (status, kind)
    assert title in problem["title"]
    assert problem["advice"].endswith(".")
    assert problem["details"]


def test_a_late_answer_is_said_to_be_late(address):
    with RetrievalClient(address, timeout_s=0.2) as client:
        answer = TestClient(web_app(client), base_url=HERE).post("/api/search", content=b"held")
    assert (answer.status_code, answer.json()["kind"]) == (504, "late")


def test_a_server_that_is_not_there_is_a_problem_and_not_a_fault(catalogue):
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        nobody = f"localhost:{probe.getsockname()[1]}"
    with RetrievalClient(nobody, timeout_s=1) as client:
        answer = TestClient(web_app(client, catalogue), base_url=HERE).get("/api/status")
    assert (answer.status_code, answer.json()["kind"]) == (503, "unavailable")


def test_an_empty_photo_is_refused_before_anything_is_sent(page, servicer):
    answer = page.post("/api/search", content=b"")
    assert (answer.status_code, answer.json()["title"]) == (422, "This file is empty.")
    assert servicer.requests == []


@pytest.mark.parametrize("is_declared", [True, False])
def test_a_photo_above_the_limit_is_refused_before_anything_is_sent(page, servicer, is_declared):
    large = bytes(LIMITS.max_image_bytes + 1)
    parts = (large[start : start + 2**20] for start in range(0, len(large), 2**20))
    answer = page.post("/api/search", content=large if is_declared else parts)
    assert (answer.status_code, answer.json()["title"]) == (413, "This photo is too large.")
    assert servicer.requests == []


def test_a_photo_of_exactly_the_limit_is_searched(page, servicer):
    assert page.post("/api/search", content=bytes(LIMITS.max_image_bytes)).status_code == 200
    assert len(servicer.requests[0].image) == LIMITS.max_image_bytes


def test_the_limits_are_those_of_the_server_at_that_moment(page, servicer):
    servicer.limits = pb.Limits(max_image_bytes=1_000_000, max_top_k=5)
    told = page.get("/api/status").json()
    assert told["max_image_bytes"] == 1_000_000
    assert told["too_large"]["advice"].startswith("At most 1 MB can be sent.")
    answer = page.post("/api/search", content=bytes(1_000_001))
    assert (answer.status_code, answer.json()) == (413, told["too_large"])
    assert page.get("/api/similar?product_id=1&top_k=6").status_code == 400
    assert servicer.requests == []
    servicer.limits = LIMITS
    assert page.post("/api/search?top_k=6", content=bytes(1_000_001)).status_code == 200


def test_a_server_that_does_not_report_its_limits_refuses_for_itself(page, servicer):
    servicer.limits = None
    told = page.get("/api/status").json()
    assert (told["max_image_bytes"], told["too_large"]) == (None, None)
    large = bytes(LIMITS.max_image_bytes + 1)
    assert page.post("/api/search?top_k=101", content=large).status_code == 200
    (request,) = servicer.requests
    assert (len(request.image), request.top_k) == (len(large), 101)


@pytest.mark.parametrize("size", [1_000_000, 1_000_001])
def test_a_real_server_s_largest_image_is_the_page_s(served_by, size):
    with (
        served_by(max_image_bytes=1_000_000) as served,
        RetrievalClient(served.address) as client,
    ):
        page = TestClient(web_app(client), base_url=HERE)
        assert page.get("/api/status").json()["max_image_bytes"] == 1_000_000
        answer = page.post("/api/search", content=bytes(size)).json()
    if size > 1_000_000:
        assert answer["title"] == "This photo is too large."
        assert answer["advice"].startswith("At most 1 MB can be sent.")
    else:
        assert answer["title"] == "This photo cannot be read."  # the server looked into it
