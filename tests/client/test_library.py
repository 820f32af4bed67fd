"""The Python client against a real gRPC server that records what it is asked."""

import dataclasses
import shlex
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

import client as client_room
from client import ColumnKind, InvalidQueryError, RetrievalClient, RetrievalError, Stage
from client.decoding import decoded
from retrieval_server.v1 import retrieval_pb2 as pb
from tests.support.beauty_search import beauty_search, json_lines
from tests.support.patience import PATIENCE_S
from tests.support.recording_servicer import INITIAL_IDS, MODELS, Servicer, started

SHARED_NAMES = [
    "CalibratedKind",
    "Calibration",
    "CatalogueColumn",
    "Example",
    "Limits",
    "Match",
    "MatchedWord",
    "Model",
    "Quality",
    "Product",
    "SearchLevel",
    "TextEvidence",
    "TextIndex",
    "Timings",
    "WordsEvidence",
]


def test_every_search_parameter_arrives_at_the_server(servicer, address, photo):
    with RetrievalClient(address) as client:
        alpha = {MODELS[0]: 2.5}
        client.search(
            photo, words="nuxe", text_weight=0.0, top_k=5, keep=2, refine=False, alpha=alpha
        )
    (request,) = servicer.requests
    assert (request.image, request.top_k, request.keep) == (b"photo", 5, 2)
    assert (request.words, request.HasField("text_weight")) == ("nuxe", True)
    assert request.HasField("refine")
    assert not request.refine
    assert dict(request.alpha) == {MODELS[0]: 2.5}


def test_further_images_arrive_beside_the_first(servicer, address, photo):
    with RetrievalClient(address) as client:
        client.search(b"first", more_images=[photo, b"third"])
    (request,) = servicer.requests
    assert (request.image, list(request.more_images)) == (b"first", [b"photo", b"third"])


def test_parameters_left_out_take_the_servers_defaults(servicer, address):
    with RetrievalClient(address) as client:
        client.search(b"photo")
        client.similar("1001")
    by_image, by_product = servicer.requests
    assert by_image == pb.SearchRequest(image=b"photo", refine=True)
    assert by_product == pb.SearchRequest(product_id="1001", refine=True)


def test_a_result_holds_plain_values_with_their_provenance(servicer, address):
    servicer.warnings = ["random weights"]
    with RetrievalClient(address) as client:
        result = client.search(b"photo")
    assert [m.product_id for m in result.results] == ["1001", "1002", "2001", "1003"]
    assert [m.product_id for m in result.initial_results] == list(INITIAL_IDS)
    first, _, refined, filled = result.results
    assert (first.stage, first.text) == (Stage.INITIAL, None)
    assert (first.similarity, first.cosines) == (5.5, {MODELS[0]: 0.91, MODELS[1]: -0.25})
    assert (first.image, first.attributes) == ("images/1001.jpg", {"brand": "Example"})
    assert refined.stage is Stage.REFINED
    assert refined.text == client_room.TextEvidence("1001", 1, 0.834)
    assert filled.stage is Stage.FILLED
    assert (result.timings.encode_us, result.timings.total_us) == (30_000, 45_000)
    assert (result.index_version, result.request_id) == ("2026-11-23", "r-1")
    assert (result.subset_size, result.warnings) == (1, ("random weights",))
    assert result.models[0].dimension == 1920


def test_groups_arrive_with_the_number_of_their_images(servicer, address):
    with RetrievalClient(address) as client:
        for found in (
            client.search(b"photo", group_by="product"),
            client.search(words="nuxe", group_by="product"),
            client.similar("1001", group_by="product"),
        ):
            assert [m.group_size for m in found.results[:2]] == [1_000, 2_000]
        assert {m.group_size for m in client.search(b"photo").results} == {None}
    assert [request.group_by for request in servicer.requests] == [*["product"] * 3, ""]


def test_a_server_that_is_older_than_groups_is_an_error_not_another_answer(servicer, address):
    servicer.groups = False
    with RetrievalClient(address) as client:
        for search in (
            lambda: client.search(b"photo", group_by="product"),
            lambda: client.similar("1001", group_by="product"),
        ):
            with pytest.raises(RetrievalError, match="is older than group_by and has ignored it"):
                search()


def test_status_holds_index_models_and_text_index(address):
    with RetrievalClient(address) as client:
        status = client.status()
    assert (status.profile, status.product_count, status.engine) == ("paper", 500_000, "embedded")
    assert [model.name for model in status.models] == list(MODELS)
    assert status.text_index == client_room.TextIndex(400_000, 9_000_000, 0.5)
    assert (status.default_top_k, status.default_keep) == (7, 3)
    assert status.limits == client_room.Limits(
        20 * 2**20,
        21 * 2**20,
        100,
        1e6,
        64,
        2**26,
        10_000,
        100.0,
        8,
        1_000,
        1_000,
        16,
        100,
        1_000,
        1_000,
        32,
        16,
        65_535,
        21 * 2**26,
        2**14,
        1_000,
        32,
        1_000,
        100_000,
        10_000,
    )
    assert status.search_levels == (
        client_room.SearchLevel("coarse", 66_000_000, True),
        client_room.SearchLevel("originals", 7_900_000_000, False),
    )
    assert status.word_index == client_room.WordIndex(
        ("brand", "category"), 499_000, "ppocr", "cd" * 32, 321_000
    )
    assert status.columns == (
        client_room.CatalogueColumn("brand", ColumnKind.TEXT, 1_234, 5_678, ()),
        client_room.CatalogueColumn("price", ColumnKind.NUMBER, 99, 0, ()),
    )


