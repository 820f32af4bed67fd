"""The searches on the worker threads: those that wait at the same time share a scan.

A free worker begins the search whose turn it is. If the search needs a scan that others can share,
the worker takes along those that wait already, in the order of their turns. It waits for nobody.
After the scan, it finishes one search after the other, and each is answered as soon as it ends. A
search that shares nothing is worked on alone, and those behind it are left to the other workers.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from retrieval_server.errors import LateError
from retrieval_server.exact_search.kernels.coarse import QUERIES_AT_ONCE
from retrieval_server.exact_search.shared_scan import Ended, Search, finish_together
from retrieval_server.serving.admission.callers import CURRENT
from retrieval_server.serving.admission.deadline import Deadline
from retrieval_server.serving.admission.fair_queue import FairQueue
from retrieval_server.serving.admission.turns import PLACES_PER_WORKER

Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class _Waiter:
    """A search that waits for a worker, or is worked on.

    Attributes:
        search: not started yet.
        answer: takes the result, in its loop.
    """

    search: Search[Any]
    answer: asyncio.Future[Any]

    def end(self, ended: Ended[Any]) -> None:
        """Answer, from a worker."""
        with suppress(RuntimeError):  # the server has stopped: its loop is closed
            self.answer.get_loop().call_soon_threadsafe(self._answer, ended.outcome)

    def _answer(self, outcome: object) -> None:
        if self.answer.done():  # its caller has gone
            return
        if isinstance(outcome, Exception):
            self.answer.set_exception(outcome)
        else:
            self.answer.set_result(outcome)


def _watched(
    search: Search[Result], deadline: Deadline, has_gone: threading.Event
) -> Search[Result]:
    """A search that ends at its next pause once nobody waits for it any more.

    It does not know who waits: an error keeps it, and must not keep itself.

    Args:
        search: not started yet.
        deadline: when nobody waits any more.
        has_gone: set when nobody waits any more.

    Raises:
        LateError: if nobody waits.
    """
    while True:
        if has_gone.is_set() or deadline.has_passed:
            raise LateError("The deadline passed while the request waited for a worker.")
        try:
            scan = next(search)
        except StopIteration as end:
            result: Result = end.value
            return result
        yield scan


class Searching:
    """Searches on the worker threads.

    Args:
        executor: the threads; other stages may share them.
        workers: number of threads.
        observe_together: told how many searches a worker has worked on together.
    """

    def __init__(
        self, executor: Executor, workers: int, observe_together: Callable[[float], None]
    ) -> None:
        self._executor = executor
        self._observe_together = observe_together
        self._lock = threading.Lock()  # of the queue and of the free places
        self._queue = FairQueue[_Waiter]()
        self._free = PLACES_PER_WORKER * workers  # further tasks that the executor may have

    @property
    def waiting(self) -> int:
        """How many searches wait for a worker."""
        with self._lock:
            return len(self._queue)

    async def run(self, search: Search[Result], deadline: Deadline) -> Result:
        """Run a search, in turn with those of other callers.

        Args:
            search: not started yet.
            deadline: when nobody waits for the result any more.

        Raises:
            LateError: if the deadline passes before a worker is free.
        """
        has_gone = threading.Event()
        answer = asyncio.get_running_loop().create_future()
        waiter = _Waiter(_watched(search, deadline, has_gone), answer)
        caller = CURRENT.get()
        with self._lock:
            self._queue.push(caller, waiter)
            is_free = self._free > 0
            self._free -= is_free
        if is_free:
            self._executor.submit(self._work)
        try:
            result: Result = await answer
        except asyncio.CancelledError:
            has_gone.set()
            with self._lock:
                self._queue.remove(caller, waiter)
            raise
        finally:
            del answer, waiter  # else an error and its traceback would keep each other
        return result

    def _work(self) -> None:
        """Work on the search whose turn it is, and on those that can share its scan."""
        taken: list[_Waiter] = []
        ended_count = 0

        def take() -> Iterator[Search[Any]]:
            while len(taken) < QUERIES_AT_ONCE and (not taken or ended_count < len(taken)):
                with self._lock:
                    if not self._queue:
                        return
                    taken.append(self._queue.pop())
                yield taken[-1].search

        for ended in finish_together(take()):
            ended_count += 1
            taken[ended.number].end(ended)
        if taken:
            self._observe_together(len(taken))
        self._go_on()

    def _go_on(self) -> None:
        """Let a worker go on with those who wait; work of other stages may come before."""
        with self._lock:
            if not self._queue:
                self._free += 1
                return
        self._executor.submit(self._work)
