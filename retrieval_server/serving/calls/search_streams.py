"""Streams of searches: each request is answered when it is ready, like a call of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, TypeAlias

import grpc

from retrieval_server.errors import QueryError
from retrieval_server.serving.calls.answering import Call
from retrieval_server.serving.calls.streamed_call import StreamedCall
from retrieval_server.serving.calls.streams import Stream, Streams
from retrieval_server.v1 import retrieval_pb2 as pb

Search: TypeAlias = Callable[[pb.SearchRequest, Any], Awaitable[pb.SearchResponse]]


class SearchStreams:
    """The streams of searches.

    Args:
        search: answers a request like a call of its own.
        streams: all open ones of the server.
        most_requests: of one stream that are in progress at once.
    """

    def __init__(self, search: Search, streams: Streams, most_requests: int) -> None:
        self._search = search
        self._streams = streams
        self._most_requests = most_requests

    def answer(
        self, requests: AsyncIterator[pb.SearchStreamRequest], context: Call
    ) -> AsyncGenerator[pb.SearchStreamResponse, None]:
        """Answer the requests of a stream, in the order in which the answers are ready.

        Args:
            requests: those of the caller.
            context: of the stream.
        """
        answer = _Answers(self._search, context).answer
        return self._streams.responses(Stream(requests, answer, self._most_requests), context)


class _Answers:
    """Answers the requests of one stream."""

    def __init__(self, search: Search, context: Call) -> None:
        self._search = search
        self._context = context
        self._last_id = 0

    def answer(
        self, request: pb.SearchStreamRequest
    ) -> Coroutine[Any, Any, pb.SearchStreamResponse]:
        """Answer a request.

        Raises:
            QueryError: if its id does not rise, which ends the stream.
        """
        if request.id <= self._last_id:
            raise QueryError(
                "id", f"must be above {self._last_id}, the id before it, got {request.id}."
            )
        self._last_id = request.id
        return self._answered(request)

    async def _answered(self, request: pb.SearchStreamRequest) -> pb.SearchStreamResponse:
        call = StreamedCall(self._context, request.timeout_ms)
        try:
            async with asyncio.timeout(request.timeout_ms / 1000 or None):
                answer = await self._search(request.search, call)
        except TimeoutError:
            return pb.SearchStreamResponse(id=request.id, error=call.late())
        except grpc.aio.AbortError:
            return pb.SearchStreamResponse(id=request.id, error=call.error())
        return pb.SearchStreamResponse(id=request.id, answer=answer)
