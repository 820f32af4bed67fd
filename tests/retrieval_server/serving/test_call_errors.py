"""Each error of a call has a true status, and the log has a line for each request."""

import gc
import inspect
import json
import logging
from collections.abc import Iterator

import grpc
import pytest
from grpc.aio import AbortError
from PIL.ImageFile import ImageFile

from client import InvalidQueryError, ProductNotFoundError, RetrievalClient, TooLargeError
from retrieval_server import errors
from retrieval_server.errors import EngineUnavailableError
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.serving.calls.answering import OUT_OF_MEMORY, STATUS_OF_ERROR, status_of
from retrieval_server.v1 import retrieval_pb2 as pb
from tests.support.patience import eventually
from tests.support.search_calls import descriptors_of, photo, trailing
from tests.support.served import PATIENCE_S, Served


@pytest.fixture
def puppet(shared: Served) -> Iterator[Served]:
    """The shared server, to hold or to make fail; as it was afterwards."""
    yield shared
    shared.engine.failure = None
    shared.release()


def json_records(caplog: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    return [
        json.loads(record.getMessage())
        for record in caplog.records
        if record.name == "retrieval_server.serving.calls.request_log"
        and record.getMessage().startswith("{")
    ]


@pytest.mark.parametrize(
    ("message", "status"),
    [
        (pb.SearchRequest(image=bytes(90_000)).SerializeToString(), "INVALID_ARGUMENT"),
        (pb.SearchRequest(product_id="nowhere").SerializeToString(), "NOT_FOUND"),
        (b"\xff", "INVALID_ARGUMENT"),
    ],
    ids=["no image", "unknown product", "malformed"],
)
def test_a_request_that_gets_an_error_is_released_without_a_garbage_collection(
    shared: Served, message: bytes, status: str
) -> None:
    """Else large photos that are refused would pile up in the memory of a busy server."""
    search = shared.channel.unary_unary("/retrieval_server.v1.RetrievalService/Search")
    gc.collect()
    gc.disable()
    try:
        for _ in range(5):
            assert search.future(message, timeout=PATIENCE_S).code().name == status
        # gRPC itself holds the state of the last call until the next one comes
        eventually(lambda: sum(type(each) is AbortError for each in gc.get_objects()) <= 1)
    finally:
        gc.enable()


# Errors of the caller


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"image": b""}, "image: is empty"),
        ({"image": b"no image"}, "image: is not an image"),
        ({"image": photo()[:100]}, "image: is damaged"),
        ({"image": photo(), "top_k": 101}, "top_k: must be 1..100, got 101"),
        ({"image": photo(), "keep": 101}, "keep: must be 1..100, got 101"),
        ({"product_id": "p0000", "top_k": 2**32 - 1}, "top_k: must be 1..100"),
        ({"product_id": "p0000", "alpha": {"tiny_c": 1}}, "alpha: there is no model 'tiny_c'"),
        (
            {"product_id": "p0000", "alpha": {"tiny_a": -1}},
            "alpha: tiny_a must be 0..1e+06, got -1",
        ),
        (
            {"product_id": "p0000", "alpha": {"tiny_a": float("nan")}},
            "alpha: tiny_a must be 0..1e+06",
        ),
        ({"descriptors": pb.Descriptors()}, "descriptors: need exactly the models"),
        (
            {"descriptors": pb.Descriptors(by_model={m: pb.Descriptor() for m in ("tiny_a", "x")})},
            "descriptors: need exactly the models",
        ),
        (
            {
                "descriptors": pb.Descriptors(
                    by_model={
                        "tiny_a": pb.Descriptor(values=[1]),
                        "tiny_b": pb.Descriptor(values=[1] + 15 * [0]),
                    }
                )
            },
            "descriptors: tiny_a needs 24 values, got 1",
        ),
    ],
)
def test_unusable_request_is_invalid_argument_naming_the_field(
    shared: Served, fields: dict[str, object], problem: str
) -> None:
    error = shared.refused(**fields)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert problem in error.details()
    assert trailing(error)["request-id"]


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"top_k": 101}, "top_k: must be 1..100, got 101"),
        ({"filter": pb.Filter(is_missing=pb.IsMissing(column="sihze"))}, "filter: there is no"),
    ],
)
def test_unusable_parameter_is_refused_before_the_photo_is_described(
    puppet: Served, fields: dict[str, object], problem: str
) -> None:
    puppet.engine.failure = EngineUnavailableError("down")
    error = puppet.refused(image=photo(), **fields)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.details().startswith(problem)


def test_descriptors_that_are_not_unit_vectors_are_invalid_argument(
    shared: Served, bundle: IndexBundle
) -> None:
    descriptors = descriptors_of(bundle, 0)
    descriptors.by_model["tiny_a"].values[3] += 0.5
    error = shared.refused(descriptors=descriptors)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "tiny_a must have L2 norm 1" in error.details()


def test_image_above_the_limit_is_invalid_argument_with_both_sizes(shared: Served) -> None:
    error = shared.refused(image=bytes(100_001))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "100,001 bytes; at most 100,000" in error.details()


def test_request_far_above_the_limit_is_not_even_read(shared: Served) -> None:
    error = shared.refused(image=bytes(3 * 2**20))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    with (
        RetrievalClient(shared.address) as client,
        pytest.raises(
            TooLargeError, match=r"3,145,\d+ bytes; .* at most 1,148,576: an image"
        ) as caught,
    ):
        client.search(bytes(3 * 2**20))
    assert caught.value.code is error.code()


