"""Turns: lets a bounded amount of work be in a stage, and callers take turns for the next place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from retrieval_server.serving.callers import CURRENT, Caller

PLACES_PER_WORKER = 2  # one in progress; another one, so that no worker waits for the event loop


class _Waiter(NamedTuple):
    size: int
    may_go: asyncio.Future[None]


class _Queue:
    """Those who wait: by caller, and by its connections; each in the order of arrival.

    The dictionaries are in the order of the next turns: who has had one goes to the end.
    """

    def __init__(self) -> None:
        self._callers: dict[bytes | str, dict[str, dict[_Waiter, None]]] = {}

    def __bool__(self) -> bool:
        return bool(self._callers)

    def __len__(self) -> int:
        return sum(len(each) for group in self._callers.values() for each in group.values())

    def push(self, caller: Caller, waiter: _Waiter) -> None:
        connections = self._callers.setdefault(caller.name, {})
        connections.setdefault(caller.connection, {})[waiter] = None

    def first(self) -> _Waiter:
        connections = next(iter(self._callers.values()))
        return next(iter(next(iter(connections.values()))))

    def pop(self) -> _Waiter:
        """Take out the first one; its connection and its caller have had their turn."""
        name = next(iter(self._callers))
        connections = self._callers.pop(name)
        connection = next(iter(connections))
        waiters = connections.pop(connection)
        waiter = next(iter(waiters))
        del waiters[waiter]
        if waiters:
            connections[connection] = waiters
        if connections:
            self._callers[name] = connections
        return waiter

    def remove(self, caller: Caller, waiter: _Waiter) -> None:
        """Take out one that has given up, if it is still there."""
        connections = self._callers.get(caller.name, {})
        waiters = connections.get(caller.connection, {})
        waiters.pop(waiter, None)
        if not waiters:
            connections.pop(caller.connection, None)
        if not connections:
            self._callers.pop(caller.name, None)


class Turns:
    """Places in a stage of the work; who finds none waits for a turn.

    The next free place goes to each caller in turn, whoever has more waiting. Used in the event
    loop only.

    Args:
        places: how much may be in the stage at once, such as a number of images, or bytes.
    """

    def __init__(self, places: int) -> None:
        self._free = places
        self._queue = _Queue()

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
