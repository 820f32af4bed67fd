"""Streams of upserts: prepared side by side, committed and answered in their order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import grpc

from retrieval_server.serving.admission.deadline import Deadline
from retrieval_server.serving.admission.turns import Turns
from retrieval_server.serving.calls.answering import Call
from retrieval_server.serving.calls.group_commit import GroupCommit
from retrieval_server.serving.calls.streamed_call import StreamedCall
from retrieval_server.serving.served.change_feed import Committed
from retrieval_server.v1 import retrieval_pb2 as pb

MOST_IN_PREPARATION = 32  # upserts of all streams; their images are in memory
MOST_IN_PROGRESS = 1000  # upserts of a stream; most of them wait for the disk


@dataclass(frozen=True)
class Prepared:
    """A change that can be committed.

    Attributes:
        version: the version of the index that it was made for.
        content: as the log has it.
    """

    version: str
    content: bytes


@dataclass(frozen=True)
class StreamedUpsert:
    """An upsert of a stream, and its place in the order of the stream.

    Attributes:
        request: the upsert.
        stream_id: id of the stream in the log.
        deadline: of the stream.
        is_in_preparation: set as soon as the stream may read its next request.
        before: is done when the upserts before this one are in the queue of the log, or refused.
        queued: the same for those up to this one.
    """

    request: pb.UpsertRequest
    stream_id: str
    deadline: Deadline
    is_in_preparation: asyncio.Event
    before: asyncio.Future[None]
    queued: asyncio.Future[None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def leave_queue(self) -> None:
        """Let the following upserts go on, once those before this one have gone."""
        self.is_in_preparation.set()
        self.before.add_done_callback(self._let_follow)

    def _let_follow(self, _: asyncio.Future[None]) -> None:
        if not self.queued.done():  # the stream may have been cancelled
            self.queued.set_result(None)


Prepare: TypeAlias = Callable[[pb.UpsertRequest, Deadline], Awaitable[Prepared]]
Answer: TypeAlias = Callable[[StreamedUpsert, StreamedCall], Awaitable[pb.UpsertResponse]]


class UpsertQueue:
    """Prepares the upserts of all streams, and puts them into the log.

    Args:
        prepare: checks an upsert, and describes its image.
        commits: makes changes durable.
    """

    def __init__(self, prepare: Prepare, commits: GroupCommit) -> None:
        self._prepare, self._commits = prepare, commits
        self._places = Turns(MOST_IN_PREPARATION)

    async def commit(self, upsert: StreamedUpsert) -> Committed:
        """Make an upsert durable, behind those before it.

        Args:
            upsert: the upsert; loses its image when it has been described.

        Raises:
            RetrievalError: if it is refused, or cannot be written.
        """
        try:
            async with self._places.taken():
                upsert.is_in_preparation.set()
                prepared = await self._prepare(upsert.request, upsert.deadline)
            upsert.request.ClearField("look")  # it may be large, and the disk slow
            await upsert.before
            committing = self._commits.add(prepared.version, [prepared.content])
        finally:
            upsert.leave_queue()
        return await committing


class UpsertStream:
    """Answers the upserts of one stream.

    Args:
        requests: those of the caller.
        answer: answers one, or aborts its call.
        context: of the stream.
        stream_id: id of the stream in the log.
    """

    def __init__(
        self,
        requests: AsyncIterator[pb.UpsertRequest],
        answer: Answer,
        context: Call,
        stream_id: str,
    ) -> None:
        self._requests = requests
        self._answer = answer
        self._context = context
        self._id = stream_id
        self._deadline = Deadline.after(context.time_remaining())
        self._is_in_preparation = asyncio.Event()
        self._queued: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queued.set_result(None)

    async def requests(self) -> AsyncIterator[pb.UpsertRequest]:
        """The requests, each read when the one before it is being prepared."""
        async for request in self._requests:
            self._is_in_preparation.clear()
            yield request
            await self._is_in_preparation.wait()

    def answer(self, request: pb.UpsertRequest) -> Coroutine[Any, Any, pb.UpsertResponse]:
        """Answer a request in its turn."""
        upsert = StreamedUpsert(
            request, self._id, self._deadline, self._is_in_preparation, self._queued
        )
        self._queued = upsert.queued
        return self._answered(upsert)

    async def _answered(self, upsert: StreamedUpsert) -> pb.UpsertResponse:
        call = StreamedCall(self._context, 0)
        try:
            return await self._answer(upsert, call)
        except grpc.aio.AbortError:
            error = call.error()
            return pb.UpsertResponse(
                product_id=upsert.request.product_id, code=error.code, message=error.message
            )
