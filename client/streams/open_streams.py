"""The streams that a client has open for one batch of queries."""

import math
import threading
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

import grpc

from retrieval_server.v1 import retrieval_pb2 as pb

MOST_IN_FLIGHT = 8
"""Requests of one stream without an answer; for more, another stream is opened.

A server works on more than that of one stream (``Limits.max_stream_requests``), so none of them
waits to be read. Streams take turns among the servers behind a name, as calls do.
"""

DEFAULT_IN_FLIGHT = MOST_IN_FLIGHT  # of all queries of a caller
LONGEST_MS = 2**32 - 1  # of the protocol's uint32


class StreamLostError(Exception):
    """A stream has ended before the answer; whether the server has worked on it is unknown.

    Attributes:
        code: the status of the stream; None if there is none.
    """

    def __init__(self, code: grpc.StatusCode | None) -> None:
        super().__init__("the stream has ended")
        self.code = code


class AnyStream(Protocol):
    """What both kinds of streams have in common."""

    @property
    def is_lost(self) -> bool:
        """Whether the stream has ended."""

    @property
    def is_late(self) -> bool:
        """Whether an answer did not come in time, so that its server may hang."""

    @property
    def in_flight(self) -> int:
        """Number of requests without an answer."""

    def ask(self, request: pb.SearchRequest, timeout_s: float) -> Any:
        """Send a request; its response, or an awaitable of it."""

    def end(self) -> None:
        """Send no more requests."""

    def cancel(self) -> None:
        """Give up the requests without an answer."""


Stream = TypeVar("Stream", bound=AnyStream)


class OpenStreams(Generic[Stream]):
    """Opens streams when they are needed, and spreads requests over them; thread-safe.

    Args:
        open_stream: opens one.
    """

    def __init__(self, open_stream: Callable[[], Stream]) -> None:
        self._open_stream = open_stream
        self._streams: list[Stream] = []
        self._lock = threading.Lock()
        self.is_closed = False

    def ask(self, request: pb.SearchRequest, timeout_s: float) -> Any:
        """Send a request in the stream that has the fewest; see ``AnyStream.ask``.

        Args:
            request: the search.
            timeout_s: seconds that the answer may take.

        Raises:
            StreamLostError: if the streams are closed.
        """
        with self._lock:
            if self.is_closed:
                raise StreamLostError(grpc.StatusCode.CANCELLED)
            stream = self._least_busy()
        return stream.ask(request, timeout_s)

    def end(self) -> None:
        """End the streams, all of whose requests are answered."""
        self._close()
        for stream in self._streams:
            stream.end()

    def cancel(self) -> None:
        """Cancel the streams, and let no request be sent any more."""
        self._close()
        for stream in self._streams:
            stream.cancel()

    def _close(self) -> None:
        with self._lock:
            self.is_closed = True

    def _least_busy(self) -> Stream:
        self._streams = [each for each in self._streams if not each.is_lost]
        good = (each for each in self._streams if not each.is_late)
        stream = min(good, key=lambda each: each.in_flight, default=None)
        if stream is None or stream.in_flight >= MOST_IN_FLIGHT:
            stream = self._open_stream()
            self._streams.append(stream)
        return stream


def checked_in_flight(in_flight: int) -> int:
    """Return a number of queries without an answer.

    Args:
        in_flight: the number.

    Raises:
        ValueError: if it is below 1.
    """
    if in_flight < 1:
        raise ValueError(f"in_flight must be at least 1, not {in_flight}")
    return in_flight


def stream_request(
    number: int, request: pb.SearchRequest, timeout_s: float
) -> pb.SearchStreamRequest:
    """Make the message of a request.

    Args:
        number: its id.
        request: the search.
        timeout_s: seconds that the answer may take; ``inf`` is no limit.
    """
    timeout_ms = math.ceil(timeout_s * 1000) if math.isfinite(timeout_s) else 0
    return pb.SearchStreamRequest(
        id=number, search=request, timeout_ms=min(max(timeout_ms, 0), LONGEST_MS)
    )
