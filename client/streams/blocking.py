"""A stream of searches that several threads use at once."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

import grpc

from client.streams.open_streams import StreamLostError, stream_request
from retrieval_server.command_line.durations import waitable
from retrieval_server.v1 import retrieval_pb2 as pb


class BlockingStream:
    """An open stream; one thread receives the responses for all that wait.

    Args:
        open_call: calls SearchStream with an iterator of requests.
    """

    def __init__(self, open_call: Callable[[Iterator[pb.SearchStreamRequest]], Any]) -> None:
        self._outbox: SimpleQueue[pb.SearchStreamRequest | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._waiting: dict[int, Future[pb.SearchStreamResponse]] = {}
        self._last_id = 0
        self._is_lost = False
        self.is_late = False  # see AnyStream
        self._call = open_call(iter(self._outbox.get, None))
        threading.Thread(target=self._receive, daemon=True).start()

    @property
    def is_lost(self) -> bool:
        """Whether the stream has ended."""
        return self._is_lost

    @property
    def in_flight(self) -> int:
        """Number of requests without an answer."""
        return len(self._waiting)

    def ask(self, request: pb.SearchRequest, timeout_s: float) -> pb.SearchStreamResponse:
        """Send a request, and wait for its response.

        Args:
            request: the search.
            timeout_s: seconds that the answer may take.

        Raises:
            StreamLostError: if the stream has ended before.
            TimeoutError: if the time has passed before.
        """
        answer: Future[pb.SearchStreamResponse] = Future()
        with self._lock:
            if self._is_lost:
                raise StreamLostError(self._call.code())
            self._last_id += 1
            number = self._last_id
            self._waiting[number] = answer
            self._outbox.put(stream_request(number, request, timeout_s))
        try:
            return answer.result(waitable(timeout_s))
        except TimeoutError:
            self.is_late = True
            raise
        finally:
            with self._lock:
                self._waiting.pop(number, None)

    def end(self) -> None:
        """Send no more requests."""
        self._outbox.put(None)

    def cancel(self) -> None:
        """Give up the requests without an answer."""
        self._call.cancel()

    def _receive(self) -> None:
        with suppress(grpc.RpcError):  # its status is that of the call
            for response in self._call:
                with self._lock:
                    answer = self._waiting.pop(response.id, None)
                if answer is not None:  # whoever asked still waits
                    answer.set_result(response)
        with self._lock:
            self._is_lost = True
            left = list(self._waiting.values())
        self._outbox.put(None)  # ends gRPC's own thread, which sends
        for answer in left:
            answer.set_exception(StreamLostError(self._call.code()))
