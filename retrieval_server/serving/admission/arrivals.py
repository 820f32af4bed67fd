"""Keeps a core for the event loop while cheap searches arrive faster than they can be answered.

The loop accepts, refuses and answers every request, at some 0.2 to 0.5 ms each. Where workers that
rank hold the interpreter, the loop falls behind. Then HTTP/2 refuses the requests that a connection
has beyond its limit (see grpc_endpoint), and cannot say when to try again. Photos do not count: the
models run outside the interpreter.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Executor

FAST_PER_S = 500  # arrivals that take a good part of a core to answer or to refuse
WINDOW_S = 0.1


class Arrivals:
    """Counts the arrivals of searches that only rank, and lets one worker rest while they are fast.

    Used in the event loop only.

    Args:
        executor: the workers.
        workers: number of them; a single one never rests.
        clock: returns seconds, monotonic.
    """

    def __init__(
        self, executor: Executor, workers: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._executor = executor
        self._may_rest = workers > 1
        self._clock = clock
        self._window_began_at = clock()
        self._count = 0

    def note(self) -> None:
        """Count one arrival."""
        self._count += 1
        window_s = self._clock() - self._window_began_at
        if window_s < WINDOW_S:
            return
        if self._may_rest and self._count > FAST_PER_S * window_s:
            self._executor.submit(time.sleep, WINDOW_S)
        self._window_began_at += window_s
        self._count = 0
