"""An asyncio client of ``retrieval_server.v1``."""

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Coroutine,
    Iterable,
)
from contextlib import aclosing, suppress
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc

from client.access import OPEN, Access
from client.any_client import AnyClient
from client.calls import Outage
from client.change_request import UpsertBatch, requests_of, upsert_batches
from client.changes import CatalogueProduct, Deleted, Upserted
from client.channel import DEFAULT_SERVER, DEFAULT_TIMEOUT_S, open_async_channel
from client.decoding import decoded
from client.errors import RetrievalError, closed, stream_ended, translated_call
from client.query import Answer, Query
from client.results import FoundProducts, SearchResult
from client.server_status import ServerStatus
from client.streams.asynchronous import AsyncStream
from client.streams.open_streams import DEFAULT_IN_FLIGHT, OpenStreams, checked_in_flight
from retrieval_server.v1 import retrieval_pb2 as pb

_Value = TypeVar("_Value")

# What gRPC's asyncio says where a stream ends while it sends, in place of the status (as of 1.85).
_LOST_WHILE_SENDING = "Internal error from Core"


class AsyncRetrievalClient(
    AnyClient[
        Awaitable[SearchResult],
        Awaitable[FoundProducts],
        Awaitable[Deleted],
        Awaitable[ServerStatus],
    ]
):
    """Search a catalogue by photo or by product, look products up, and change them.

    Each answer is awaited. Of one event loop; one client serves many tasks over one connection,
    which opens with the first call. A call to a server that is unreachable or stopping is retried
    within the time limit. Every method raises RetrievalError. A task that is cancelled cancels its
    call.
    """

    def __init__(
        self,
        server: str = DEFAULT_SERVER,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        access: Access = OPEN,
    ) -> None:
        """Prepare a connection; nothing is sent yet.

        Args:
            server: host:port.
            timeout_s: time limit of each call, retries included; ``inf`` is none.
            access: certificates and token, where the server asks for them; by default neither TLS
                nor a token.

        Raises:
            RuntimeError: if no event loop runs.
        """
        asyncio.get_running_loop()  # gRPC would take another loop than the caller's
        self._channel = open_async_channel(server, access)
        self._closed = asyncio.Event()
        super().__init__(self._channel, server, timeout_s, access)

    async def search_stream(
        self,
        queries: Iterable[Query] | AsyncIterable[Query],
        *,
        in_flight: int = DEFAULT_IN_FLIGHT,
        busy_wait_s: float = 0.0,
    ) -> AsyncGenerator[Answer, None]:
        """Search for many queries, a few at a time; see RetrievalClient.search_stream.

        Args:
            queries: are taken when there is room for them.
            in_flight: number of queries without an answer, from 1.
            busy_wait_s: see search; for each query.

        Yields:
            One answer for each query. Close the generator to give up the others.
        """
        checked_in_flight(in_flight)
        streams = OpenStreams(self._open_stream)
        numbered = _numbered(queries)
        reading: asyncio.Task[tuple[int, Query] | None] | None = None
        running: set[asyncio.Task[Answer]] = set()
        is_read = False
        try:
            while running or not is_read:
                if reading is None and not is_read and len(running) < in_flight:
                    reading = asyncio.create_task(_next(numbered))
                tasks: set[asyncio.Task[Any]] = {*running, *filter(None, (reading,))}
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                if reading in done and reading is not None:
                    taken, reading = reading.result(), None
                    is_read = taken is None
                    if taken is not None:
                        work = self._answer(*taken, busy_wait_s, streams)
                        running.add(asyncio.create_task(work))
                for task in done & running:
                    running.remove(task)
                    answer: Answer = task.result()
                    yield answer
        except BaseException:
            streams.cancel()
            raise
        finally:
            streams.end()
            for task in filter(None, (reading, *running)):
                task.cancel()

    async def upsert(self, products: Iterable[CatalogueProduct]) -> AsyncGenerator[Upserted, None]:
        """Add products to the catalogue, or replace them; safe to repeat.

        Where a server goes away, or has no place for a stream, what it has not answered is sent
        again; an outage may last ``timeout_s``.

        Args:
            products: the products; they are sent while the outcomes are read.

        Yields:
            The outcome of each, in their order: durable, or why it was refused. There is no time
            limit but that of the server while it answers.
        """
        batches = upsert_batches(products)
        while batch := await asyncio.to_thread(next, batches, None):
            outage = Outage()
            while batch:
                try:
                    async with aclosing(self._upserted(batch)) as outcomes:
                        async for outcome in outcomes:
                            outage = Outage()
                            yield outcome
                except RetrievalError as error:
                    await self._outlast(outage, error)

    async def _upserted(self, batch: UpsertBatch) -> AsyncGenerator[Upserted, None]:
        """Send a batch in a stream, and take out what gets an outcome."""
        await self._refuse_too_large(batch)
        try:
            call = self._stub.Upsert(iter(requests_of(batch)), metadata=self._access.metadata())
            responses = aiter(call)
            try:
                while batch:
                    first = batch[0]
                    outcome = (
                        first
                        if isinstance(first, Upserted)
                        else decoded(Upserted, await self._done(anext(responses)))
                    )
                    batch.popleft()
                    yield outcome
                with suppress(grpc.RpcError):
                    await self._done(anext(responses, None))  # lets the server end the stream
            finally:
                call.cancel()
        except StopAsyncIteration:
            raise stream_ended(self.server) from None
        except grpc.aio.AioRpcError as error:
            if error.details() == _LOST_WHILE_SENDING:
                raise stream_ended(self.server) from error
            raise translated_call(error, self.server, self.timeout_s) from error

    async def close(self) -> None:
        """Close the connection and cancel the calls under way; safe to repeat."""
        self._closed.set()
        await self._channel.close()

    async def __aenter__(self) -> Self:
        """Return the client itself."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connection."""
        await self.close()

    def _open_stream(self) -> AsyncStream:
        metadata = self._access.metadata()
        return AsyncStream(lambda requests: self._stub.SearchStream(requests, metadata=metadata))

    def _reply(self, work: Coroutine[Any, Any, _Value]) -> Awaitable[_Value]:
        return work

    async def _done(self, call: Awaitable[_Value]) -> _Value:
        try:
            return await call
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._is_closed and task is not None and not task.cancelling():
                raise closed(self.server) from None
            raise

    async def _message(self, query: Query) -> pb.SearchRequest:
        return await asyncio.to_thread(query.message)

    @property
    def _is_closed(self) -> bool:
        return self._closed.is_set()

    async def _pause(self, wait_s: float) -> bool:
        try:
            return await asyncio.wait_for(self._closed.wait(), wait_s)
        except TimeoutError:
            return False


async def _numbered(
    queries: Iterable[Query] | AsyncIterable[Query],
) -> AsyncIterator[tuple[int, Query]]:
    number = 0
    if isinstance(queries, AsyncIterable):
        async for query in queries:
            yield number, query
            number += 1
    else:
        for numbered in enumerate(queries):
            yield numbered


async def _next(numbered: AsyncIterator[tuple[int, Query]]) -> tuple[int, Query] | None:
    return await anext(numbered, None)
