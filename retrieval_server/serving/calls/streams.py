"""Streams: several requests of a caller in one call, each with a response of its own.

Flow control bounds what a stream takes: the server reads a request only while fewer than so many
requests of the stream are in progress, and a response counts until HTTP/2 has room for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterable
from itertools import islice
from typing import Any, Generic, TypeVar

import grpc

from retrieval_server.errors import QueryError
from retrieval_server.serving.calls.answering import Call
from retrieval_server.serving.grpc_endpoint import AGE_GRACE_S
from retrieval_server.serving.settings import Settings

Request = TypeVar("Request")
Response = TypeVar("Response")

STOPPING = "The server stops, or the stream has its greatest age. Send what is not answered again."
GREATEST_AGE_S = AGE_GRACE_S / 2
"""Greatest age of a stream, where connections have one.

gRPC closes a connection when its age and then its grace have passed, whatever is in progress. A
stream that begins at the end of the age ends in the middle of the grace; the other half of the
grace is left for what it has read.
"""


class Stream(Generic[Request, Response]):
    """One stream.

    Args:
        requests: those of the caller.
        answer: answers one; raises QueryError at once for a request that has to end the stream.
        most: the requests in progress at once.
        in_order: whether responses come in the order of the requests; else as they are ready.

    Attributes:
        problem: the status of a stream that was not read to its end; None for another one.
    """

    def __init__(
        self,
        requests: AsyncIterator[Request],
        answer: Callable[[Request], Coroutine[Any, Any, Response]],
        most: int,
        *,
        in_order: bool = False,
    ) -> None:
        self._requests = requests
        self._answer = answer
        self._most = most
        self._in_order = in_order
        self._is_read = False  # whether no further request is read
        self._reading: asyncio.Task[Request | None] | None = None
        self._answering: dict[asyncio.Task[Response], None] = {}  # in the order of the requests
        self.problem: tuple[grpc.StatusCode, str] | None = None

    async def responses(self, ending: asyncio.Task[None]) -> AsyncGenerator[Response, None]:
        """Answer the requests, and yield what is ready.

        Args:
            ending: is done when no further request may be read.
        """
        while tasks := self._tasks(ending):
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            while ready := [task for task in self._next_ones() if task.done()]:
                for task in ready:
                    del self._answering[task]
                    yield task.result()
            if self._reading is not None and self._reading.done():
                self._begin(self._reading)

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
            return set(self._next_ones())
        if self._reading is None and len(self._answering) < self._most:
            self._reading = asyncio.create_task(_next(self._requests))
        return {*filter(None, (self._reading,)), *self._next_ones(), ending}

    def _next_ones(self) -> Iterable[asyncio.Task[Response]]:
        """The requests of which one has the next response."""
        return islice(self._answering, 1) if self._in_order else self._answering

    def _begin(self, reading: asyncio.Task[Request | None]) -> None:
        """Begin to answer the request that was read; None is the end of them."""
        self._reading = None
        if reading.cancelled():
            return
        request = reading.result()
        if request is None:
            self._is_read = True
            return
        try:
            work = self._answer(request)
        except QueryError as error:
            self._stop_reading(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        else:
            self._answering[asyncio.create_task(work)] = None

    def _stop_reading(self, code: grpc.StatusCode, message: str) -> None:
        self._is_read, self.problem = True, (code, message)
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None


class Streams:
    """The open streams of a server, whatever they are for.

    Args:
        settings: the server's.
    """

    def __init__(self, settings: Settings) -> None:
        self._most = settings.max_streams
        age_s = settings.max_connection_age_s
        self._greatest_age_s = min(age_s, GREATEST_AGE_S) if age_s else None
        self._open = 0
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """End every stream as soon as what it has read is answered."""
        self._stopping.set()

    async def responses(
        self, stream: Stream[Request, Response], context: Call
    ) -> AsyncGenerator[Response, None]:
        """Answer the requests of a stream that is opened now, or refuse it.

        Args:
            stream: the stream.
            context: of its call.

        Yields:
            One response for each request.
        """
        if self._open >= self._most:
            message = f"The server has as many streams as it takes at a time: {self._most}"
            await context.abort(
                grpc.StatusCode.RESOURCE_EXHAUSTED, f"{message} (max_streams). Try later."
            )
        ending = asyncio.create_task(self._ending())
        self._open += 1
        try:
            async for response in stream.responses(ending):
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


async def _next(requests: AsyncIterator[Request]) -> Request | None:
    return await anext(requests, None)
