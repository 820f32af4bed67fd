"""Idle cores lend a hand: a lone search is spread over them, many at once keep to their own.

What a search computes of a row depends on no other row, so the result is the same however the rows
are shared out.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

Work = Callable[[int, int], None]  # on rows [first, last)


class IdleCores:
    """Counts the searches in progress; the cores that are left help those.

    Args:
        cores: how many searches run side by side at best, ≥ 1; with 1 there is no help.
    """

    def __init__(self, cores: int = 1) -> None:
        self._cores, self._searches = cores, 0
        self._lock = threading.Lock()
        # A thread inherits the core that its starter is pinned to, and searches are pinned.
        places = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set[int]()

        def unpin() -> None:
            if places:
                with suppress(OSError):  # they may have been taken from us meanwhile
                    os.sched_setaffinity(0, places)

        self._helpers = ThreadPoolExecutor(
            max(1, cores - 1), thread_name_prefix="search-helper", initializer=unpin
        )

    @contextmanager
    def searching(self) -> Iterator[None]:
        """Count a search, as long as the block."""
        with self._lock:
            self._searches += 1
        try:
            yield
        finally:
            with self._lock:
                self._searches -= 1

    def share(self, work: Work, count: int, at_once: int) -> None:
        """Do some work for each of ``count`` rows, piece by piece, with whoever is idle.

        A helper that does not get a core in time is not waited for.

        Args:
            work: lets go of the interpreter's lock.
            count: rows, or whatever the work is done for.
            at_once: how many make a piece that is worth handing over.
        """
        idle = self._cores - self._searches
        helpers = min(idle, -(-count // at_once) - 1)
        if helpers <= 0:
            work(0, count)
            return
        firsts = itertools.count(0, at_once)  # next() on it is atomic

        def take_part() -> None:
            while (first := next(firsts)) < count:
                work(first, min(first + at_once, count))

        others = [self._helpers.submit(take_part) for _ in range(helpers)]
        try:
            take_part()
        finally:
            for other in others:
                if not other.cancel():
                    other.result()
