"""A stream of upserts: prepared side by side, committed and answered in their order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from retrieval_server.errors import RetrievalError
from retrieval_server.serving.answering import status_of
from retrieval_server.serving.change_feed import Committed
from retrieval_server.serving.group_commit import GroupCommit
from retrieval_server.v1 import retrieval_pb2 as pb

log = logging.getLogger(__name__)

IN_PREPARATION = 32  # changes of a stream, whose images are described meanwhile
IN_COMMIT = 2000  # changes of a stream whose answers wait for the disk


@dataclass(frozen=True)
class Prepared:
    """A change that can be committed.

    Attributes:
        version: the version of the index that it was made for.
        content: as the log has it.
    """

    version: str
    content: bytes


Prepare: TypeAlias = Callable[[pb.UpsertRequest], Awaitable[Prepared]]
Outcome: TypeAlias = asyncio.Future[Committed] | RetrievalError


class UpsertStream:
    """The stages of a stream.

    Args:
        requests: the upserts.
        prepare: checks an upsert, and describes its image.
        commits: makes changes durable.
    """

    def __init__(
        self, requests: AsyncIterator[pb.UpsertRequest], prepare: Prepare, commits: GroupCommit
    ) -> None:
        self._requests, self._prepare, self._commits = requests, prepare, commits
        self._preparing: asyncio.Queue[tuple[str, asyncio.Future[Prepared]] | None]
        self._preparing = asyncio.Queue(IN_PREPARATION)
        self._committing: asyncio.Queue[tuple[str, Outcome] | None] = asyncio.Queue(IN_COMMIT)

    async def responses(self) -> AsyncIterator[pb.UpsertResponse]:
        """The response to each request, in their order."""
        reading = asyncio.create_task(self._read())
        committing = asyncio.create_task(self._commit())
        try:
            while (item := await self._committing.get()) is not None:
                yield await _response(*item)
            await reading  # raises what has ended it
        finally:
            reading.cancel()
            committing.cancel()
            while not self._preparing.empty():
                if (left := self._preparing.get_nowait()) is not None:
                    left[1].cancel()

    async def _read(self) -> None:
        try:
            async for request in self._requests:
                prepared = asyncio.ensure_future(self._prepare(request))
                await self._preparing.put((request.product_id, prepared))
        finally:
            await self._preparing.put(None)

    async def _commit(self) -> None:
        while (item := await self._preparing.get()) is not None:
            product_id, preparing = item
            outcome: Outcome
            try:
                prepared = await preparing
                outcome = self._commits.add(prepared.version, [prepared.content])
            except RetrievalError as error:
                outcome = error
            except Exception:
                log.exception("an upsert failed")
                outcome = RetrievalError("Internal error; the server's log says why.")
            await self._committing.put((product_id, outcome))
        await self._committing.put(None)


async def _response(product_id: str, outcome: Outcome) -> pb.UpsertResponse:
    try:
        if isinstance(outcome, RetrievalError):
            raise outcome
        committed = await outcome
    except RetrievalError as error:
        code: int = status_of(error).value[0]
        return pb.UpsertResponse(product_id=product_id, code=code, message=str(error))
    return pb.UpsertResponse(
        product_id=product_id,
        change_position=committed.position,
        index_version=committed.version,
    )
