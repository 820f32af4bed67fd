"""The service under load and at its end: full, late, cancelled, stopping."""

import json
import logging
import socket
import struct
import threading
from typing import BinaryIO

import grpc
import numpy as np
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from numpy.typing import NDArray
from PIL import Image

from client import OverloadedError, RetrievalClient
from retrieval_server.models.image_file import WORST_IMAGE_BYTES
from retrieval_server.models.preprocessing import decode_image
from retrieval_server.serving.admission.turns import PLACES_PER_WORKER
from retrieval_server.serving.calls import photos
from retrieval_server.serving.calls.request_log import RequestLog
from retrieval_server.serving.grpc_endpoint import OTHER_CALLS
from retrieval_server.v1 import retrieval_pb2 as pb
from tests.support.patience import PATIENCE_S, eventually, growing_deadlines
from tests.support.pictures import encoded
from tests.support.search_calls import photo, trailing, without_times
from tests.support.served import Served, ServedBy

SERVICE = "retrieval_server.v1.RetrievalService"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
EMPTY_SETTINGS = bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
SETTINGS_FRAME, MAX_CONCURRENT_STREAMS = 4, 3


# Load


def test_a_hundred_calls_at_once_are_each_answered_like_a_single_one(shared: Served) -> None:
    queries = [
        pb.SearchRequest(image=photo(number))
        if number % 3
        else pb.SearchRequest(product_id=f"p0{number % 8}0{number % 5}")
        for number in range(100)
    ]
    calls = [shared.stub.Search.future(query, timeout=PATIENCE_S) for query in queries]
    answers = [call.result() for call in calls]
    for query, answer in zip(queries, answers, strict=True):
        assert without_times(answer) == without_times(shared.stub.Search(query))
    assert len({answer.request_id for answer in answers}) == 100


def test_full_server_refuses_further_searches_and_recovers(served_by: ServedBy) -> None:
    with served_by(max_concurrent_requests=2) as served:
        served.hold()
        held = [served.stub.Search.future(pb.SearchRequest(image=photo(n))) for n in range(2)]
        for _ in held:
            assert served.engine.arrived.acquire(timeout=PATIENCE_S)
        error = served.refused(product_id="p0000")
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert trailing(error)["request-id"]
        with RetrievalClient(served.address) as client, pytest.raises(OverloadedError):
            client.similar("p0000")
        served.release()
        for number, call in enumerate(held):
            assert without_times(call.result(PATIENCE_S)) == without_times(
                served.search(image=photo(number))
            )


def test_a_connection_has_a_bounded_number_of_open_calls(served_by: ServedBy) -> None:
    with served_by(max_concurrent_requests=2, max_streams=3) as served:
        host, _, port = served.address.rpartition(":")
        with socket.create_connection((host, int(port)), PATIENCE_S) as connection:
            connection.sendall(HTTP2_PREFACE + EMPTY_SETTINGS)
            assert (
                settings_of(connection.makefile("rb"))[MAX_CONCURRENT_STREAMS]
                == 2 + 3 + OTHER_CALLS
            )


def settings_of(connection: BinaryIO) -> dict[int, int]:
    """The first SETTINGS frame of an HTTP/2 peer (RFC 9113, sections 4.1 and 6.5)."""
    header = connection.read(9)  # 3 bytes of length, type, flags, 4 bytes of stream
    assert header[3] == SETTINGS_FRAME
    payload = connection.read(int.from_bytes(header[:3]))
    return dict(struct.iter_unpack("!HI", payload))


