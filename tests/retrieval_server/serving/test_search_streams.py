"""Streams of searches: each request is answered like a single one, and nothing ends but itself."""

import logging
import threading

import grpc
import pytest

from retrieval_server.v1 import retrieval_pb2_grpc as pb_grpc
from tests.support.patience import PATIENCE_S, eventually, growing_deadlines
from tests.support.raw_stream import RawStream
from tests.support.request_log import requests_in
from tests.support.scraped_metrics import value
from tests.support.search_calls import photo, trailing, without_times
from tests.support.served import Served, ServedBy


def test_every_answer_of_a_stream_is_that_of_a_single_search(shared: Served) -> None:
    stream = RawStream(shared.stub)
    queries = [
        {"image": photo(number)}
        if number % 3
        else {"product_id": f"p0{number % 8}0{number % 5}", "top_k": 3, "words": "ruby"}
        for number in range(60)
    ]
    for query in queries:
        stream.send(**query)
    answers = {response.id: response.answer for response in stream.rest()}
    assert len(answers) == len(queries)
    for id_, query in enumerate(queries, start=1):
        assert without_times(answers[id_]) == without_times(shared.search(**query))
    assert stream.status()[0] is grpc.StatusCode.OK


@pytest.mark.parametrize(
    "fields",
    [{"image": b"no image"}, {"product_id": "p9999"}, {"image": photo(), "top_k": 101}, {}],
)
def test_a_request_gets_the_error_of_a_single_search_and_the_stream_goes_on(
    shared: Served, fields: dict[str, object]
) -> None:
    stream = RawStream(shared.stub)
    stream.send(**fields)
    single = shared.refused(**fields)
    response = stream.next()
    assert response.id == 1
    assert (response.error.code, response.error.message) == (
        single.code().value[0],
        single.details(),
    )
    assert len(response.error.request_id) == len(trailing(single)["request-id"])
    stream.send(product_id="p0000")
    (response,) = stream.rest()
    assert (response.id, len(response.answer.results)) == (2, 7)


def test_what_is_ready_first_is_answered_first(served_by: ServedBy) -> None:
    with served_by() as served:
        served.hold()
        stream = RawStream(served.stub)
        stream.send(image=photo())
        stream.send(product_id="p0000")
        assert stream.next().id == 2
        served.release()
        assert [response.id for response in stream.rest()] == [1]


def test_a_stream_has_a_bounded_number_of_requests_in_progress(served_by: ServedBy) -> None:
    with served_by(max_stream_requests=2) as served:
        served.hold()
        stream = RawStream(served.stub)
        for number in range(2):
            stream.send(image=photo(number))
            assert served.engine.arrived.acquire(timeout=PATIENCE_S)
        stream.send(product_id="p0000")
        answered: list[int] = []
        reader = threading.Thread(target=lambda: answered.extend(r.id for r in stream.call))
        reader.start()
        for _ in range(20):  # the third request would be answered sooner
            served.search(product_id="p0000")
        assert answered == []
        served.release()
        stream.end()
        reader.join(PATIENCE_S)
        assert sorted(answered) == [1, 2, 3]


@pytest.mark.parametrize("further", [2, 1, 0])
def test_an_id_that_does_not_rise_ends_a_stream_after_the_answers_before_it(
    shared: Served, further: int
) -> None:
    stream = RawStream(shared.stub)
    stream.send_with_id(2, product_id="p0000")
    stream.send_with_id(further, product_id="p0001")
    assert stream.next().id == 2
    with pytest.raises(grpc.RpcError):
        stream.next()
    status, message = stream.status()
    assert status is grpc.StatusCode.INVALID_ARGUMENT
    assert message == f"id: must be above 2, the id before it, got {further}."


def test_a_request_without_time_left_is_late_and_its_work_ends(served_by: ServedBy) -> None:
    with served_by() as served:
        served.hold()
        stream = RawStream(served.stub)
        stream.send(image=photo(), timeout_ms=200)
        response = stream.next()
        assert response.error.code == grpc.StatusCode.DEADLINE_EXCEEDED.value[0]
        assert served.engine.cancelled.wait(PATIENCE_S)
        stream.send(product_id="p0000", timeout_ms=2**32 - 1)
        assert [response.id for response in stream.rest()] == [2]


def test_a_stream_that_is_cancelled_ends_its_work(served_by: ServedBy) -> None:
    with served_by(max_concurrent_requests=1) as served:
        served.hold()
        stream = RawStream(served.stub)
        stream.send(image=photo())
        assert served.engine.arrived.acquire(timeout=PATIENCE_S)
        stream.call.cancel()
        assert served.engine.cancelled.wait(PATIENCE_S)
        served.release()
        assert len(served.search(image=photo()).results) == 7


