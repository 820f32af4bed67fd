"""A load that is told how fast to write waits before the batches that would come too early."""

import pytest

from retrieval_server.stores.pace import Pace


class Clock:
    """A clock that only waiting and work move."""

    def __init__(self):
        self.now, self.waits = 100.0, []

    def wait(self, seconds):
        self.waits.append(seconds)
        self.now += seconds


def test_batches_come_as_fast_as_allowed_and_no_faster():
    clock = Clock()
    pace = Pace(50.0, lambda: clock.now, clock.wait)
    for rows, work_s in [(100, 0.5), (100, 3.0), (10, 0.0), (10, 0.0)]:
        pace.before(rows)
        clock.now += work_s
    # 100 rows take 2 s: the second waits for what is left; the third comes late; the fourth waits
    assert clock.waits == pytest.approx([1.5, 0.2])


def test_without_a_limit_nothing_waits():
    clock = Clock()
    pace = Pace(None, lambda: clock.now, clock.wait)
    pace.before(1_000_000)
    pace.before(1_000_000)
    assert clock.waits == []
