"""gRPC calls that do not wait for one another, at a third of the cost of gRPC's own client.

A load generator that shares its cores with the server takes from what it measures. This one takes
0.1 ms of a core for a call, gRPC's client 0.3 ms: it has one thread and one connection, and reads
only the status of an answer. It keeps to the protocol: the windows of the server, its number of
calls at once, and the deadline of each call, which it also sends along.
"""

from __future__ import annotations

import math
import select
import socket
import struct
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import NamedTuple

import grpc

from benchmarks.call_status import CANCEL, REFUSED_STREAM, status_in, status_of_reset
from benchmarks.http2_frames import (
    ACK,
    END_HEADERS,
    END_STREAM,
    FIRST_WINDOW,
    LARGEST_WINDOW,
    LONGEST_PAYLOAD,
    NO_TABLE,
    PREFACE,
    Frame,
    Kind,
    Setting,
    frame,
    frames,
    named_field,
    number_frame,
    number_of,
    settings_frame,
    settings_of,
)

BUFFER_BYTES = 2**18
NOTHING = memoryview(b"")


class Outcome(NamedTuple):
    """How a call has ended.

    Attributes:
        status: what its caller would get.
        taken_s: seconds from its beginning to its end.
        ended_at: on the clock ``time.perf_counter``.
    """

    status: grpc.StatusCode
    taken_s: float
    ended_at: float


@dataclass(slots=True)
class _Call:
    """A call that has not ended.

    Attributes:
        number: counts the calls.
        message: its request.
        begun_at: on the clock ``time.perf_counter``, as is ``deadline``.
        deadline: when its caller gives up.
        stream: the number that the server knows; 0 while the call waits.
        rest: of the message that is not sent yet.
        window: bytes that the stream may carry.
        is_repeated: whether the server has refused its stream once.
    """

    number: int
    message: memoryview
    begun_at: float
    deadline: float
    stream: int = 0
    rest: memoryview = NOTHING
    window: int = 0
    is_repeated: bool = False


