"""A stream of searches that several tasks of one event loop use at once."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc

from client.streams.open_streams import StreamLostError, stream_request
from retrieval_server.command_line.durations import waitable
from retrieval_server.v1 import retrieval_pb2 as pb


class AsyncStream:
    """An open stream; one task receives the responses for all that wait.

    Args:
        open_call: calls SearchStream with an iterator of requests.
    """

    def __init__(self, open_call: Callable[[AsyncIterator[pb.SearchStreamRequest]], Any]) -> None:
        self._outbox: asyncio.Queue[pb.SearchStreamRequest | None] = asyncio.Queue()
        self._waiting: dict[int, asyncio.Future[pb.SearchStreamResponse]] = {}
        self._last_id = 0
        self._code: grpc.StatusCode | None = None
        self._is_lost = False
        self.is_late = False  # see AnyStream
        self._call = open_call(self._requests())
        self._receiving = asyncio.create_task(self._receive())

    @property
    def is_lost(self) -> bool:
        """Whether the stream has ended."""
        return self._is_lost

    @property
    def in_flight(self) -> int:
        """Number of requests without an answer."""
        return len(self._waiting)

    async def ask(self, request: pb.SearchRequest, timeout_s: float) -> pb.SearchStreamResponse:
        """Send a request, and wait for its response.

        Args:
            request: the search.
            timeout_s: seconds that the answer may take.

        Raises:
            StreamLostError: if the stream has ended before.
            TimeoutError: if the time has passed before.
        """
        if self._is_lost:
            raise StreamLostError(self._code)
        self._last_id += 1
        number = self._last_id
        answer: asyncio.Future[pb.SearchStreamResponse]
        answer = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        self._outbox.put_nowait(stream_request(number, request, timeout_s))
        try:
            async with asyncio.timeout(waitable(timeout_s)):
                return await answer
        except TimeoutError:
            self.is_late = True
            raise
        finally:
            self._waiting.pop(number, None)

    def end(self) -> None:
        """Send no more requests."""
        self._outbox.put_nowait(None)

    def cancel(self) -> None:
        """Give up the requests without an answer."""
        self._call.cancel()

    async def _requests(self) -> AsyncIterator[pb.SearchStreamRequest]:
        while (request := await self._outbox.get()) is not None:
            yield request

    async def _receive(self) -> None:
        try:
            async for response in self._call:
                answer = self._waiting.pop(response.id, None)
                if answer is not None and not answer.done():  # whoever asked still waits
                    answer.set_result(response)
        except grpc.aio.AioRpcError as error:
            self._code = error.code()
        except asyncio.CancelledError:  # of the call, or of this task at the end of the loop
            self._code = grpc.StatusCode.CANCELLED
        self._is_lost = True
        self._outbox.put_nowait(None)  # ends gRPC's own task, which sends
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(StreamLostError(self._code))
