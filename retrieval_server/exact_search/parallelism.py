"""Intra-query parallelism: a search runs on the cores that no other search uses.

A search alone on the machine is spread over every core; under load each search keeps to one. What a
search computes for a row depends on no other row, so the result is the same however the rows are
divided.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

from retrieval_server.cores import allowed_cores, pin_thread

Work = Callable[[int, int], None]  # on rows [first, last)


class IntraQueryParallelism:
    """Divides the work of a search among the cores that no other search uses.

    Thread-safe; one object for all searches of a process.

    Args:
        cores: number of cores for all searches together, ≥ 1; with 1 nothing is divided.
    """

    def __init__(self, cores: int = 1) -> None:
        self._cores, self._searches = cores, 0
        self._lock = threading.Lock()
        # A thread inherits the core that its starter is pinned to, and searches are pinned.
        unpin = partial(pin_thread, allowed_cores())
        self._helpers = ThreadPoolExecutor(
            max(1, cores - 1), thread_name_prefix="search-helper", initializer=unpin
        )

    @contextmanager
    def searching(self) -> Iterator[None]:
        """Count one search in progress while the block runs."""
        with self._lock:
            self._searches += 1
        try:
            yield
        finally:
            with self._lock:
                self._searches -= 1

    def share(self, work: Work, count: int, piece: int) -> None:
        """Do work for rows 0..count - 1, piece by piece, on this core and on idle ones.

        A helper thread that has not started when the work is done is cancelled, not waited for.

        Args:
            work: called with the first row and one past the last row of a piece; releases the
                interpreter's lock.
            count: number of rows.
            piece: rows in a piece; smaller ones cost more to hand over than they save.
        """
        idle = self._cores - self._searches
        helpers = min(idle, -(-count // piece) - 1)
        if helpers <= 0:
            work(0, count)
            return
        firsts = itertools.count(0, piece)  # next() on it is atomic

        def take_part() -> None:
            while (first := next(firsts)) < count:
                work(first, min(first + piece, count))

        others = [self._helpers.submit(take_part) for _ in range(helpers)]
        try:
            take_part()
        finally:
            for other in others:
                if not other.cancel():
                    other.result()