class OpenCalls:
    """Calls of one method with the same time limit, on a connection of their own.

    A context manager: it closes the connection at the end. All answers together may have 2 GiB.

    Args:
        address: ``host:port`` of a server without TLS.
        method: its path, ``/package.Service/Method``.
        timeout_s: of each call.

    Attributes:
        outcomes: of the calls that have ended, in this order.

    Raises:
        OSError: if there is no connection; so do all methods, if it breaks.
    """

    def __init__(self, address: str, method: str, timeout_s: float) -> None:
        self.outcomes: list[Outcome] = []
        self._timeout_s = timeout_s
        self._fields = b"".join(
            named_field(name, value.encode())
            for name, value in (
                (b":method", "POST"),
                (b":scheme", "http"),
                (b":path", method),
                (b":authority", address),
                (b"te", "trailers"),
                (b"content-type", "application/grpc"),
            )
        )
        self._numbers, self._stream_numbers = count(), count(1, 2)
        self._open: dict[int, _Call] = {}  # by number; the first has the earliest deadline
        self._streams: dict[int, _Call] = {}  # those that the server knows of, by stream
        self._waiting: deque[_Call] = deque()  # until the server takes another call
        self._sending: deque[_Call] = deque()  # their messages
        self._most_calls, self._first_window, self._window = 2**31, FIRST_WINDOW, FIRST_WINDOW
        self._received = bytearray()
        self._unsent = bytearray(PREFACE)
        self._unsent += settings_frame(
            NO_TABLE,
            (Setting.ENABLE_PUSH, 0),
            (Setting.INITIAL_WINDOW_SIZE, LARGEST_WINDOW),
            (Setting.ALLOW_TRUE_BINARY_METADATA, 1),
        )
        self._unsent += number_frame(Kind.WINDOW_UPDATE, 0, LARGEST_WINDOW - FIRST_WINDOW)
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setblocking(False)
        self._poll = select.poll()  # takes descriptors that ``select`` refuses, from 1,024 on
        self._knows_the_server = False
        while not self._knows_the_server:
            self._step(None)

    def __enter__(self) -> OpenCalls:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def begin(self, message: bytes) -> None:
        """Begin a call; ``run`` and ``finish`` continue it.

        Args:
            message: the request, as bytes.
        """
        now = time.perf_counter()
        prefixed = struct.pack("!BI", 0, len(message)) + message  # 0: not compressed
        call = _Call(next(self._numbers), memoryview(prefixed), now, now + self._timeout_s)
        self._open[call.number] = call
        self._waiting.append(call)
        self._send()

    def run(self, until: float) -> None:
        """Send and receive until a time, on the clock ``time.perf_counter``; at least once."""
        self._step(until)
        while time.perf_counter() < until:
            self._step(until)

    def finish(self, left: int = 0) -> None:
        """Send and receive until enough calls have ended, each at its deadline at the latest.

        Args:
            left: how many may still be open.
        """
        while len(self._open) > left:
            self._step(None)

    def _step(self, until: float | None) -> None:
        """Wait until there is something to receive, to send or to give up, and do it."""
        first = self._first()
        times = ([] if first is None else [first.deadline]) + ([] if until is None else [until])
        wait_s = max(0.0, min(times) - time.perf_counter()) if times else None
        wanted = select.POLLIN | (select.POLLOUT if self._unsent else 0)
        self._poll.register(self._socket, wanted)
        ready = self._poll.poll(None if wait_s is None else math.ceil(wait_s * 1000))
        self._give_up()
        if any(events & ~select.POLLOUT for _, events in ready):
            self._receive()
        self._send()

    def _first(self) -> _Call | None:
        """The call with the earliest deadline."""
        return next(iter(self._open.values()), None)

    def _give_up(self) -> None:
        """End the calls whose deadline has passed."""
        now = time.perf_counter()
        while (call := self._first()) is not None and call.deadline <= now:
            if call.stream:
                self._unsent += number_frame(Kind.RST_STREAM, call.stream, CANCEL)
            self._end(call, grpc.StatusCode.DEADLINE_EXCEEDED)

    def _end(self, call: _Call, status: grpc.StatusCode) -> None:
        del self._open[call.number]
        self._streams.pop(call.stream, None)
        now = time.perf_counter()
        self.outcomes.append(Outcome(status, now - call.begun_at, now))

    def _send(self) -> None:
        """Send as much as the server and the socket take."""
        self._fill()
        with suppress(BlockingIOError):
            while self._unsent:
                del self._unsent[: self._socket.send(self._unsent)]
                self._fill()

    def _fill(self) -> None:
        """Make frames of what the server takes now, up to ``BUFFER_BYTES`` of them."""
        while self._waiting and len(self._streams) < self._most_calls:
            call = self._waiting.popleft()
            if call.number in self._open:
                self._make_header(call)
        while self._sending and len(self._unsent) < BUFFER_BYTES:
            call = self._sending[0]
            if call.stream not in self._streams or not call.rest:
                self._sending.popleft()
                continue
            size = min(len(call.rest), LONGEST_PAYLOAD, self._window, call.window)
            if size <= 0:
                break  # until the server enlarges a window
            self._make_part(call, size)

    def _make_header(self, call: _Call) -> None:
        call.stream, call.window = next(self._stream_numbers), self._first_window
        call.rest = call.message
        self._streams[call.stream] = call
        self._sending.append(call)
        remaining_ms = max(1, round(1e3 * (call.deadline - time.perf_counter())))
        fields = self._fields + named_field(b"grpc-timeout", b"%dm" % remaining_ms)
        self._unsent += frame(Kind.HEADERS, END_HEADERS, call.stream, fields)

    def _make_part(self, call: _Call, size: int) -> None:
        part, call.rest = call.rest[:size], call.rest[size:]
        self._unsent += frame(Kind.DATA, 0 if call.rest else END_STREAM, call.stream, part)
        self._window -= size
        call.window -= size

    def _receive(self) -> None:
        received = self._socket.recv(BUFFER_BYTES)
        if not received:
            raise ConnectionError("The server has closed the connection.")
        self._received += received
        for each in frames(self._received):
            self._take(each)

    def _take(self, taken: Frame) -> None:
        match taken.kind:
            case Kind.HEADERS | Kind.DATA | Kind.RST_STREAM:
                self._take_answer(taken)
            case Kind.WINDOW_UPDATE if not taken.stream:
                self._window += number_of(taken.payload)
            case Kind.WINDOW_UPDATE if taken.stream in self._streams:
                self._streams[taken.stream].window += number_of(taken.payload)
            case Kind.SETTINGS if not taken.flags & ACK:
                self._take_settings(settings_of(taken.payload))
                self._unsent += frame(Kind.SETTINGS, ACK, 0)
            case Kind.PING if not taken.flags & ACK:
                self._unsent += frame(Kind.PING, ACK, 0, taken.payload)
            case Kind.GOAWAY:
                raise ConnectionError(f"The server ends the connection: {taken.payload[8:]!r}")

    def _take_settings(self, settings: dict[int, int]) -> None:
        self._knows_the_server = True
        self._most_calls = settings.get(Setting.MAX_CONCURRENT_STREAMS, self._most_calls)
        before = self._first_window
        self._first_window = settings.get(Setting.INITIAL_WINDOW_SIZE, before)
        for call in self._streams.values():
            call.window += self._first_window - before

    def _take_answer(self, taken: Frame) -> None:
        call = self._streams.get(taken.stream)
        if call is None:
            return  # it was late
        if taken.kind == Kind.RST_STREAM:
            self._take_reset(call, number_of(taken.payload))
        elif taken.flags & END_STREAM:
            self._end(call, status_in(taken))

    def _take_reset(self, call: _Call, code: int) -> None:
        """End a call, or repeat it, as gRPC's client does once if no service has seen it."""
        if code == REFUSED_STREAM and not call.is_repeated:
            del self._streams[call.stream]
            call.stream, call.is_repeated = 0, True
            self._waiting.append(call)
        else:
            self._end(call, status_of_reset(code))
