"""When a caller's time is over."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Deadline:
    """The end of a caller's time.

    Attributes:
        at_s: on the clock ``time.monotonic``; None if the caller set no deadline.
    """

    at_s: float | None

    @classmethod
    def after(cls, remaining_s: float | None) -> Deadline:
        """The deadline that is some seconds away; None is none."""
        return cls(None if remaining_s is None else time.monotonic() + remaining_s)

    @property
    def remaining_s(self) -> float | None:
        """Seconds that are left, not above 0 after the deadline; None if there is none."""
        return None if self.at_s is None else self.at_s - time.monotonic()

    @property
    def has_passed(self) -> bool:
        """Whether nobody waits any more."""
        return self.at_s is not None and time.monotonic() >= self.at_s
