"""The asyncio client against a real gRPC server that records what it is asked."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TypeVar

import grpc
import pytest

import client as client_room
from client import AsyncRetrievalClient, Query, RetrievalClient, RetrievalError
from tests.support.patience import PATIENCE_S
from tests.support.recording_servicer import Servicer, started

Value = TypeVar("Value")


def with_client(
    address: str, work: Callable[[AsyncRetrievalClient], Awaitable[Value]], **options: object
) -> Value:
    """What some work with a client returns."""

    async def run() -> Value:
        async with AsyncRetrievalClient(address, **options) as client:
            return await work(client)

    return asyncio.run(run())


CALLS = {
    "search": lambda client: client.search(b"photo", words="nuxe", top_k=5, alpha={"a": 2.5}),
    "similar": lambda client: client.similar("1001", group_by="brand", exclude_ids=["1002"]),
    "products": lambda client: client.products(["1001", "none"]),
    "status": lambda client: client.status(),
    "wait": lambda client: client.wait_until_ready(PATIENCE_S),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_every_call_asks_and_answers_as_that_of_the_blocking_client(servicer, address, call):
    answer = with_client(address, call)
    with RetrievalClient(address) as client:
        assert answer == call(client)
    for asked in (servicer.requests, servicer.ids_asked_for):
        assert asked[:1] == asked[1:]


def test_both_clients_have_the_same_methods_with_the_same_arguments():
    names = [name for name in dir(RetrievalClient) if not name.startswith("_") and name != "close"]
    assert len(names) >= 8
    for name in ("__init__", *names):
        blocking, asynchronous = (
            inspect.signature(getattr(kind, name)).parameters
            for kind in (RetrievalClient, AsyncRetrievalClient)
        )
        assert list(blocking) == list(asynchronous)
        assert [each.default for each in blocking.values()] == [
            each.default for each in asynchronous.values()
        ]


@pytest.mark.parametrize(
    "code",
    ["NOT_FOUND", "INVALID_ARGUMENT", "RESOURCE_EXHAUSTED", "UNIMPLEMENTED", "UNAUTHENTICATED"],
)
def test_each_status_becomes_the_error_of_the_blocking_client(servicer, address, code):
    servicer.refusals = [(grpc.StatusCode[code], "why.")] * 2
    servicer.trailing_metadata = (("grpc-retry-pushback-ms", "250"),)
    with pytest.raises(RetrievalError) as asynchronous:
        with_client(address, lambda client: client.search(b"photo"))
    with RetrievalClient(address) as client, pytest.raises(RetrievalError) as blocking:
        client.search(b"photo")
    assert type(asynchronous.value) is type(blocking.value)
    assert (str(asynchronous.value), vars(asynchronous.value)) == (
        str(blocking.value),
        vars(blocking.value),
    )


@pytest.mark.parametrize("status", ["UNAVAILABLE", "CANCELLED"])
def test_what_a_server_going_away_refuses_is_retried(servicer, address, status):
    servicer.refusals = [(grpc.StatusCode[status], "going away")] * 2
    assert with_client(address, lambda client: client.search(b"photo")).results
    assert len(servicer.requests) == 3


def test_a_busy_server_is_asked_again_when_it_says(servicer, address):
    servicer.trailing_metadata = (("grpc-retry-pushback-ms", "10"),)
    servicer.refusals = [(grpc.StatusCode.RESOURCE_EXHAUSTED, "The server is busy.")] * 2
    assert with_client(address, lambda client: client.search(b"photo", busy_wait_s=PATIENCE_S))
    assert len(servicer.requests) == 3


def test_a_late_answer_is_an_error_that_names_the_time_limit(address):
    with pytest.raises(client_room.DeadlineExceededError, match=r"within 0\.2 s"):
        with_client(address, lambda client: client.search(b"held"), timeout_s=0.2)


def test_many_tasks_share_one_client(servicer, address):
    async def together(client: AsyncRetrievalClient) -> list[object]:
        return await asyncio.gather(*(client.search(b"photo") for _ in range(32)))

    assert len(with_client(address, together)) == len(servicer.requests) == 32


def test_a_client_that_is_closed_ends_its_calls_with_an_error(servicer, address):
    async def closing() -> RetrievalError:
        client = AsyncRetrievalClient(address)
        call = asyncio.create_task(client.search(b"held"))
        while not servicer.requests:
            await client.status()
        await client.close()
        with pytest.raises(RetrievalError, match="is closed") as caught:
            await call
        with pytest.raises(RetrievalError, match="is closed"):
            await client.search(b"photo")
        await client.close()
        return caught.value

    assert asyncio.run(closing()).code is grpc.StatusCode.CANCELLED


def test_a_task_that_is_cancelled_is_cancelled(servicer, address):
    async def cancelling(client: AsyncRetrievalClient) -> bool:
        call = asyncio.create_task(client.search(b"held"))
        while not servicer.requests:
            await client.status()
        call.cancel()
        await asyncio.wait([call])
        return call.cancelled()

    assert with_client(address, cancelling)


def test_a_client_outside_of_an_event_loop_is_refused(address):
    with pytest.raises(RuntimeError, match="no running event loop"):
        AsyncRetrievalClient(address)


def test_a_blocking_client_that_is_closed_says_so(address):
    client = RetrievalClient(address)
    client.close()
    with pytest.raises(RetrievalError, match=rf"The client of {address} is closed"):
        client.status()


class StreamServicer(Servicer):
    """A server whose streams end at once, as those of one that knows none, or hang."""

    def __init__(self, *, hangs: bool) -> None:
        super().__init__()
        self.hangs = hangs
        self.streams = 0

    def SearchStream(self, requests, context):  # noqa: N802, the proto's name
        self.streams += 1
        if self.hangs:
            self.release.wait(PATIENCE_S)
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")


def one_by_one(
    servicer: Servicer, queries: list[Query], *, is_async: bool, timeout_s: float = PATIENCE_S
) -> list[client_room.Answer]:
    """The answers of a stream with one query at a time."""
    server, address = started(servicer)

    async def asynchronous(client: AsyncRetrievalClient) -> list[client_room.Answer]:
        return [answer async for answer in client.search_stream(queries, in_flight=1)]

    if is_async:
        answers = with_client(address, asynchronous, timeout_s=timeout_s)
    else:
        with RetrievalClient(address, timeout_s=timeout_s) as client:
            answers = list(client.search_stream(queries, in_flight=1))
    servicer.release.set()
    server.stop(grace=None).wait()
    return answers


@pytest.mark.parametrize("is_async", [False, True])
def test_a_server_that_knows_no_streams_is_asked_one_by_one(is_async):
    servicer = StreamServicer(hangs=False)
    answers = one_by_one(servicer, 20 * [Query(b"photo")], is_async=is_async)
    assert [answer.number for answer in answers] == list(range(20))
    assert len(servicer.requests) == 20
    assert servicer.streams == 1


@pytest.mark.parametrize("is_async", [False, True])
def test_a_stream_that_was_late_gets_no_further_queries(is_async):
    """Its server may hang; another stream may lead to another server."""
    servicer = StreamServicer(hangs=True)
    answers = one_by_one(servicer, 3 * [Query(b"photo")], is_async=is_async, timeout_s=0.3)
    kinds = [type(answer.outcome) for answer in answers]
    assert kinds == 3 * [client_room.DeadlineExceededError]
    assert servicer.streams == 3


def test_queries_of_a_stream_may_come_one_by_one(address):
    async def queries():
        for _ in range(3):
            await asyncio.sleep(0)
            yield Query(b"photo")

    async def answers(client: AsyncRetrievalClient) -> list[int]:
        return [answer.number async for answer in client.search_stream(queries())]

    assert sorted(with_client(address, answers)) == [0, 1, 2]