def test_what_cannot_be_answered_in_time_is_refused_at_once_with_a_delay(
    served_by: ServedBy,
) -> None:
    with served_by(workers=1, longest_wait_s=0.001) as served:
        served.search(image=photo())  # measures the pace: more than a millisecond
        served.hold()
        held = served.stub.Search.future(pb.SearchRequest(image=photo()), timeout=PATIENCE_S)
        assert served.engine.arrived.acquire(timeout=PATIENCE_S)
        error = served.refused(image=photo())
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        status = Status.FromString(dict(error.trailing_metadata())["grpc-status-details-bin"])
        (detail,) = status.details
        info = RetryInfo()
        assert detail.Unpack(info)
        assert (status.code, status.message) == (error.code().value[0], error.details())
        with RetrievalClient(served.address) as client, pytest.raises(OverloadedError) as caught:
            client.search(photo())
        assert caught.value.retry_after_s == info.retry_delay.ToMilliseconds() / 1000
        assert "Try again in" in str(caught.value)
        served.release()
        assert len(held.result(PATIENCE_S).results) == 7


def test_refusals_leave_one_line_in_the_log_for_many(caplog: pytest.LogCaptureFixture) -> None:
    log = RequestLog(clock=iter([0.0, 0.4, 0.9, 1.1]).__next__)
    with caplog.at_level(logging.INFO):
        for _ in range(4):
            log.refused("late")
    refused = [json.loads(record.getMessage())["refused"] for record in caplog.records]
    assert refused == [{"late": 1}, {"late": 3}]


def test_full_server_is_still_healthy_and_says_its_status(served_by: ServedBy) -> None:
    """A probe that fails under load would have the server killed when it is needed most."""
    with served_by(max_concurrent_requests=1) as served:
        served.hold()
        held = served.stub.Search.future(pb.SearchRequest(image=photo()))
        assert served.engine.arrived.acquire(timeout=PATIENCE_S)
        check = health_pb2.HealthCheckRequest(service=SERVICE)
        assert served.health.Check(check, timeout=PATIENCE_S).status == SERVING
        status = served.stub.GetStatus(pb.GetStatusRequest(), timeout=PATIENCE_S)
        assert status.product_count == 40
        served.release()
        held.result(PATIENCE_S)


def test_deadline_ends_a_call_and_frees_its_place(served_by: ServedBy) -> None:
    with served_by(max_concurrent_requests=1) as served:
        served.hold()
        for deadline_s in growing_deadlines(0.3):  # the call may end on its way
            refusal = served.refused(image=photo(), timeout_s=deadline_s)
            assert refusal.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            if served.engine.arrived.acquire(blocking=False):
                break
        assert served.engine.cancelled.wait(PATIENCE_S)
        served.release()
        assert len(served.search(image=photo()).results) == 7


