"""Group commit: changes that arrive while a group is written become durable with the next one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from retrieval_server.serving.served.change_feed import Committed

GROUP_CHANGES = 1000
GROUP_BYTES = 2**25

Commit = Callable[[str, Sequence[bytes]], Awaitable[Committed]]


@dataclass(frozen=True)
class Waiting:
    """Changes that belong together.

    Attributes:
        version: the version of the index that they were made for.
        contents: as the log has them, at least one.
        done: when they are durable.
    """

    version: str
    contents: Sequence[bytes]
    done: asyncio.Future[Committed]


class GroupCommit:
    """Collects changes, and commits them in their order; one group at a time.

    Args:
        commit: makes a group durable.
    """

    def __init__(self, commit: Commit) -> None:
        self._commit = commit
        self._waiting: deque[Waiting] = deque()
        self._task: asyncio.Task[None] | None = None

    def add(self, version: str, contents: Sequence[bytes]) -> asyncio.Future[Committed]:
        """Commit changes that belong together.

        Args:
            version: the version of the index that they were made for.
            contents: the changes as the log has them, at least one.

        Returns:
            What is done when they are durable; its position is that of the last of them. It raises
            what the commit has raised.
        """
        done: asyncio.Future[Committed] = asyncio.get_running_loop().create_future()
        self._waiting.append(Waiting(version, contents, done))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())
        return done

    async def finish(self) -> None:
        """Wait until everything that was added is durable or refused."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _work(self) -> None:
        while self._waiting:
            group = self._next_group()
            contents = [content for each in group for content in each.contents]
            try:
                committed = await self._commit(group[0].version, contents)
            except Exception as error:
                for each in group:
                    if not each.done.done():
                        each.done.set_exception(error)
                continue
            position = committed.position - len(contents)
            for each in group:
                position += len(each.contents)
                if not each.done.done():  # its caller may have gone
                    each.done.set_result(replace(committed, position=position))

    def _next_group(self) -> list[Waiting]:
        """The next changes, as many as make one group; all for one version."""
        group = [self._waiting.popleft()]
        changes, size = _extent(group[0])
        while self._waiting:
            following = self._waiting[0]
            changes, size = changes + _extent(following)[0], size + _extent(following)[1]
            is_full = changes > GROUP_CHANGES or size > GROUP_BYTES
            if is_full or following.version != group[0].version:
                break
            group.append(self._waiting.popleft())
        return group


def _extent(waiting: Waiting) -> tuple[int, int]:
    """The number of changes, and their size in bytes."""
    return len(waiting.contents), sum(map(len, waiting.contents))
