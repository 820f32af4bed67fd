"""Turns: lets a bounded amount of work be in a stage, and callers take turns for the next place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from retrieval_server.serving.admission.callers import CURRENT
from retrieval_server.serving.admission.fair_queue import FairQueue

PLACES_PER_WORKER = 2  # one in progress; another one, so that no worker waits for the event loop


class _Waiter(NamedTuple):
    size: int
    may_go: asyncio.Future[None]


class Turns:
    """Places in a stage of the work; who finds none waits for a turn.

    The next free place goes to each caller in turn, whoever has more waiting. Used in the event
    loop only.

    Args:
        places: how much may be in the stage at once, such as a number of images, or bytes.
    """

    def __init__(self, places: int) -> None:
        self._free = places
        self._queue = FairQueue[_Waiter]()

    @property
    def waiting(self) -> int:
        """How many wait for a turn."""
        return len(self._queue)

    @asynccontextmanager
    async def taken(self, size: int = 1) -> AsyncIterator[None]:
        """Have places while the block runs; whoever is cancelled before leaves the queue.

        Args:
            size: how many places; not more than there are.
        """
        await self._take(size)
        try:
            yield
        finally:
            self._give(size)

    async def _take(self, size: int) -> None:
        if not self._queue and size <= self._free:
            self._free -= size
            return
        caller = CURRENT.get()
        waiter = _Waiter(size, asyncio.get_running_loop().create_future())
        self._queue.push(caller, waiter)
        try:
            await waiter.may_go
        except asyncio.CancelledError:
            if waiter.may_go.cancelled():
                self._queue.remove(caller, waiter)
                self._let_go()  # a smaller one may have waited behind it
            else:  # the turn came at the same time
                self._give(size)
            raise

    def _give(self, size: int) -> None:
        self._free += size
        self._let_go()

    def _let_go(self) -> None:
        """Let those who wait have their turns, as long as there is place for the first one."""
        while self._queue and (first := self._queue.first()).size <= self._free:
            self._queue.pop()
            if not first.may_go.cancelled():  # its task has not removed it yet
                self._free -= first.size
                first.may_go.set_result(None)
