"""Admission by deadline, on a clock that the test sets."""

import asyncio
from contextlib import ExitStack

import pytest

from retrieval_server.serving.admission.admission import (
    PACE_WEIGHT,
    USABLE_SHARE,
    Admission,
    Cause,
    Kind,
)
from retrieval_server.serving.admission.arrivals import FAST_PER_S, WINDOW_S, Arrivals

PACE_S = 0.125  # exact in binary


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def admission(clock: Clock) -> Admission:
    """One worker; photos end at a pace of ``PACE_S``."""
    admission = Admission(max_searches=20, longest_wait_s=2.0, workers=1, clock=clock)
    with admission.in_progress(Kind.PHOTO):
        clock.now += PACE_S
    return admission


@pytest.fixture
def in_progress(admission: Admission):
    """Begin photos, which are in progress until the end of the test."""
    with ExitStack() as stack:
        yield lambda count: [
            stack.enter_context(admission.in_progress(Kind.PHOTO)) for _ in range(count)
        ]


def test_a_search_is_expected_to_take_as_long_as_those_ahead_and_itself(admission, in_progress):
    assert admission.length_s(Kind.PHOTO) == 0.0
    in_progress(3)
    assert admission.length_s(Kind.PHOTO) == 4 * PACE_S


def test_a_search_that_would_be_late_is_refused_until_the_line_is_shorter(admission, in_progress):
    in_progress(3)
    needed_s = 4 * PACE_S / USABLE_SHARE
    late = admission.overload(Kind.PHOTO, 0.99 * needed_s)
    assert (late.cause, late.retry_after_s) == (Cause.LATE, 4 * PACE_S)
    assert "Try again in 0.5 s" in str(late)
    assert admission.overload(Kind.PHOTO, 1.01 * needed_s) is None


def test_a_delay_is_in_tenths_of_a_second_and_never_too_short(admission, in_progress):
    in_progress(4)
    assert admission.length_s(Kind.PHOTO) == 0.625
    assert admission.overload(Kind.PHOTO, 0.1).retry_after_s == 0.7


def test_without_a_deadline_the_longest_wait_is_the_bound(admission, in_progress):
    in_progress(16)
    assert admission.overload(Kind.PHOTO, None).cause is Cause.LATE
    assert admission.overload(Kind.PHOTO, 100.0).cause is Cause.LATE


def test_one_kind_of_search_does_not_wait_in_the_line_of_the_other(admission, in_progress):
    in_progress(10)
    assert admission.overload(Kind.PHOTO, 0.1)
    assert admission.overload(Kind.STORED, 0.1) is None


def test_a_full_server_refuses_every_kind_and_says_when_to_come_back(clock):
    admission = Admission(max_searches=2, longest_wait_s=10.0, workers=1, clock=clock)
    with admission.in_progress(Kind.PHOTO), admission.in_progress(Kind.STORED):
        for kind in Kind:
            full = admission.overload(kind, None)
            assert (full.cause, full.retry_after_s) == (Cause.FULL, 1.0)
    assert admission.overload(Kind.PHOTO, None) is None


def test_a_server_with_an_idle_worker_admits_whatever_it_measured_before(clock):
    admission = Admission(max_searches=20, longest_wait_s=10.0, workers=1, clock=clock)
    with admission.in_progress(Kind.PHOTO):
        clock.now += 100.0
    assert admission.overload(Kind.PHOTO, 0.001) is None
    with admission.in_progress(Kind.PHOTO):
        assert admission.overload(Kind.PHOTO, 10.0)


def test_the_pace_follows_what_is_measured(admission, clock, in_progress):
    with admission.in_progress(Kind.PHOTO):
        clock.now += 3 * PACE_S
    in_progress(1)
    assert admission.length_s(Kind.PHOTO) == pytest.approx(2 * PACE_S * (1 + 2 * PACE_WEIGHT))


def test_a_search_counts_as_often_as_it_has_photos(admission, clock, in_progress):
    search = admission.in_progress(Kind.PHOTO, 4)
    search.__enter__()
    in_progress(2)
    assert admission.length_s(Kind.PHOTO) == 7 * PACE_S
    clock.now += 4 * PACE_S
    search.__exit__(None, None, None)
    assert admission.length_s(Kind.PHOTO) == 3 * PACE_S


def test_a_search_of_many_photos_is_late_where_one_photo_is_not(admission, in_progress):
    in_progress(1)
    assert admission.overload(Kind.PHOTO, 4 * PACE_S, 1) is None
    assert admission.overload(Kind.PHOTO, 4 * PACE_S, 4)


def test_a_search_that_fails_says_nothing_about_the_pace(admission, clock, in_progress):
    search = admission.in_progress(Kind.PHOTO)
    search.__enter__()
    clock.now += 100.0
    with pytest.raises(RuntimeError):
        search.gen.throw(RuntimeError("the engine is away"))
    in_progress(1)
    assert admission.length_s(Kind.PHOTO) == 2 * PACE_S


def test_a_search_that_is_given_up_says_nothing_about_the_pace(admission, clock, in_progress):
    search = admission.in_progress(Kind.PHOTO)
    search.__enter__()
    clock.now += 100.0
    search.__exit__(asyncio.CancelledError, asyncio.CancelledError(), None)
    in_progress(1)
    assert admission.length_s(Kind.PHOTO) == 2 * PACE_S


class RestingWorkers:
    def __init__(self) -> None:
        self.rests: list[float] = []

    def submit(self, work: object, *arguments: float) -> None:
        self.rests += arguments


@pytest.mark.parametrize(
    ("workers", "per_s", "rests"), [(2, 1.2 * FAST_PER_S, 1), (2, 0.8 * FAST_PER_S, 0), (1, 1e4, 0)]
)
def test_one_worker_rests_while_arrivals_are_fast(clock, workers, per_s, rests):
    executor = RestingWorkers()
    arrivals = Arrivals(executor, workers, clock)
    for number in range(1, 10_000):
        clock.now = number / per_s
        arrivals.note()
        if clock.now >= WINDOW_S:
            break
    assert len(executor.rests) == rests
