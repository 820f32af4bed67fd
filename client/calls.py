"""What a client does to get an answer: the request, the retries, the errors; written once.

The work is coroutines. The blocking client calls the server inside of them, so that they run
through without a pause; the asyncio client awaits the server there.
"""

import math
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import grpc

from client.access import Access
from client.change_request import UpsertBatch
from client.changes import Deleted, Upserted
from client.decoding import decoded
from client.errors import (
    UNREACHABLE,
    DeadlineExceededError,
    OverloadedError,
    RetrievalError,
    UnavailableError,
    closed,
    too_large,
    translated,
    translated_call,
    ungrouped,
)
from client.query import Answer, Query
from client.results import FoundProducts, SearchResult
from client.sendable import sendable_ids
from client.server_status import ServerStatus
from client.streams.open_streams import OpenStreams, StreamLostError
from retrieval_server.command_line.durations import waitable
from retrieval_server.v1 import retrieval_pb2 as pb
from retrieval_server.v1 import retrieval_pb2_grpc as pb_grpc

_Response = TypeVar("_Response")

_CODES: Mapping[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}


# What a stream ends with at a server that goes away; one that stops at once reports CANCELLED.
_AWAY = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED})
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 1.0  # as of gRPC's own retries, see channel


@dataclass
class Outage:
    """The time in which nothing is answered.

    Attributes:
        ends_at: when it has lasted for too long, on the clock ``time.monotonic``; None before it.
        pause_s: seconds to wait before the next attempt.
    """

    ends_at: float | None = None
    pause_s: float = _FIRST_PAUSE_S


