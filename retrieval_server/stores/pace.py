"""How fast rows are written, so that a load leaves time to the searches of the store."""

from __future__ import annotations

import time
from collections.abc import Callable


class Pace:
    """Waits so that no more rows are written in a second than allowed.

    Args:
        rows_per_second: how many are allowed; None for any.
        clock: gives the time in seconds.
        wait: waits some seconds.
    """

    def __init__(
        self,
        rows_per_second: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rows_per_second, self._clock, self._wait = rows_per_second, clock, wait
        self._next_at = -float("inf")

    def before(self, rows: int) -> None:
        """Wait until the next rows may be written.

        Args:
            rows: how many they are.
        """
        if self._rows_per_second is None:
            return
        now = self._clock()
        if now < self._next_at:
            self._wait(self._next_at - now)
        self._next_at = max(now, self._next_at) + rows / self._rows_per_second
