"""Callers take turns: one who asks for very much does not starve the others."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack

import grpc
import pytest

from retrieval_server.serving.admission.admission import Admission, Cause, Kind
from retrieval_server.serving.admission.callers import CURRENT, Caller, caller_of
from retrieval_server.serving.admission.shares import Shares
from retrieval_server.serving.admission.turns import Turns
from retrieval_server.v1 import retrieval_pb2 as pb
from retrieval_server.v1 import retrieval_pb2_grpc as pb_grpc
from tests.support.patience import PATIENCE_S, eventually
from tests.support.search_calls import photo
from tests.support.served import ServedBy

GREEDY, MODEST = Caller("greedy", "1"), Caller("modest", "1")
OPEN_CALLS = 50
PACE_S = 0.125

# Turns


class Stage:
    """A stage with one place, in which work waits for the test."""

    def __init__(self) -> None:
        self.turns = Turns(1)
        self.order: list[str] = []
        self.may_end = asyncio.Event()

    def begin(self, caller: Caller, name: str) -> asyncio.Task[None]:
        CURRENT.set(caller)  # the task inherits it
        return asyncio.create_task(self._work(name))

    async def _work(self, name: str) -> None:
        async with self.turns.taken():
            self.order.append(name)
            await self.may_end.wait()


def in_stage(test: Callable[[Stage], Awaitable[None]]) -> None:
    async def run() -> None:
        await test(Stage())

    asyncio.run(run())


async def started() -> None:
    """Let all tasks run until they wait."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_a_caller_with_one_search_is_next_whoever_has_more_waiting() -> None:
    async def test(stage: Stage) -> None:
        tasks = [stage.begin(GREEDY, f"g{number}") for number in range(5)]
        await started()
        tasks.append(stage.begin(MODEST, "m"))
        await started()
        stage.may_end.set()
        await asyncio.gather(*tasks)
        assert stage.order == ["g0", "g1", "m", "g2", "g3", "g4"]

    in_stage(test)


def test_the_connections_of_a_caller_take_turns_in_the_turns_of_their_caller() -> None:
    async def test(stage: Stage) -> None:
        tasks = [stage.begin(GREEDY, f"a{number}") for number in range(4)]
        tasks += [stage.begin(GREEDY._replace(connection="2"), f"b{number}") for number in (0, 1)]
        tasks += [stage.begin(MODEST, f"m{number}") for number in (0, 1, 2)]
        await started()
        stage.may_end.set()
        await asyncio.gather(*tasks)
        assert stage.order == ["a0", "a1", "m0", "b0", "m1", "a2", "m2", "b1", "a3"]

    in_stage(test)


def test_a_search_that_is_cancelled_leaves_the_queue_and_takes_no_place() -> None:
    async def test(stage: Stage) -> None:
        held, waiting, last = (stage.begin(GREEDY, name) for name in ("held", "waiting", "last"))
        await started()
        waiting.cancel()
        stage.may_end.set()
        await asyncio.gather(held, waiting, last, return_exceptions=True)
        assert waiting.cancelled()
        assert stage.order == ["held", "last"]
        await stage.begin(MODEST, "later")

    in_stage(test)


def test_a_search_that_is_cancelled_while_its_turn_comes_gives_its_place_back() -> None:
    async def test(stage: Stage) -> None:
        async with stage.turns.taken():
            waiting = stage.begin(GREEDY, "waiting")
            await started()
        waiting.cancel()
        stage.may_end.set()
        await asyncio.gather(waiting, return_exceptions=True)
        assert waiting.cancelled()
        await stage.begin(MODEST, "later")
        assert stage.order == ["later"]

    in_stage(test)


def test_large_work_waits_until_all_of_it_has_place_and_small_work_waits_behind_it() -> None:
    async def test() -> None:
        turns, order, may_end = Turns(10), [], [asyncio.Event() for _ in range(3)]

        async def work(number: int, size: int) -> None:
            async with turns.taken(size):
                order.append(size)
                await may_end[number].wait()

        tasks = [asyncio.create_task(work(*each)) for each in enumerate((6, 7, 1))]
        await started()
        assert order == [6]
        may_end[0].set()
        await started()
        assert order == [6, 7, 1]
        for event in may_end:
            event.set()
        await asyncio.gather(*tasks)

    asyncio.run(test())


