"""A synchronous client of ``retrieval_server.v1``."""

import threading
from collections.abc import Coroutine, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from itertools import islice
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc

from client.access import OPEN, Access
from client.any_client import AnyClient
from client.calls import Outage
from client.change_request import UpsertBatch, requests_of, upsert_batches
from client.changes import CatalogueProduct, Deleted, Upserted
from client.channel import DEFAULT_SERVER, DEFAULT_TIMEOUT_S, open_channel
from client.decoding import decoded
from client.errors import RetrievalError, stream_ended, translated_call
from client.query import Answer, Query
from client.results import FoundProducts, SearchResult
from client.server_status import ServerStatus
from client.streams.blocking import BlockingStream
from client.streams.open_streams import DEFAULT_IN_FLIGHT, OpenStreams, checked_in_flight
from retrieval_server.v1 import retrieval_pb2 as pb

_Value = TypeVar("_Value")


class RetrievalClient(AnyClient[SearchResult, FoundProducts, Deleted, ServerStatus]):
    """Search a catalogue by photo or by product, look products up, and change them.

    Thread-safe; one client serves many threads over one connection, which opens with the first
    call. A call to a server that is unreachable or stopping is retried within the time limit. Every
    method raises RetrievalError.
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
        """
        self._channel = open_channel(server, access)
        self._closed = threading.Event()
        super().__init__(self._channel, server, timeout_s, access)

    def search_stream(
        self,
        queries: Iterable[Query],
        *,
        in_flight: int = DEFAULT_IN_FLIGHT,
        busy_wait_s: float = 0.0,
    ) -> Generator[Answer]:
        """Search for many queries, a few at a time, in streams.

        An answer comes as soon as it is ready, in any order; a query that gets none has an error as
        its outcome, and the others go on. What a stream leaves unanswered, since its server goes
        away or knows no streams, is searched by calls of its own, with their retries.

        Args:
            queries: are taken when there is room for them, in the thread of the caller.
            in_flight: number of queries without an answer, from 1.
            busy_wait_s: see search; for each query.

        Yields:
            One answer for each query. Close the generator to give up the others.
        """
        executor = ThreadPoolExecutor(checked_in_flight(in_flight))
        streams = OpenStreams(self._open_stream)
        numbered = enumerate(queries)
        running: set[Future[Answer]] = set()
        try:
            while True:
                for number, query in islice(numbered, in_flight - len(running)):
                    work = (number, query, busy_wait_s, streams)
                    running.add(executor.submit(self._answered, *work))
                if not running:
                    break
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for answer in done:
                    yield answer.result()
        except BaseException:
            streams.cancel()
            raise
        finally:
            streams.end()
            executor.shutdown(wait=False, cancel_futures=True)

    def upsert(self, products: Iterable[CatalogueProduct]) -> Generator[Upserted]:
        """Add products to the catalogue, or replace them; safe to repeat.

        Where a server goes away, or has no place for a stream, what it has not answered is sent
        again; an outage may last ``timeout_s``.

        Args:
            products: the products; they are sent while the outcomes are read.

        Yields:
            The outcome of each, in their order: durable, or why it was refused. There is no time
            limit but that of the server while it answers.
        """
        for batch in upsert_batches(products):
            outage = Outage()
            while batch:
                try:
                    for outcome in self._upserted(batch):
                        outage = Outage()
                        yield outcome
                except RetrievalError as error:
                    _completed(self._outlast(outage, error))

    def _upserted(self, batch: UpsertBatch) -> Generator[Upserted]:
        """Send a batch in a stream, and take out what gets an outcome."""
        _completed(self._refuse_too_large(batch))
        try:
            call = self._stub.Upsert(iter(requests_of(batch)), metadata=self._access.metadata())
            try:
                while batch:
                    first = batch[0]
                    outcome = (
                        first if isinstance(first, Upserted) else decoded(Upserted, next(call))
                    )
                    batch.popleft()
                    yield outcome
                with suppress(grpc.RpcError):
                    next(call, None)  # lets the server end the stream
            finally:
                call.cancel()
        except StopIteration:
            raise stream_ended(self.server) from None
        except grpc.RpcError as error:
            raise translated_call(error, self.server, self.timeout_s) from error

    def close(self) -> None:
        """Close the connection and cancel the calls under way; safe to repeat."""
        self._closed.set()
        self._channel.close()

    def __enter__(self) -> Self:
        """Return the client itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connection."""
        self.close()

    def _answered(
        self, number: int, query: Query, busy_wait_s: float, streams: OpenStreams[Any]
    ) -> Answer:
        return _completed(self._answer(number, query, busy_wait_s, streams))

    def _open_stream(self) -> BlockingStream:
        metadata = self._access.metadata()
        return BlockingStream(lambda requests: self._stub.SearchStream(requests, metadata=metadata))

    def _reply(self, work: Coroutine[Any, Any, _Value]) -> _Value:
        return _completed(work)

    async def _done(self, call: Any) -> Any:
        return call

    async def _message(self, query: Query) -> pb.SearchRequest:
        return query.message()

    @property
    def _is_closed(self) -> bool:
        return self._closed.is_set()

    async def _pause(self, wait_s: float) -> bool:
        return self._closed.wait(wait_s)


def _completed(work: Coroutine[Any, Any, _Value]) -> _Value:
    """Run work that never waits for an event loop."""
    try:
        work.send(None)
    except StopIteration as done:
        value: _Value = done.value
        return value
    raise AssertionError("this work waits for an event loop")
