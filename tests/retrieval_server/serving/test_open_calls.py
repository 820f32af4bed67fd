"""The load generator of ``make bench-overload`` sees what gRPC's own client sees."""

import contextlib
import socket
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from benchmarks.call_status import CANCEL, REFUSED_STREAM
from benchmarks.http2_frames import (
    ACK,
    END_HEADERS,
    END_STREAM,
    PREFACE,
    Frame,
    Kind,
    Setting,
    frame,
    frames,
    named_field,
    named_fields,
    number_frame,
    settings_frame,
)
from benchmarks.open_calls import OpenCalls
from retrieval_server.v1 import retrieval_pb2 as pb
from tests.support.patience import PATIENCE_S, growing_deadlines
from tests.support.search_calls import photo
from tests.support.served import Served, ServedBy

SERVICE = "/retrieval_server.v1.RetrievalService"
SEARCH = f"{SERVICE}/Search"
OK, LATE = grpc.StatusCode.OK, grpc.StatusCode.DEADLINE_EXCEEDED


def statuses(calls: OpenCalls) -> Counter[grpc.StatusCode]:
    return Counter(outcome.status for outcome in calls.outcomes)


def status_for_grpc(served: Served, method: str, request: bytes) -> grpc.StatusCode:
    return served.channel.unary_unary(method).future(request, timeout=PATIENCE_S).code()


REQUESTS = {  # and the method, and the status that it gets
    "a photo": (pb.SearchRequest(image=photo()), "Search", "OK"),
    "a product": (pb.SearchRequest(product_id="p0000"), "Search", "OK"),
    "all products": (pb.SearchRequest(product_id="p0000", top_k=40), "Search", "OK"),
    "unknown product": (pb.SearchRequest(product_id="nowhere"), "Search", "NOT_FOUND"),
    "no image": (pb.SearchRequest(image=b"no image"), "Search", "INVALID_ARGUMENT"),
    "long": (pb.SearchRequest(image=bytes(300_000)), "Search", "INVALID_ARGUMENT"),
    "too long": (pb.SearchRequest(image=bytes(3_000_000)), "Search", "RESOURCE_EXHAUSTED"),
    "unknown method": (pb.SearchRequest(), "Nothing", "UNIMPLEMENTED"),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_call_gets_the_status_that_it_gets_through_grpc(shared: Served, name: str) -> None:
    request, method_name, status = REQUESTS[name]
    method = f"{SERVICE}/{method_name}"
    message = request.SerializeToString()
    assert status_for_grpc(shared, method, message).name == status
    with OpenCalls(shared.address, method, PATIENCE_S) as calls:
        for _ in range(3):
            calls.begin(message)
        calls.finish()
    assert statuses(calls) == {grpc.StatusCode[status]: 3}


def test_a_message_beyond_the_servers_windows_arrives(served_by: ServedBy) -> None:
    message = pb.SearchRequest(image=bytes(4_500_000)).SerializeToString()
    with (
        served_by(max_image_bytes=5_000_000) as served,
        OpenCalls(served.address, SEARCH, PATIENCE_S) as calls,
    ):
        calls.begin(message)
        calls.finish()
    assert statuses(calls) == {grpc.StatusCode.INVALID_ARGUMENT: 1}  # zeros are no image


def test_many_calls_at_once_are_each_answered(shared: Served) -> None:
    messages = [
        pb.SearchRequest(image=photo(number)).SerializeToString()
        if number % 3
        else pb.SearchRequest(product_id="p0000").SerializeToString()
        for number in range(60)
    ]
    with OpenCalls(shared.address, SEARCH, PATIENCE_S) as calls:
        for message in messages:
            calls.begin(message)
        calls.finish()
    assert statuses(calls) == {OK: 60}


def test_a_full_server_refuses_a_call(served_by: ServedBy) -> None:
    message = pb.SearchRequest(image=photo())
    with served_by(max_concurrent_requests=1) as served:
        served.hold()
        held = served.stub.Search.future(message, timeout=PATIENCE_S)
        assert served.engine.arrived.acquire(timeout=PATIENCE_S)
        with OpenCalls(served.address, SEARCH, PATIENCE_S) as calls:
            calls.begin(message.SerializeToString())
            calls.finish()
        assert statuses(calls) == {grpc.StatusCode.RESOURCE_EXHAUSTED: 1}
        served.release()
        held.result(PATIENCE_S)


def test_a_late_call_is_given_up_by_both_sides(served_by: ServedBy) -> None:
    message = pb.SearchRequest(image=photo()).SerializeToString()
    with served_by() as served:
        served.hold()
        for deadline_s in growing_deadlines(0.1):  # the call may end on its way
            with OpenCalls(served.address, SEARCH, deadline_s) as calls:
                calls.begin(message)
                calls.finish()
                has_arrived = served.engine.arrived.acquire(blocking=False)
                assert statuses(calls) == {LATE: 1}
                assert calls.outcomes[0].taken_s >= deadline_s
                if has_arrived:
                    assert served.engine.cancelled.wait(PATIENCE_S)
                    break
        served.release()


class Peer:
    """The other end of a connection, which does what the test says."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._received = bytearray()
        assert connection.recv(len(PREFACE), socket.MSG_WAITALL) == PREFACE
        assert self.next(Kind.SETTINGS).payload.startswith(struct.pack("!HI", 1, 0))

    def send(self, *sent: bytes) -> None:
        self._connection.sendall(b"".join(sent))

    def next(self, kind: Kind) -> Frame:
        """The next frame, which is of a kind; what concerns windows is left out."""
        while True:
            for received in frames(self._received):
                self._received = self._received[9 + len(received.payload) :]
                if received.kind != Kind.WINDOW_UPDATE:
                    assert received.kind == kind
                    return received
            self._received += self._connection.recv(2**16)

    def close(self) -> None:
        self._connection.shutdown(socket.SHUT_RDWR)

    def refuse(self, stream: int) -> None:
        self.send(number_frame(Kind.RST_STREAM, stream, REFUSED_STREAM))

    def answer(self, stream: int, status: int = 0) -> None:
        trailers = named_field(b"grpc-status", b"%d" % status)
        self.send(frame(Kind.HEADERS, END_STREAM | END_HEADERS, stream, trailers))


Scripted = Callable[..., tuple[OpenCalls, Peer]]


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    """Connect to a peer with some settings."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        ThreadPoolExecutor(1) as executor,
        contextlib.ExitStack() as stack,
    ):

        def accept(settings: bytes) -> Peer:
            connection, _ = listener.accept()
            stack.enter_context(connection)
            connection.settimeout(PATIENCE_S)
            peer = Peer(connection)
            peer.send(settings)
            return peer

        def connect(
            *settings: tuple[Setting, int], timeout_s: float = PATIENCE_S
        ) -> tuple[OpenCalls, Peer]:
            accepted = executor.submit(accept, settings_frame(*settings))
            address = f"127.0.0.1:{listener.getsockname()[1]}"
            calls = stack.enter_context(OpenCalls(address, SEARCH, timeout_s))
            peer = accepted.result(PATIENCE_S)
            assert peer.next(Kind.SETTINGS).flags == ACK
            return calls, peer

        yield connect


