"""Admission: refuses at once a search that cannot be answered before its deadline.

Searches of one kind wait in one line, since they need the same stages. While a line is busy, its
pace is measured: the time between two searches that end, as a decaying mean. A new search is
expected to take as long as the line needs for the searches ahead of it and for itself. If that is
longer than its caller waits, it is refused, with the time after which another try makes sense.

The pace includes everything that slows the line down: other lines, other processes, a Triton with
other clients. A line with an idle worker admits every search, so that a pace that was measured in a
bad moment is measured again.

Callers take turns (see ``turns.py``), so the searches ahead of a new one are not all that are in
progress, but as many of each caller as its own caller has. A caller whose searches fill the line is
refused while another one is admitted.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum

from retrieval_server.serving.admission.callers import NOBODY, Caller
from retrieval_server.serving.admission.shares import Shares
from retrieval_server.serving.admission.turns import PLACES_PER_WORKER

USABLE_SHARE = 0.75  # of the time that is left: a search may take longer than expected
PACE_WEIGHT = 0.1  # of the last measurement in the mean
FULL_RETRY_S = 1.0  # where no pace is known
FREE_SHARE = 1 / 8  # of its own searches: so many places a caller leaves free for others


class Kind(Enum):
    """What a search needs: each kind has a line of its own."""

    PHOTO = "photo"  # decoding, the engine, ranking
    READ = "read"  # a photo whose words are read as well
    STORED = "stored"  # ranking only: a product of the index, or descriptors
    PRODUCTS = "products"  # no search: the catalogue's texts of some products


CHEAP_KINDS = {Kind.STORED, Kind.PRODUCTS}  # no model runs


class Cause(Enum):
    """Why a search is refused."""

    FULL = "full"  # as many searches in progress as the settings allow
    LATE = "late"  # the answer would come after the caller's deadline, or after the longest wait


@dataclass(frozen=True)
class Overload:
    """Why a search cannot begin; a value and no exception, since raising one costs more.

    Attributes:
        cause: for the metrics.
        problem: a sentence for a person.
        retry_after_s: seconds after which another try makes sense, in tenths.
    """

    cause: Cause
    problem: str
    retry_after_s: float

    def __str__(self) -> str:
        return f"{self.problem} Try again in {self.retry_after_s:.1f} s."


class End(Enum):
    """How a search ends."""

    ANSWERED = "answered"
    FAILED = "failed"  # by an error, such as an engine that is away: it took another time
    GIVEN_UP = "given up"  # the caller has hung up, or its deadline has passed


class Line:
    """The searches of one kind that are in progress, and the pace at which they end.

    Each has a size; ``in_progress`` is the sum of the sizes, the pace is that of size 1.

    Args:
        workers: number of searches in progress that keep the line busy.
        clock: returns seconds, monotonic.
    """

    def __init__(self, workers: int, clock: Callable[[], float]) -> None:
        self._workers = workers
        self._clock = clock
        self._measured_from = 0.0
        self.shares = Shares()
        self.pace_s: float | None = None

    @property
    def in_progress(self) -> int:
        """The sum of the sizes of all searches in progress."""
        return self.shares.total

    @property
    def is_busy(self) -> bool:
        """Whether a further search has to wait for a worker."""
        return self.in_progress >= self._workers

    @property
    def length_s(self) -> float:
        """Seconds until all searches in progress and one more have ended; 0 while unknown."""
        if self.pace_s is None or not self.is_busy:
            return 0.0
        return (self.in_progress + 1) * self.pace_s

    def expected_s(self, size: int, caller: Caller) -> float:
        """Seconds that a search is expected to take if it begins now; 0 while that is unknown.

        Args:
            size: how many searches its work is as much as: the number of its photos.
            caller: who waits for it.
        """
        if self.pace_s is None or not self.is_busy:
            return 0.0
        begun = min(self.in_progress, PLACES_PER_WORKER * self._workers)  # has had its turn
        return max(self.shares.turns(caller, size), begun + size) * self.pace_s

    def enter(self, size: int, caller: Caller) -> None:
        """Begin a search of a size."""
        was_busy = self.is_busy
        self.shares.add(caller, size)
        if self.is_busy and not was_busy:
            self._measured_from = self._clock()

    def leave(self, size: int, caller: Caller, end: End) -> None:
        """End a search of a size.

        Args:
            size: that it began with.
            caller: who waited for it.
            end: how; only a search that was answered says how long the next one will take.
        """
        if self.is_busy and end is not End.GIVEN_UP:
            now = self._clock()
            measured_s, self._measured_from = (now - self._measured_from) / size, now
            self.shares.count_end(caller)
            if end is End.ANSWERED:
                self.pace_s = measured_s if self.pace_s is None else self.pace_s
                self.pace_s += PACE_WEIGHT * (measured_s - self.pace_s)
        self.shares.remove(caller, size)


class Admission:
    """Admits the searches that can be answered in time.

    Used in the event loop only.

    Args:
        max_searches: most searches in progress, of all kinds together; bounds the memory.
        longest_wait_s: longest time that an admitted search may be expected to take, also where
            the caller waits longer.
        workers: number of searches that the server works on at the same time.
        clock: returns seconds, monotonic.
    """

    def __init__(
        self,
        *,
        max_searches: int,
        longest_wait_s: float,
        workers: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_searches = max_searches
        self._longest_wait_s = longest_wait_s
        self._lines = {kind: Line(workers, clock) for kind in Kind}
        self._all = Shares()  # of every kind

    def length_s(self, kind: Kind) -> float:
        """Seconds until the searches of a kind that are in progress and one more have ended."""
        return self._lines[kind].length_s

    def overload(
        self, kind: Kind, remaining_s: float | None, size: int = 1, caller: Caller = NOBODY
    ) -> Overload | None:
        """Say why a search cannot begin now; None if it can.

        Args:
            kind: what the search needs.
            remaining_s: seconds until the caller's deadline; None if it set none.
            size: how many searches its work is as much as: the number of its photos.
            caller: who waits for it.
        """
        if self._is_full(caller):
            return self._full()
        expected_s = self._lines[kind].expected_s(size, caller)
        allowed_s = self._longest_wait_s
        if remaining_s is not None:
            allowed_s = min(allowed_s, USABLE_SHARE * remaining_s)
        return self._late(expected_s) if expected_s > allowed_s else None

    @contextmanager
    def in_progress(self, kind: Kind, size: int = 1, caller: Caller = NOBODY) -> Iterator[None]:
        """Let a search that can begin be in progress while the block runs.

        Args:
            kind: what the search needs.
            size: how many searches its work is as much as.
            caller: who waits for it.
        """
        line = self._lines[kind]
        line.enter(size, caller)
        self._all.add(caller, size)
        end = End.ANSWERED
        try:
            yield
        except Exception:
            end = End.FAILED
            raise
        except BaseException:  # asyncio.CancelledError
            end = End.GIVEN_UP
            raise
        finally:
            line.leave(size, caller, end)
            self._all.remove(caller, size)

    def _is_full(self, caller: Caller) -> bool:
        """Whether a caller finds no place: none is free, or it must leave the free ones."""
        free = self._max_searches - self._all.total
        return free < 1 or FREE_SHARE * self._all.of(caller) >= free

    def _full(self) -> Overload:
        expected_s = max(line.length_s for line in self._lines.values()) or FULL_RETRY_S
        problem = (
            f"The server is full: at most {self._max_searches} searches may be in progress "
            "(max_concurrent_requests), and a caller leaves some of them to others."
        )
        return Overload(Cause.FULL, problem, self._retry_after_s(expected_s))

    def _late(self, expected_s: float) -> Overload:
        problem = f"The server is busy: an answer would take about {expected_s:.2g} s."
        return Overload(Cause.LATE, problem, self._retry_after_s(expected_s))

    def _retry_after_s(self, expected_s: float) -> float:
        """By then, the searches that are in progress now have ended."""
        return math.ceil(10 * min(expected_s, self._longest_wait_s)) / 10
