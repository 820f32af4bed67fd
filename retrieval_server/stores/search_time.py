"""The time that one search in a store has: the server's own limit, and the caller's deadline."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

TIME_SHARE = 0.5  # of what is left to the caller; the rest is for the second stage and the answer


@dataclass(frozen=True)
class SearchTime:
    """When a search stops to ask for longer lists; times are of the clock ``time.monotonic``.

    Attributes:
        stop_at_s: when the server's limit is reached.
        answer_by_s: when nobody waits for the answer any more.
    """

    stop_at_s: float
    answer_by_s: float = math.inf

    def allows(self, seconds: float) -> bool:
        """Whether there is time for a list that takes some seconds."""
        now = time.monotonic()
        return now < self.stop_at_s and seconds <= TIME_SHARE * (self.answer_by_s - now)