class Calls(ABC):
    """The calls to a server.

    Args:
        channel: the connection.
        server: host:port.
        timeout_s: time limit of each call, retries included; ``inf`` is none.
        access: certificates and token, where the server asks for them.
    """

    def __init__(self, channel: Any, server: str, timeout_s: float, access: Access) -> None:
        self.server = server
        self.timeout_s = timeout_s
        self._access = access
        self._stub: Any = pb_grpc.RetrievalServiceStub(channel)  # type: ignore[no-untyped-call]
        self._has_streams = True  # until a server says that it knows none
        self._most_bytes: float | None = None  # of a request; known from the first upsert on

    @abstractmethod
    async def _done(self, call: Any) -> Any:
        """Give the response of a call that was made."""

    @abstractmethod
    async def _message(self, query: Query) -> pb.SearchRequest:
        """Make a query's message, which may read files."""

    @abstractmethod
    async def _pause(self, wait_s: float) -> bool:
        """Wait some seconds; say whether the client was closed."""

    @property
    @abstractmethod
    def _is_closed(self) -> bool:
        """Whether the client was closed."""

    async def _found(
        self, query: Query, busy_wait_s: float, streams: OpenStreams[Any] | None = None
    ) -> SearchResult:
        """Search, by a call of its own or in a stream."""
        request = await self._message(query)
        ask = (
            partial(self._search, request, self.timeout_s)
            if streams is None
            else partial(self._search_in_stream, request, streams)
        )
        response = await self._admitted(ask, busy_wait_s)
        if request.group_by and not all(match.HasField("group_size") for match in response.results):
            raise ungrouped(self.server)
        return decoded(SearchResult, response)

    async def _answer(
        self, number: int, query: Query, busy_wait_s: float, streams: OpenStreams[Any]
    ) -> Answer:
        """Search in a stream; an error is an outcome, too."""
        try:
            return Answer(number, query, await self._found(query, busy_wait_s, streams))
        except RetrievalError as error:
            return Answer(number, query, error)

    async def _looked_up(self, product_ids: Iterable[str], busy_wait_s: float) -> FoundProducts:
        """Ask for products by their ids."""
        request = pb.GetProductsRequest(product_ids=sendable_ids(product_ids))
        ask = partial(self._call, self._stub.GetProducts, request, self.timeout_s)
        return decoded(FoundProducts, await self._admitted(ask, busy_wait_s))

    async def _deleted(self, product_ids: Iterable[str]) -> Deleted:
        """Remove products by their ids."""
        request = pb.DeleteRequest(product_ids=sendable_ids(product_ids))
        return decoded(Deleted, await self._call(self._stub.Delete, request, self.timeout_s))

    async def _asked_status(
        self, timeout_s: float, *, wait_for_ready: bool = False
    ) -> ServerStatus:
        """Ask what is being served."""
        request = pb.GetStatusRequest()
        status = await self._call(
            self._stub.GetStatus, request, timeout_s, wait_for_ready=wait_for_ready
        )
        return decoded(ServerStatus, status)

    async def _ready(self, wait_s: float) -> ServerStatus:
        """Ask until the server answers."""
        deadline = time.monotonic() + wait_s
        reason = UnavailableError(
            UNREACHABLE.format(server=self.server, details=f"no answer for {wait_s:g} s"),
            grpc.StatusCode.DEADLINE_EXCEEDED,
        )
        while True:
            remaining_s = max(0.0, deadline - time.monotonic())
            try:
                return await self._asked_status(remaining_s, wait_for_ready=True)
            except DeadlineExceededError as error:
                raise reason from error
            except UnavailableError as error:
                reason = error  # it listens but is not ready; gRPC's retries waited in between

    async def _admitted(
        self, ask: Callable[[], Awaitable[_Response]], busy_wait_s: float
    ) -> _Response:
        """Ask the server, again and again while it is busy and there is time."""
        deadline = time.monotonic() + busy_wait_s
        while True:
            try:
                return await ask()
            except OverloadedError as error:
                wait_s = error.retry_after_s
                if wait_s is None or time.monotonic() + wait_s > deadline:
                    raise
                # Callers that were refused together do not all come back together.
                if await self._pause(random.uniform(1.0, 1.5) * wait_s):
                    raise

    async def _refuse_too_large(self, batch: UpsertBatch) -> None:
        """Refuse the requests of a batch that would end its stream, by the server's limit."""
        if self._most_bytes is None:
            limits = (await self._asked_status(self.timeout_s)).limits
            self._most_bytes = math.inf if limits is None else limits.max_request_bytes
        for number, each in enumerate(batch):
            if isinstance(each, pb.UpsertRequest) and each.ByteSize() > self._most_bytes:
                problem = too_large(self.server, each.ByteSize(), int(self._most_bytes))
                batch[number] = Upserted.refused(each.product_id, problem)

    async def _outlast(self, outage: Outage, error: RetrievalError) -> None:
        """Wait a moment for a server that has gone away, or has no place for a stream.

        Args:
            outage: lasts since the last answer.
            error: of the stream.

        Raises:
            RetrievalError: the error, if it is another one, or the outage takes too long.
        """
        now = time.monotonic()
        if outage.ends_at is None:
            outage.ends_at = now + self.timeout_s
        may_end = error.code in _AWAY or isinstance(error, OverloadedError)
        if (
            self._is_closed
            or not may_end
            or now > outage.ends_at
            or await self._pause(outage.pause_s)
        ):
            raise error
        outage.pause_s = min(2 * outage.pause_s, _LONGEST_PAUSE_S)

    async def _search(self, request: pb.SearchRequest, timeout_s: float) -> pb.SearchResponse:
        """Search by a call of its own."""
        response: pb.SearchResponse = await self._call(self._stub.Search, request, timeout_s)
        return response

    async def _search_in_stream(
        self, request: pb.SearchRequest, streams: OpenStreams[Any]
    ) -> pb.SearchResponse:
        """Search in a stream, or by a call of its own where the stream gives no answer.

        That is where gRPC would try a call again: the server goes away, or answers UNAVAILABLE. It
        is also where the stream ends because another request in it is too large, where the server
        has as many streams as it takes, or knows none.
        """
        deadline = time.monotonic() + self.timeout_s
        if self._has_streams:
            try:
                response = await self._done(streams.ask(request, self.timeout_s))
            except StreamLostError as lost:
                self._has_streams = lost.code is not grpc.StatusCode.UNIMPLEMENTED
            except TimeoutError as error:
                raise self._translated(grpc.StatusCode.DEADLINE_EXCEEDED) from error
            else:
                if response.HasField("answer"):
                    answer: pb.SearchResponse = response.answer
                    return answer
                refusal = self._refusal(response.error)
                if not isinstance(refusal, UnavailableError):
                    raise refusal
        if streams.is_closed:
            raise closed(self.server)
        return await self._search(request, deadline - time.monotonic())

    async def _call(
        self, method: Any, request: object, timeout_s: float, *, wait_for_ready: bool = False
    ) -> Any:
        """Call the server; gRPC's errors become ours."""
        if self._is_closed:
            raise closed(self.server)
        try:
            call = method(
                request,
                timeout=waitable(timeout_s),
                metadata=self._access.metadata(),
                wait_for_ready=wait_for_ready,
            )
            return await self._done(call)
        except grpc.RpcError as error:
            raise translated_call(error, self.server, timeout_s) from error

    def _refusal(self, error: pb.SearchError) -> RetrievalError:
        """The error of a request in a stream."""
        code = _CODES.get(error.code, grpc.StatusCode.UNKNOWN)
        retry_after_s = error.retry_delay_ms / 1000 or None
        return self._translated(code, error.message, retry_after_s)

    def _translated(
        self, code: grpc.StatusCode, details: str = "", retry_after_s: float | None = None
    ) -> RetrievalError:
        return translated(code, details, self.server, self.timeout_s, retry_after_s)