@pytest.mark.parametrize(
    "method",
    [
        "retrieval_server.v1.RetrievalService/Search",
        "retrieval_server.v1.RetrievalService/SearchStream",
        "retrieval_server.v1.RetrievalService/GetProducts",
        "retrieval_server.v1.RetrievalService/GetStatus",
        "grpc.health.v1.Health/Check",
        "grpc.health.v1.Health/Watch",
        "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    ],
)
def test_what_is_no_message_is_invalid_argument_without_a_traceback(
    shared: Served, caplog: pytest.LogCaptureFixture, method: str
) -> None:
    """On the wire, a unary call is a stream of one message."""
    call = shared.channel.stream_stream(f"/{method}")
    with pytest.raises(grpc.RpcError) as caught:
        list(call(iter([b"\xff\xff\xff"]), timeout=PATIENCE_S))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "not a message of this method" in caught.value.details()
    assert not [record for record in caplog.records if record.exc_info]


def test_unknown_product_is_not_found(shared: Served) -> None:
    error = shared.refused(product_id="p9999")
    assert error.code() is grpc.StatusCode.NOT_FOUND
    assert "'p9999' is not in the index" in error.details()


@pytest.mark.parametrize("fields", [{"product_id": "ü" * 50_000}, {"alpha": {"x" * 50_000: 1}}])
def test_very_long_name_is_quoted_in_part_and_the_status_still_arrives(
    shared: Served, fields: dict[str, object]
) -> None:
    """A status travels in HTTP/2 headers; one that does not fit becomes RESOURCE_EXHAUSTED."""
    error = shared.refused(**({"product_id": "p0000"} | fields))
    assert error.code() in {grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT}
    assert len(error.details()) < 1000


def test_product_id_may_hold_any_character(shared: Served) -> None:
    for product_id in ("", "\0", "a\nb", "😀", "p0000 "):
        assert shared.refused(product_id=product_id).code() is grpc.StatusCode.NOT_FOUND


# Errors of the server


def test_unexpected_error_is_internal_with_a_request_id_and_no_traceback(
    puppet: Served, caplog: pytest.LogCaptureFixture
) -> None:
    puppet.engine.failure = ZeroDivisionError("a detail that is nobody's business")
    with caplog.at_level(logging.INFO):
        error = puppet.refused(image=photo())
    assert error.code() is grpc.StatusCode.INTERNAL
    request_id = trailing(error)["request-id"]
    assert request_id in error.details()
    for word in ("nobody's business", "Traceback", "ZeroDivision", "\n"):
        assert word not in error.details()
    (record,) = (record for record in caplog.records if record.exc_info)
    assert request_id in record.getMessage()
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ZeroDivisionError)


def test_a_lack_of_memory_is_not_the_fault_of_the_caller(
    shared: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(image: ImageFile) -> None:
        raise MemoryError

    monkeypatch.setattr(ImageFile, "load", load)
    error = shared.refused(image=photo())
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert error.details() == OUT_OF_MEMORY
    assert shared.search(product_id="p0000").results


def test_engine_that_cannot_be_reached_is_unavailable(puppet: Served) -> None:
    puppet.engine.failure = EngineUnavailableError("Triton at localhost:8001 does not answer.")
    error = puppet.refused(image=photo())
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert "Triton at localhost:8001" in error.details()
    assert trailing(error)["request-id"]


def test_product_search_needs_no_engine(puppet: Served) -> None:
    puppet.engine.failure = EngineUnavailableError("down")
    assert len(puppet.search(product_id="p0000").results) == 7


def test_every_error_class_has_a_status() -> None:
    kinds = [
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.RetrievalError)
    ]
    assert len(kinds) > 8
    assert set(STATUS_OF_ERROR) <= set(kinds)
    expected = {
        errors.UnknownProductError: grpc.StatusCode.NOT_FOUND,
        errors.ImageError: grpc.StatusCode.INVALID_ARGUMENT,
        errors.QueryError: grpc.StatusCode.INVALID_ARGUMENT,
        errors.EngineUnavailableError: grpc.StatusCode.UNAVAILABLE,
        errors.ChangeLogError: grpc.StatusCode.FAILED_PRECONDITION,
        errors.ChangeWriteError: grpc.StatusCode.UNAVAILABLE,
        errors.NotWriterError: grpc.StatusCode.FAILED_PRECONDITION,
        errors.LateError: grpc.StatusCode.DEADLINE_EXCEEDED,
        errors.EngineDeadlineError: grpc.StatusCode.DEADLINE_EXCEEDED,
        errors.StoreUnavailableError: grpc.StatusCode.UNAVAILABLE,
        errors.OutOfMemoryError: grpc.StatusCode.RESOURCE_EXHAUSTED,
        errors.ModelMismatchError: grpc.StatusCode.UNAVAILABLE,
        errors.ModelRepositoryError: grpc.StatusCode.UNAVAILABLE,
    }
    for kind in kinds:
        error = kind.__new__(kind)
        assert status_of(error) is expected.get(kind, grpc.StatusCode.INTERNAL), kind


def test_each_request_leaves_one_json_line_in_the_log(
    shared: Served, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        request_id = shared.search(image=photo()).request_id
        shared.refused(product_id="p9999\n{}")
    answered, refused = json_records(caplog)
    assert answered["request_id"] == request_id
    assert answered["status"] == "OK"
    assert answered["results"] == 7
    assert answered["total_us"] > 0
    assert refused["status"] == "NOT_FOUND"
    assert "p9999" in str(refused["message"])


# The client's room against the real server


def test_client_translates_the_servers_errors(shared: Served) -> None:
    with RetrievalClient(shared.address) as client:
        with pytest.raises(InvalidQueryError, match="image: is not an image"):
            client.search(b"no image")
        with pytest.raises(ProductNotFoundError, match="'p9999'"):
            client.similar("p9999")
