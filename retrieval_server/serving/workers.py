"""The threads that decode and rank, so that the event loop stays free."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

from retrieval_server.errors import LateError
from retrieval_server.serving.deadline import Deadline

Worked = TypeVar("Worked")


class Workers:
    """Runs the work of requests.

    Args:
        executor: the threads.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def run(self, work: Callable[[], Worked], deadline: Deadline) -> Worked:
        """Run work, unless the deadline passes before a thread is free.

        Raises:
            LateError: if it does.
        """

        def work_if_in_time() -> Worked:
            if deadline.has_passed:
                raise LateError("The deadline passed while the request waited for a worker.")
            return work()

        return await asyncio.get_running_loop().run_in_executor(self._executor, work_if_in_time)
