"""Polling: a check that runs at regular intervals beside the requests."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from retrieval_server.errors import RetrievalError

log = logging.getLogger(__name__)


class Polling:
    """Awaits a check at regular intervals, in a task of its own, until it is stopped.

    Polling goes on after a check that raises. The log has one entry when a check begins to fail or
    fails in another way, and one when it works again; only an error that nobody foresaw comes with
    its traceback.

    Args:
        check: what to await.
        name: what the log calls the check.
    """

    def __init__(self, check: Callable[[], Awaitable[None]], name: str) -> None:
        self._check = check
        self._name = name
        self._failure: str | None = None
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
            except Exception as error:
                self._report(error)
            else:
                self._report(None)

    def _report(self, error: Exception | None) -> None:
        """Log how the last check went, if it went otherwise than the one before."""
        failure = None if error is None else f"{type(error).__name__}: {error}"
        if failure == self._failure:
            return
        self._failure = failure
        if error is None:
            log.info("%s works again", self._name)
        else:
            is_foreseen = isinstance(error, RetrievalError | OSError)
            log.error("%s fails: %s", self._name, failure, exc_info=None if is_foreseen else error)