def test_products_are_looked_up_by_their_ids(servicer, address):
    with RetrievalClient(address) as client:
        found = client.products(each for each in ("1002", "none", "1001"))
    assert servicer.ids_asked_for == [["1002", "none", "1001"]]
    assert [product.product_id for product in found.products] == ["1002", "1001"]
    assert found.products[0].image == "images/1002.jpg"
    assert found.products[0].attributes == {"brand": "Example", "price": "12.50"}
    assert (found.missing_ids, found.index_version) == (("none",), "2026-11-23")


@pytest.mark.parametrize(
    ("ids", "problem"),
    [
        ("1001", r"list of ids, such as \['1001'\]"),
        (["\udcff"], "not valid UTF-8"),
        (["1001", 1002], "1002 is no text. Give a text, such as '1002'"),
    ],
)
def test_what_is_no_list_of_ids_is_refused_before_it_is_sent(servicer, address, ids, problem):
    with RetrievalClient(address) as client, pytest.raises(InvalidQueryError, match=problem):
        client.products(ids)
    assert servicer.ids_asked_for == []


def test_a_server_that_is_too_old_to_report_its_limits_is_still_understood(servicer, address):
    servicer.limits = None
    with RetrievalClient(address) as client:
        assert client.status().limits is None
    assert "not reported by this server" in beauty_search("status", "-s", address).stdout


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (client_room.SearchResult, pb.SearchResponse),
        (client_room.ServerStatus, pb.GetStatusResponse),
        (client_room.FoundProducts, pb.GetProductsResponse),
        *((getattr(client_room, name), getattr(pb, name)) for name in SHARED_NAMES),
    ],
)
def test_a_result_has_the_fields_of_its_message(cls, message):
    names = {field.name for field in dataclasses.fields(cls)}
    assert names == {field.name for field in message.DESCRIPTOR.fields}
    decoded(cls, message())


def test_a_stage_or_kind_of_a_newer_server_is_unknown_rather_than_an_error():
    message = pb.Match(product_id="1001", stage=99)
    assert decoded(client_room.Match, message).stage is Stage.UNKNOWN
    column = pb.CatalogueColumn(name="colour", kind=99)
    assert decoded(client_room.CatalogueColumn, column).kind is ColumnKind.UNKNOWN


def test_one_client_serves_many_threads(servicer, address):
    with RetrievalClient(address) as client, ThreadPoolExecutor(8) as threads:
        results = list(threads.map(client.search, [b"photo"] * 32))
    assert all(len(result.results) == 4 for result in results)
    assert len(servicer.requests) == 32


def test_servers_behind_one_name_take_turns():
    servicers = [Servicer(), Servicer()]
    servers, addresses = zip(*map(started, servicers), strict=True)
    ports = [address.rpartition(":")[2] for address in addresses]
    deadline = time.monotonic() + PATIENCE_S
    with RetrievalClient(f"ipv4:{','.join(f'127.0.0.1:{port}' for port in ports)}") as client:
        while not all(each.requests for each in servicers):  # the second connects in its time
            client.search(b"photo")
            assert time.monotonic() < deadline
        before = [len(each.requests) for each in servicers]
        for _ in range(8):
            client.search(b"photo")
    assert [len(each.requests) - old for each, old in zip(servicers, before, strict=True)] == [4, 4]
    for server in servers:
        server.stop(grace=None).wait()


@pytest.mark.parametrize("status", ["UNAVAILABLE", "CANCELLED"])
def test_what_a_server_going_away_refuses_is_retried_even_for_a_large_image(
    servicer, address, status
):
    servicer.refusals = [(grpc.StatusCode[status], "going away")]
    image = bytes(20 * 1024 * 1024)
    with RetrievalClient(address) as client:
        client.search(image)
    assert [len(request.image) for request in servicer.requests] == [len(image)] * 2


def test_a_call_that_its_caller_cancels_is_not_tried_again(servicer, address):
    with RetrievalClient(address) as client, ThreadPoolExecutor(1) as threads:
        call = threads.submit(client.search, b"held")
        while not servicer.requests:
            time.sleep(0.01)
        client.close()
        with pytest.raises(client_room.RetrievalError):
            call.result(PATIENCE_S)
    assert len(servicer.requests) == 1


