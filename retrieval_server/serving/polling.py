"""Polling: a check that runs at regular intervals beside the requests."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)


class Polling:
    """Awaits a check at regular intervals, in a task of its own, until it is stopped.

    A check that raises is logged with its traceback, and polling goes on.

    Args:
        check: what to await.
        failure: what the log says of a check that raises.
    """

    def __init__(self, check: Callable[[], Awaitable[None]], failure: str) -> None:
        self._check = check
        self._failure = failure
        self._task: asyncio.Task[None] | None = None

    @property
    def is_running(self) -> bool:
        """Whether it has been started and not yet stopped."""
        return self._task is not None and not self._task.done()

    def start(self, interval_s: float) -> None:
        """Start polling; the first check comes after one interval."""
        self._task = asyncio.create_task(self._poll(interval_s))

    async def stop(self) -> None:
        """Stop polling, and wait until a check in progress is cancelled."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _poll(self, interval_s: float) -> None:
        while True:
            await asyncio.sleep(interval_s)
            try:
                await self._check()
            except Exception:
                log.exception(self._failure)