def test_a_call_is_what_a_server_of_grpc_expects(scripted: Scripted) -> None:
    calls, peer = scripted(timeout_s=30.0)
    calls.begin(b"a request")
    header = peer.next(Kind.HEADERS)
    assert (header.flags, header.stream) == (END_HEADERS, 1)
    fields = dict(named_fields(header.payload))
    timeout = fields.pop(b"grpc-timeout")
    assert 29_000 < int(timeout.removesuffix(b"m")) <= 30_000
    assert fields.keys() == {
        b":method", b":scheme", b":path", b":authority", b"te", b"content-type"
    }  # fmt: skip
    assert fields[b":path"] == SEARCH.encode()
    message = peer.next(Kind.DATA)
    assert (message.flags, message.payload) == (END_STREAM, b"\0\0\0\0\x09a request")
    peer.answer(1)
    calls.finish()
    assert statuses(calls) == {OK: 1}


def test_no_more_is_sent_than_the_windows_take(scripted: Scripted) -> None:
    calls, peer = scripted((Setting.INITIAL_WINDOW_SIZE, 10))
    calls.begin(b"twenty-five bytes, or so.")
    peer.next(Kind.HEADERS)
    assert len(peer.next(Kind.DATA).payload) == 10
    peer.send(number_frame(Kind.WINDOW_UPDATE, 1, 4))
    calls.run(0.0)
    assert len(peer.next(Kind.DATA).payload) == 4
    peer.send(settings_frame((Setting.INITIAL_WINDOW_SIZE, 100)))
    calls.run(0.0)
    peer.next(Kind.SETTINGS)
    rest = peer.next(Kind.DATA)
    assert (rest.flags, len(rest.payload)) == (END_STREAM, 5 + 25 - 10 - 4)


def test_a_long_message_waits_for_the_window_of_the_connection(scripted: Scripted) -> None:
    calls, peer = scripted((Setting.INITIAL_WINDOW_SIZE, 2**20))
    calls.begin(bytes(100_000))
    peer.next(Kind.HEADERS)
    sizes = [len(peer.next(Kind.DATA).payload) for _ in range(4)]
    assert (max(sizes), sum(sizes)) == (16_384, 65_535)
    peer.send(number_frame(Kind.WINDOW_UPDATE, 0, 2**20))
    calls.run(0.0)
    sizes += [len(peer.next(Kind.DATA).payload) for _ in range(3)]
    assert sum(sizes) == 100_005


def test_calls_beyond_the_servers_number_wait_for_their_turn(scripted: Scripted) -> None:
    calls, peer = scripted((Setting.MAX_CONCURRENT_STREAMS, 1))
    for _ in range(2):
        calls.begin(b"")
    for stream in (1, 3):
        assert peer.next(Kind.HEADERS).stream == stream
        assert peer.next(Kind.DATA).stream == stream
        peer.answer(stream)
        calls.finish(left=1 if stream == 1 else 0)
    assert statuses(calls) == {OK: 2}