def test_the_deadline_of_a_stream_ends_its_work(served_by: ServedBy) -> None:
    with served_by(max_concurrent_requests=1) as served:
        served.hold()
        for deadline_s in growing_deadlines(0.3):  # the stream may end on its way
            stream = RawStream(served.stub, timeout_s=deadline_s)
            stream.send(image=photo())
            with pytest.raises(grpc.RpcError):
                stream.next()
            assert stream.status()[0] is grpc.StatusCode.DEADLINE_EXCEEDED
            if served.engine.arrived.acquire(blocking=False):
                break
        assert served.engine.cancelled.wait(PATIENCE_S)
        served.release()
        assert len(served.search(image=photo()).results) == 7


def test_a_stopping_server_answers_what_it_has_read_and_ends_the_stream(
    served_by: ServedBy,
) -> None:
    with served_by() as served:
        served.hold()
        stream = RawStream(served.stub)
        stream.send(image=photo())
        assert served.engine.arrived.acquire(timeout=PATIENCE_S)
        stopping = threading.Thread(target=served.stop, args=(PATIENCE_S,))
        stopping.start()
        eventually(served.running._service._streams._stopping.is_set)
        served.release()
        assert stream.next().id == 1
        with pytest.raises(grpc.RpcError):
            stream.next()
        assert stream.status()[0] is grpc.StatusCode.UNAVAILABLE
        stopping.join(PATIENCE_S)
        assert not stopping.is_alive()


def test_a_stream_ends_at_the_greatest_age_of_a_connection(served_by: ServedBy) -> None:
    with served_by(max_connection_age_s=0.3) as served:
        stream = RawStream(served.stub)
        with pytest.raises(grpc.RpcError):
            stream.next()
        status, message = stream.status()
        assert (status, "greatest age" in message) == (grpc.StatusCode.UNAVAILABLE, True)


def test_a_full_server_refuses_a_request_and_says_when_to_try_again(served_by: ServedBy) -> None:
    with served_by(max_concurrent_requests=1) as served:
        served.hold()
        stream = RawStream(served.stub)
        stream.send(image=photo())
        assert served.engine.arrived.acquire(timeout=PATIENCE_S)
        stream.send(product_id="p0000")
        error = stream.next().error
        assert error.code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
        assert error.retry_delay_ms > 0
        single = served.refused(product_id="p0000")
        assert error.message == single.details()
        assert str(error.retry_delay_ms) == trailing(single)["grpc-retry-pushback-ms"]
        served.release()
        assert [response.id for response in stream.rest()] == [1]


def test_a_server_has_a_bounded_number_of_streams(served_by: ServedBy) -> None:
    with served_by(max_streams=1) as served:
        first = RawStream(served.stub)
        first.send(product_id="p0000")
        assert first.next().id == 1
        second = RawStream(served.stub)
        with pytest.raises(grpc.RpcError):
            second.next()
        status, message = second.status()
        assert (status, message) == (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "The server has as many streams as it takes at a time: 1 (max_streams). Try later.",
        )
        assert list(first.rest()) == []
        third = RawStream(served.stub)
        third.send(product_id="p0000")
        assert third.next().id == 1


def test_a_caller_that_reads_no_answers_is_not_read_either(
    served_by: ServedBy, caplog: pytest.LogCaptureFixture
) -> None:
    """Else the answers would pile up in the server's memory."""
    small_window = [("grpc.http2.lookahead_bytes", 64 * 1024), ("grpc.http2.bdp_probe", 0)]
    with (
        served_by() as served,
        caplog.at_level(logging.INFO),
        grpc.insecure_channel(served.address, options=small_window) as channel,
    ):
        stream = RawStream(pb_grpc.RetrievalServiceStub(channel))
        for _ in range(200):
            stream.send(product_id="p0000", top_k=40)  # 12 KB of answer each
        for _ in range(50):
            served.search(product_id="p0000")
        assert len(requests_in(caplog)) < 50 + 50
        assert len(list(stream.rest())) == 200


def test_each_request_of_a_stream_is_logged_and_counted_as_a_search(
    served_by: ServedBy, caplog: pytest.LogCaptureFixture
) -> None:
    with served_by(metrics_port=0) as served, caplog.at_level(logging.INFO):
        stream = RawStream(served.stub)
        stream.send(image=photo())
        stream.send(product_id="p9999")
        responses = {response.id: response for response in stream.rest()}
        assert {each["request_id"]: each["status"] for each in requests_in(caplog)} == {
            responses[1].answer.request_id: "OK",
            responses[2].error.request_id: "NOT_FOUND",
        }
        for code in ("OK", "NOT_FOUND"):
            assert value(served, "beauty_requests_total", method="Search", code=code) == 1
        assert value(served, "beauty_requests_in_flight", method="Search") == 0
        assert value(served, "beauty_request_duration_seconds_count", method="Search") == 2