@pytest.mark.parametrize(
    ("code", "kind", "line"),
    [
        ("NOT_FOUND", "ProductNotFoundError", "Not found on {}: why. Take a product id"),
        ("INVALID_ARGUMENT", "InvalidQueryError", "Server {} refused the query: why."),
        ("RESOURCE_EXHAUSTED", "OverloadedError", "Too much for server {}: why. Send fewer"),
        ("UNIMPLEMENTED", "RetrievalError", "Server {} does not speak retrieval_server.v1: why"),
        ("INTERNAL", "RetrievalError", "Server {} failed with INTERNAL: why. The server's log"),
    ],
)
def test_each_status_becomes_its_error_with_one_line(servicer, address, code, kind, line):
    status = grpc.StatusCode[code]
    servicer.refusals = [(status, "why.")]
    with (
        RetrievalClient(address) as client,
        pytest.raises(client_room.RetrievalError, match="why") as caught,
    ):
        client.search(b"photo")
    assert type(caught.value).__name__ == kind
    assert caught.value.code is status
    assert str(caught.value).startswith(line.format(address))
    assert "\n" not in str(caught.value)


def test_a_search_of_a_busy_server_is_tried_again_when_the_server_says(servicer, address):
    busy = (grpc.StatusCode.RESOURCE_EXHAUSTED, "The server is busy.")
    servicer.trailing_metadata = (("grpc-retry-pushback-ms", "10"),)
    servicer.refusals = [busy, busy]
    with RetrievalClient(address) as client:
        assert client.search(b"photo", busy_wait_s=PATIENCE_S).results
        assert len(servicer.requests) == 3
        servicer.refusals = [busy]
        with pytest.raises(client_room.OverloadedError) as caught:
            client.search(b"photo")
        assert caught.value.retry_after_s == 0.01
        servicer.trailing_metadata = (("grpc-retry-pushback-ms", "60000"),)
        servicer.refusals = [busy]
        with pytest.raises(client_room.OverloadedError):
            client.search(b"photo", busy_wait_s=59.0)


def test_a_late_answer_is_an_error_that_names_the_time_limit(address):
    with (
        RetrievalClient(address, timeout_s=0.2) as client,
        pytest.raises(client_room.DeadlineExceededError, match=r"within 0\.2 s") as caught,
    ):
        client.search(b"held")
    assert caught.value.code is grpc.StatusCode.DEADLINE_EXCEEDED


def test_unreadable_files_are_refused_before_anything_is_sent(servicer, address, tmp_path):
    empty = tmp_path / "empty.jpg"
    empty.touch()
    cases = {tmp_path / "no.jpg": "No such file", tmp_path: "is a folder", empty: "is empty"}
    with RetrievalClient(address) as client:
        for path, reason in cases.items():
            with pytest.raises(client_room.UnreadableFileError, match=reason) as caught:
                client.search(path)
            assert str(path) in str(caught.value)
            assert caught.value.code is None
        with pytest.raises(client_room.UnreadableFileError, match="empty"):
            client.search(b"")
    assert servicer.requests == []


@pytest.mark.parametrize("name", ["top_k", "keep"])
def test_zero_results_are_refused_rather_than_read_as_the_default(address, name):
    with RetrievalClient(address) as client, pytest.raises(ValueError, match=f"{name} must be"):
        client.search(b"photo", **{name: 0})


def test_a_count_that_the_protocol_cannot_carry_is_one_line_and_exit_1(servicer, address):
    result = beauty_search("similar", "1001", "--top-k", 2**32, "-s", address)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: top_k of 4294967296 is more than any server takes")
    assert servicer.requests == []


def test_a_proxy_is_not_asked_for_a_server_on_this_machine(address, closed_address, monkeypatch):
    monkeypatch.setenv("http_proxy", f"http://{closed_address}")
    with RetrievalClient(address) as client:
        assert client.status().profile == "paper"


def test_waiting_lasts_until_the_server_is_ready(servicer, address):
    # Five refusals: one more than gRPC itself retries.
    servicer.refusals = [(grpc.StatusCode.UNAVAILABLE, "loading the index")] * 5
    with RetrievalClient(address) as client:
        assert client.wait_until_ready(PATIENCE_S).profile == "paper"
    assert servicer.refusals == []


def test_waiting_in_vain_says_why_the_server_was_not_ready(servicer, address):
    servicer.refusals = [(grpc.StatusCode.UNAVAILABLE, "loading the index")] * 100
    with (
        RetrievalClient(address) as client,
        pytest.raises(client_room.UnavailableError, match="cannot answer now: loading") as caught,
    ):
        client.wait_until_ready(1.0)  # gRPC's own retries take up to 0.84 s of it
    assert caught.value.code is grpc.StatusCode.UNAVAILABLE


def test_tls_is_spoken_when_an_authority_is_given(servicer, tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl command to make a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    request = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1"
    request += " -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    command = [*shlex.split(request), "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    pair = (key.read_bytes(), certificate.read_bytes())
    server, address = started(servicer, grpc.ssl_server_credentials([pair]))
    result = beauty_search("status", "--server", address, "--tls-ca", certificate, "--json")
    server.stop(grace=None).wait()
    assert json_lines(result.stdout)[0]["profile"] == "paper"


def test_every_name_of_the_library_is_there_and_no_other():
    assert all(hasattr(client_room, name) for name in client_room.__all__)
    assert not hasattr(client_room, "typer")
