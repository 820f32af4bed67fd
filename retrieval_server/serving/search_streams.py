"""Streams of searches: several requests of a caller in one call, each answered when it is ready.

Flow control bounds what a stream takes: the server reads a request only while fewer than
``max_stream_requests`` requests of the stream are in progress, and a response counts until HTTP/2
has room for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias

import grpc

from retrieval_server.serving.answering import Call
from retrieval_server.serving.grpc_endpoint import AGE_GRACE_S
from retrieval_server.serving.settings import Settings
from retrieval_server.serving.streamed_call import StreamedCall
from retrieval_server.v1 import retrieval_pb2 as pb

Search: TypeAlias = Callable[[pb.SearchRequest, Any], Awaitable[pb.SearchResponse]]
Requests: TypeAlias = AsyncIterator[pb.SearchStreamRequest]
Responses: TypeAlias = AsyncGenerator[pb.SearchStreamResponse, None]

STOPPING = "The server stops, or the stream has its greatest age. Send what is not answered again."
GREATEST_AGE_S = AGE_GRACE_S / 2
"""Greatest age of a stream, where connections have one.

gRPC closes a connection when its age and then its grace have passed, whatever is in progress. A
stream that begins at the end of the age ends in the middle of the grace; the other half of the
grace is left for what it has read.
"""


class SearchStreams:
    """The open streams of a server.

    Args:
        search: answers a request like a call of its own.
        settings: the server's.
    """

    def __init__(self, search: Search, settings: Settings) -> None:
        self._search = search
        self._most_streams = settings.max_streams
        self._most_requests = settings.max_stream_requests
        age_s = settings.max_connection_age_s
        self._greatest_age_s = min(age_s, GREATEST_AGE_S) if age_s else None
        self._open = 0
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """End every stream as soon as what it has read is answered."""
        self._stopping.set()

    async def answer(self, requests: Requests, context: Call) -> Responses:
        """Answer the requests of a stream, in the order in which the answers are ready.

        Args:
            requests: those of the caller.
            context: of the stream.

        Yields:
            One response for each request.
        """
        if self._open >= self._most_streams:
            message = f"The server has as many streams as it takes at a time: {self._most_streams}."
            message += " Call Search, or try later."
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, message)
        stream = _Stream(self._search, requests, context, self._most_requests)
        ending = asyncio.create_task(self._ending())
        self._open += 1
        try:
            async for response in stream.answers(ending):
                yield response
        finally:
            self._open -= 1
            ending.cancel()
            stream.cancel()
        if stream.problem is not None:
            await context.abort(*stream.problem)

    async def _ending(self) -> None:
        """Wait until the server stops, or a stream that begins now has its greatest age."""
        try:
            await asyncio.wait_for(self._stopping.wait(), self._greatest_age_s)
        except TimeoutError:
            return


class _Stream:
    """One stream.

    Attributes:
        problem: the status of a stream that was not read to its end; None for another one.
    """

    def __init__(self, search: Search, requests: Requests, context: Call, most: int) -> None:
        self._search = search
        self._requests = requests
        self._context = context
        self._most = most
        self._last_id = 0
        self._is_read = False  # whether no further request is read
        self._reading: asyncio.Task[pb.SearchStreamRequest | None] | None = None
        self._answering: set[asyncio.Task[pb.SearchStreamResponse]] = set()
        self.problem: tuple[grpc.StatusCode, str] | None = None

    async def answers(self, ending: asyncio.Task[None]) -> Responses:
        """Answer the requests, and yield what is ready.

        Args:
            ending: is done when no further request may be read.
        """
        while tasks := self._tasks(ending):
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done & self._answering:
                self._answering.remove(task)
                yield task.result()
            if self._reading in done and self._reading is not None:
                self._begin(self._reading.result())

    def cancel(self) -> None:
        """Stop all work."""
        for task in (self._reading, *self._answering):
            if task is not None:
                task.cancel()

    def _tasks(self, ending: asyncio.Task[None]) -> set[asyncio.Task[Any]]:
        """What to wait for; nothing at the end of the stream."""
        if ending.done() and not self._is_read:
            self._stop_reading(grpc.StatusCode.UNAVAILABLE, STOPPING)
        if self._is_read:
            return set(self._answering)
        if self._reading is None and len(self._answering) < self._most:
            self._reading = asyncio.create_task(_next(self._requests))
        return {*filter(None, (self._reading,)), *self._answering, ending}

    def _begin(self, request: pb.SearchStreamRequest | None) -> None:
        """Begin to answer the request that was read; None is the end of them."""
        self._reading = None
        if request is None:
            self._is_read = True
        elif request.id <= self._last_id:
            problem = f"id: must be above {self._last_id}, the id before it, got {request.id}."
            self._stop_reading(grpc.StatusCode.INVALID_ARGUMENT, problem)
        else:
            self._last_id = request.id
            self._answering.add(asyncio.create_task(self._answer(request)))

    def _stop_reading(self, code: grpc.StatusCode, message: str) -> None:
        self._is_read, self.problem = True, (code, message)
        if self._reading is not None:
            self._reading.cancel()

    async def _answer(self, request: pb.SearchStreamRequest) -> pb.SearchStreamResponse:
        call = StreamedCall(self._context, request.timeout_ms)
        try:
            async with asyncio.timeout(request.timeout_ms / 1000 or None):
                answer = await self._search(request.search, call)
        except TimeoutError:
            return pb.SearchStreamResponse(id=request.id, error=call.late())
        except grpc.aio.AbortError:
            return pb.SearchStreamResponse(id=request.id, error=call.error())
        return pb.SearchStreamResponse(id=request.id, answer=answer)


async def _next(requests: Requests) -> pb.SearchStreamRequest | None:
    return await anext(requests, None)
