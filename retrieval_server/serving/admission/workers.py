"""The threads that decode, so that the event loop stays free; they search, too: see searching."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

from retrieval_server.errors import LateError
from retrieval_server.serving.admission.deadline import Deadline
from retrieval_server.serving.admission.turns import Turns

Worked = TypeVar("Worked")


class Workers:
    """Runs one stage of the work of requests.

    Args:
        executor: the threads; several stages may share them.
        turns: the places of the stage.
    """

    def __init__(self, executor: Executor, turns: Turns) -> None:
        self._executor = executor
        self._turns = turns

    async def run(self, work: Callable[[], Worked], deadline: Deadline) -> Worked:
        """Run work, unless the deadline passes before a thread is free.

        Raises:
            LateError: if it does.
        """

        def work_if_in_time() -> Worked:
            if deadline.has_passed:
                raise LateError("The deadline passed while the request waited for a worker.")
            return work()

        async with self._turns.taken():
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._executor, work_if_in_time)