def test_a_call_that_waits_until_its_deadline_is_never_sent(scripted: Scripted) -> None:
    calls, peer = scripted((Setting.MAX_CONCURRENT_STREAMS, 0), timeout_s=0.01)
    calls.begin(b"")
    calls.finish()
    assert statuses(calls) == {LATE: 1}
    peer.send(frame(Kind.PING, 0, 0, b"12345678"))
    calls.run(0.0)
    assert peer.next(Kind.PING) == (Kind.PING, ACK, 0, b"12345678")


def test_a_late_call_is_cancelled_and_its_answer_does_not_count(scripted: Scripted) -> None:
    calls, peer = scripted(timeout_s=0.01)
    calls.begin(b"")
    calls.finish()
    for kind in (Kind.HEADERS, Kind.DATA):
        peer.next(kind)
    peer.answer(1)
    calls.run(0.0)
    assert peer.next(Kind.RST_STREAM).payload == struct.pack("!I", CANCEL)
    assert statuses(calls) == {LATE: 1}


def test_a_refused_stream_is_tried_once_more_as_by_grpc(scripted: Scripted) -> None:
    calls, peer = scripted()
    calls.begin(b"")
    for stream in (1, 3):
        assert peer.next(Kind.HEADERS).stream == stream
        assert peer.next(Kind.DATA).stream == stream
        peer.refuse(stream)
        calls.run(0.0)
    assert statuses(calls) == {grpc.StatusCode.UNAVAILABLE: 1}


@pytest.mark.parametrize(
    ("code", "status"), [(8, "CANCELLED"), (11, "RESOURCE_EXHAUSTED"), (2, "INTERNAL")]
)
def test_a_reset_becomes_the_status_that_grpc_makes_of_it(
    scripted: Scripted, code: int, status: str
) -> None:
    calls, peer = scripted()
    calls.begin(b"")
    peer.send(number_frame(Kind.RST_STREAM, 1, code))
    calls.finish()
    assert statuses(calls) == {grpc.StatusCode[status]: 1}


def test_every_status_of_grpc_is_read(scripted: Scripted) -> None:
    calls, peer = scripted()
    for number, status in enumerate(grpc.StatusCode):
        calls.begin(b"")
        peer.answer(2 * number + 1, status.value[0])
        calls.finish()
    assert statuses(calls) == dict.fromkeys(grpc.StatusCode, 1)


@pytest.mark.parametrize("has_said_so", [True, False])
def test_a_connection_that_ends_is_an_error(scripted: Scripted, has_said_so: bool) -> None:
    calls, peer = scripted()
    calls.begin(b"")
    if has_said_so:
        peer.send(frame(Kind.GOAWAY, 0, 0, bytes(8) + b"restart"))
    else:
        peer.close()
    with pytest.raises(ConnectionError, match=r"The server .*(closed|'restart')"):
        calls.finish()


@pytest.mark.parametrize(
    ("block", "fields"),  # RFC 7541, appendix C, unless said otherwise
    [
        ("400a637573746f6d2d6b65790d637573746f6d2d686561646572", [("custom-key", "custom-header")]),
        ("040c2f73616d706c652f70617468", []),  # the name is in the RFC's table
        ("100870617373776f726406736563726574", [("password", "secret")]),
        ("82", []),
        ("3fe11f" + "0001610162", [("a", "b")]),  # a table of 4,096 bytes is announced (ours)
        ("0001617f9902" + "78" * 408, [("a", "x" * 408)]),  # a length of three bytes (ours)
    ],
)
def test_fields_with_names_are_read_as_the_rfc_has_them(
    block: str, fields: list[tuple[str, str]]
) -> None:
    read = named_fields(bytes.fromhex(block))
    assert [(name.decode(), value.decode()) for name, value in read] == fields


def test_a_name_in_huffmans_code_is_an_error_and_a_value_is_not() -> None:
    value = bytes.fromhex("f1e3c2e5f23a6ba0ab90f4ff")
    block = b"\0\x01a" + bytes((0x80 | len(value),)) + value
    assert list(named_fields(block)) == [(b"a", value)]
    with pytest.raises(ValueError, match="Huffman"):
        list(named_fields(bytes.fromhex("408825a849e95ba97d7f8925a849e95bb8e8b4bf")))


def test_a_header_block_in_parts_is_an_error() -> None:
    with pytest.raises(ValueError, match="flags 0x0"):
        list(frames(bytearray(frame(Kind.HEADERS, 0, 1))))


def test_frames_are_taken_whole_and_the_rest_is_kept() -> None:
    sent = frame(Kind.DATA, END_STREAM, 3, bytes(70_000)) + frame(Kind.PING, 0, 0, b"12345678")
    buffer = bytearray(sent[:-1])
    assert [taken.kind for taken in frames(buffer)] == [Kind.DATA]
    buffer += sent[-1:]
    assert list(frames(buffer)) == [(Kind.PING, 0, 0, b"12345678")]
    assert not buffer