def test_photo_that_waits_for_a_worker_beyond_its_deadline_is_not_decoded(
    served_by: ServedBy, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded, may_go_on = [], threading.Event()

    def decode(photo: bytes, side: int, most_bytes: int) -> NDArray[np.uint8]:
        decoded.append(photo)
        return decode_image(photo, side, most_bytes)

    monkeypatch.setattr(photos, "decode_image", decode)
    with served_by(workers=1) as served:
        running = threading.Event()
        served.executor.submit(lambda: (running.set(), may_go_on.wait(PATIENCE_S)))
        assert running.wait(PATIENCE_S)
        refusal = served.refused(image=photo(1), timeout_s=0.3)
        assert refusal.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        may_go_on.set()
        assert len(served.search(image=photo(2)).results) == 7
    assert decoded == [photo(2)]


def test_calls_that_hang_up_leave_the_queue_and_are_not_decoded(
    served_by: ServedBy, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded, may_go_on = [], threading.Event()

    def decode(photo: bytes, side: int, most_bytes: int) -> NDArray[np.uint8]:
        decoded.append(photo)
        return decode_image(photo, side, most_bytes)

    monkeypatch.setattr(photos, "decode_image", decode)
    with served_by(workers=1) as served:
        served.executor.submit(may_go_on.wait, PATIENCE_S)
        calls = [served.stub.Search.future(pb.SearchRequest(image=photo(1))) for _ in range(9)]
        eventually(lambda: served.waiting("decode") == 9 - PLACES_PER_WORKER)
        for call in calls:
            call.cancel()
        eventually(lambda: served.waiting("decode") == 0)
        may_go_on.set()
        assert len(served.search(image=photo(2)).results) == 7
    assert decoded == [photo(2)]


def test_large_images_are_decoded_as_far_as_memory_allows_while_small_ones_go_on(
    served_by: ServedBy, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = encoded(Image.new("RGB", (3000, 2000)), "PNG")
    begun, may_go_on = threading.Semaphore(0), threading.Event()

    def decode(photo: bytes, side: int, most_bytes: int) -> NDArray[np.uint8]:
        if photo == large and most_bytes == WORST_IMAGE_BYTES:
            begun.release()
            assert may_go_on.wait(PATIENCE_S)
        return decode_image(photo, side, most_bytes)

    monkeypatch.setattr(photos, "decode_image", decode)
    with served_by(workers=2, max_decoding_bytes=200_000_000) as served:
        calls = [served.stub.Search.future(pb.SearchRequest(image=large)) for _ in range(2)]
        assert begun.acquire(timeout=PATIENCE_S)
        eventually(lambda: served.waiting("memory") == 1)
        assert len(served.search(image=photo()).results) == 7
        may_go_on.set()
        assert [len(call.result(PATIENCE_S).results) for call in calls] == [7, 7]


def test_caller_that_hangs_up_frees_its_place(served_by: ServedBy) -> None:
    with served_by(max_concurrent_requests=1) as served:
        served.hold()
        call = served.stub.Search.future(pb.SearchRequest(image=photo()))
        assert served.engine.arrived.acquire(timeout=PATIENCE_S)
        call.cancel()
        assert served.engine.cancelled.wait(PATIENCE_S)
        served.release()
        assert len(served.search(image=photo()).results) == 7


# Health, reflection, shutdown


@pytest.mark.parametrize("service", ["", SERVICE])
def test_health_check_is_serving(shared: Served, service: str) -> None:
    request = health_pb2.HealthCheckRequest(service=service)
    assert shared.health.Check(request, timeout=PATIENCE_S).status == SERVING


def test_health_check_of_another_service_is_not_found(shared: Served) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        shared.health.Check(health_pb2.HealthCheckRequest(service="else"), timeout=PATIENCE_S)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_watchers_see_that_the_server_stops_while_calls_in_progress_are_finished(
    served_by: ServedBy,
) -> None:
    with served_by() as served:
        served.hold()
        held = served.stub.Search.future(pb.SearchRequest(image=photo(3)))
        assert served.engine.arrived.acquire(timeout=PATIENCE_S)
        watches = [
            served.health.Watch(health_pb2.HealthCheckRequest(service=name), timeout=PATIENCE_S)
            for name in ("", SERVICE)
        ]
        assert [next(watch).status for watch in watches] == [SERVING, SERVING]
        stopping = threading.Thread(target=served.stop, args=(PATIENCE_S,))
        stopping.start()
        assert [next(watch).status for watch in watches] == [NOT_SERVING, NOT_SERVING]
        for watch in watches:
            watch.cancel()
        served.release()
        assert len(held.result(PATIENCE_S).results) == 7
        stopping.join(PATIENCE_S)
        assert not stopping.is_alive()


def test_reflection_lists_the_services_and_describes_ours(shared: Served) -> None:
    database = ProtoReflectionDescriptorDatabase(shared.channel)
    assert set(database.get_services()) == {
        SERVICE,
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    described = database.FindFileContainingSymbol(SERVICE)
    assert [method.name for method in described.service[0].method] == [
        "Search",
        "SearchStream",
        "GetProducts",
        "Upsert",
        "Delete",
        "GetStatus",
    ]


# The client's room against the real server


def test_client_waits_until_the_server_is_ready(shared: Served) -> None:
    with RetrievalClient(shared.address) as client:
        assert client.wait_until_ready(PATIENCE_S).product_count == 40