# Who calls


class Context:
    def __init__(self, peer: str, *metadata: tuple[str, str]) -> None:
        self.peer = lambda: peer
        self.invocation_metadata = lambda: metadata


def test_callers_are_told_apart_by_address_unless_the_server_demands_tokens() -> None:
    context = Context("ipv4:10.0.0.7:51234", ("authorization", "Bearer of-a-caller"))
    assert caller_of(context, by_token=False) == ("ipv4:10.0.0.7", "ipv4:10.0.0.7:51234")
    assert caller_of(context, by_token=True) == (b"of-a-caller", "ipv4:10.0.0.7:51234")
    assert caller_of(Context("ipv6:%5B::1%5D:5000"), by_token=False).name == "ipv6:%5B::1%5D"
    assert caller_of(Context("unix:"), by_token=False).name == "unix:"


# Admission


@pytest.fixture
def admission() -> Admission:
    """One worker; photos end at a pace of ``PACE_S``."""
    times = iter((0.0, PACE_S))
    admission = Admission(
        max_searches=64, longest_wait_s=10.0, workers=1, clock=lambda: next(times, 1.0)
    )
    with admission.in_progress(Kind.PHOTO):
        pass
    return admission


@pytest.fixture
def begin(admission: Admission) -> Iterator[Callable[[Caller, int], None]]:
    """Begin photos of a caller, which are in progress until the end of the test."""
    with ExitStack() as stack:

        def begin(caller: Caller, count: int) -> None:
            for _ in range(count):
                stack.enter_context(admission.in_progress(Kind.PHOTO, 1, caller))

        yield begin


def test_a_caller_who_fills_the_line_is_refused_and_another_one_is_admitted(
    admission: Admission, begin: Callable[[Caller, int], None]
) -> None:
    begin(GREEDY, 6)
    assert admission.overload(Kind.PHOTO, 1.0, 1, GREEDY).cause is Cause.LATE
    assert admission.overload(Kind.PHOTO, 1.0, 1, MODEST) is None


def test_a_caller_who_may_have_all_places_leaves_some_for_others(
    admission: Admission, begin: Callable[[Caller, int], None]
) -> None:
    begin(GREEDY, 57)
    assert admission.overload(Kind.STORED, None, 1, GREEDY).cause is Cause.FULL
    assert admission.overload(Kind.STORED, None, 1, MODEST) is None


def test_a_caller_waits_longer_the_smaller_its_share_of_the_answers_is() -> None:
    shares = Shares()
    shares.add(GREEDY, 10)
    assert shares.turns(GREEDY, 1) == 11
    shares.add(MODEST, 1)
    assert shares.turns(GREEDY, 1) == 12
    for _ in range(200):  # the modest one has as many answers
        shares.count_end(GREEDY)
        shares.count_end(MODEST)
    assert 20 < shares.turns(GREEDY, 1) <= 22
    assert shares.turns(MODEST, 1) <= 4


# A real server


def test_one_call_is_answered_before_most_of_the_fifty_that_another_caller_has_open(
    served_by: ServedBy, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        served_by(workers=1) as served,
        grpc.insecure_channel(
            served.address, [("grpc.use_local_subchannel_pool", 1)]
        ) as other_connection,
    ):
        served.hold()
        search = pb.SearchRequest(image=photo())
        greedy = [served.stub.Search.future(search, timeout=PATIENCE_S) for _ in range(OPEN_CALLS)]
        eventually(lambda: served.waiting("encode") == OPEN_CALLS - served.engine.in_flight)
        stub = pb_grpc.RetrievalServiceStub(other_connection)
        modest = stub.Search.future(search, timeout=PATIENCE_S)
        eventually(lambda: served.waiting("encode") == OPEN_CALLS - served.engine.in_flight + 1)
        with caplog.at_level(logging.INFO):
            served.release()
            request_id = modest.result().request_id
            assert all(len(call.result().results) == 7 for call in greedy)
    answered = [record.getMessage() for record in caplog.records if "request_id" in record.msg]
    (place,) = (n for n, line in enumerate(answered) if request_id in line)
    assert place < 10
    assert len(answered) == OPEN_CALLS + 1
