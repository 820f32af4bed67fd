"""The client's streams, blocking and asyncio, against a real server."""

import dataclasses
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import Mock

import pytest

import client as client_room
from client import (
    Answer,
    AsyncRetrievalClient,
    DeadlineExceededError,
    InvalidQueryError,
    OverloadedError,
    Query,
    RetrievalClient,
    RetrievalError,
    SearchResult,
    TooLargeError,
    UnreadableFileError,
)
from client.streams.open_streams import MOST_IN_FLIGHT
from retrieval_server.serving.calls import search_streams
from tests.support.paths import ROOT
from tests.support.patience import PATIENCE_S, eventually
from tests.support.search_calls import photo
from tests.support.served import Served, ServedBy

Streamed = Callable[..., list[Answer]]


@pytest.fixture(params=["blocking", "asyncio"])
def streamed(request: pytest.FixtureRequest) -> Streamed:
    """Search a server for queries, in streams; the answers as they come."""

    def blocking(served: Served, queries: Iterable[Query], **options: object) -> list[Answer]:
        timeout_s = options.pop("timeout_s", PATIENCE_S)
        with RetrievalClient(served.address, timeout_s=timeout_s) as client:
            return list(client.search_stream(queries, **options))

    def asynchronous(served: Served, queries: Iterable[Query], **options: object) -> list[Answer]:
        timeout_s = options.pop("timeout_s", PATIENCE_S)

        async def answers() -> list[Answer]:
            async with AsyncRetrievalClient(served.address, timeout_s=timeout_s) as client:
                return [each async for each in client.search_stream(queries, **options)]

        found = served.result(answers())
        assert isinstance(found, list)
        return found

    return blocking if request.param == "blocking" else asynchronous


def untimed(outcome: SearchResult | RetrievalError) -> SearchResult:
    """What two answers to the same query have in common."""
    assert isinstance(outcome, SearchResult), outcome
    return dataclasses.replace(
        outcome, timings=client_room.Timings(0, 0, 0, 0, 0, 0), request_id=""
    )


def test_every_answer_is_that_of_a_single_search(
    shared: Served, streamed: Streamed, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Mock(wraps=search_streams.Stream)
    monkeypatch.setattr(search_streams, "Stream", opened)
    queries = [
        Query(photo(number), top_k=5, keep=2)
        if number % 2
        else Query(product_id=f"p0{number % 8}0{number % 5}", words="ruby", exclude_ids=["p0001"])
        for number in range(30)
    ]
    answers = streamed(shared, queries, in_flight=2 * MOST_IN_FLIGHT + 1)
    assert sorted(answer.number for answer in answers) == list(range(30))
    assert opened.call_count in {1, 2, 3}  # by how fast the first are answered
    with RetrievalClient(shared.address) as client:
        for answer in answers:
            query = answer.query
            assert query is queries[answer.number]
            single = (
                client.search(query.image, top_k=5, keep=2)
                if query.image
                else client.similar(query.product_id, words="ruby", exclude_ids=["p0001"])
            )
            assert untimed(answer.outcome) == untimed(single)


def test_a_query_without_answer_has_its_error_and_the_others_go_on(
    shared: Served, streamed: Streamed, tmp_path: Path
) -> None:
    queries = [
        Query(product_id="p0000"),
        Query(b"no image"),
        Query(product_id="p9999"),
        Query(tmp_path / "missing.jpg"),
        Query(),
        Query(photo(), product_id="p0000"),
        Query(bytes(3 * 2**20)),  # more than the server reads, which ends the stream
        Query(product_id="p0001"),
    ]
    outcomes = {answer.number: answer.outcome for answer in streamed(shared, queries)}
    kinds = [type(outcomes[number]) for number in range(len(queries))]
    assert kinds == [
        SearchResult,
        InvalidQueryError,
        client_room.ProductNotFoundError,
        UnreadableFileError,
        InvalidQueryError,
        InvalidQueryError,
        TooLargeError,
        SearchResult,
    ]
    assert "image: is not an image" in str(outcomes[1])
    assert "Give an image or a product_id, not both" in str(outcomes[5])


def test_a_late_answer_is_an_error_that_names_the_time_limit(
    served_by: ServedBy, streamed: Streamed
) -> None:
    with served_by() as served:
        served.hold()
        (answer,) = streamed(served, [Query(photo())], timeout_s=0.3)
        assert isinstance(answer.outcome, DeadlineExceededError)
        assert "within 0.3 s" in str(answer.outcome)


def test_a_busy_server_is_asked_again_when_it_says(served_by: ServedBy, streamed: Streamed) -> None:
    with served_by(max_concurrent_requests=1) as served:
        queries = [Query(photo(number)) for number in range(4)]
        answers = streamed(served, queries, in_flight=4, busy_wait_s=PATIENCE_S)
        assert all(isinstance(answer.outcome, SearchResult) for answer in answers)
        served.hold()
        held = served.stub.Search.future(client_room.Query(photo()).message())
        assert served.engine.arrived.acquire(timeout=PATIENCE_S)
        (answer,) = streamed(served, [Query(product_id="p0000")])
        assert isinstance(answer.outcome, OverloadedError)
        assert answer.outcome.retry_after_s
        served.release()
        held.result(PATIENCE_S)


def test_a_server_with_too_few_streams_answers_the_other_queries_one_by_one(
    served_by: ServedBy, streamed: Streamed
) -> None:
    with served_by(max_streams=1, max_stream_requests=1) as served:
        queries = [Query(product_id="p0000") for _ in range(40)]
        answers = streamed(served, queries, in_flight=3 * MOST_IN_FLIGHT)
        assert [untimed(answer.outcome) for answer in answers] == 40 * [untimed(answers[0].outcome)]


def test_queries_are_taken_when_there_is_room_for_them_and_spread_over_streams(
    served_by: ServedBy, streamed: Streamed, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Mock(wraps=search_streams.Stream)
    monkeypatch.setattr(search_streams, "Stream", opened)
    taken = []

    def queries() -> Iterator[Query]:
        for number in range(2 * in_flight):
            taken.append(number)
            yield Query(photo(number))

    in_flight = MOST_IN_FLIGHT + 1
    with served_by() as served, ThreadPoolExecutor(1) as threads:
        served.hold()
        searching = threads.submit(streamed, served, queries(), in_flight=in_flight)
        eventually(lambda: opened.call_count == 2)  # the last query needs another stream
        assert len(taken) == in_flight
        served.release()
        assert len(searching.result(PATIENCE_S)) == 2 * in_flight


def test_what_goes_wrong_in_the_callers_own_queries_reaches_the_caller(
    shared: Served, streamed: Streamed
) -> None:
    def queries() -> Iterator[Query]:
        yield Query(product_id="p0000")
        raise KeyError("a column that is not there")

    with pytest.raises(KeyError, match="a column"):
        streamed(shared, queries())
    with pytest.raises(ValueError, match="top_k must be at least 1"):
        streamed(shared, [Query(photo(), top_k=0)])
    with pytest.raises(ValueError, match="in_flight must be at least 1"):
        streamed(shared, [], in_flight=0)
    assert streamed(shared, []) == []


def test_a_generator_that_is_closed_ends_the_work_and_the_client_stays(
    served_by: ServedBy,
) -> None:
    with served_by() as served, RetrievalClient(served.address, timeout_s=PATIENCE_S) as client:
        answers = client.search_stream([Query(product_id="p0000"), Query(photo())])
        served.hold()
        assert next(answers).number == 0
        assert served.engine.arrived.acquire(timeout=PATIENCE_S)
        answers.close()
        assert served.engine.cancelled.wait(PATIENCE_S)
        served.release()
        assert len(client.search(photo()).results) == 7


def test_an_async_generator_that_is_closed_ends_the_work_and_the_client_stays(
    served_by: ServedBy,
) -> None:
    async def closing(served: Served) -> int:
        async with AsyncRetrievalClient(served.address, timeout_s=PATIENCE_S) as client:
            answers = client.search_stream([Query(product_id="p0000"), Query(photo())])
            assert (await anext(answers)).number == 0
            while not served.engine.arrived.acquire(blocking=False):
                await client.status()
            await answers.aclose()
            while not served.engine.cancelled.is_set():
                await client.status()
            return len((await client.similar("p0000")).results)

    with served_by() as served:
        served.hold()
        assert served.result(closing(served)) == 7


def test_a_server_that_stops_answers_what_it_has_and_another_one_the_rest(
    served_by: ServedBy, streamed: Streamed
) -> None:
    with served_by() as first, served_by() as second:
        ports = [each.address.rpartition(":")[2] for each in (first, second)]
        first.hold()
        second.hold()
        both = Both(first, f"ipv4:{','.join(f'127.0.0.1:{port}' for port in ports)}")
        answers: list[Answer] = []
        queries = [Query(photo(number)) for number in range(4)]
        searching = threading.Thread(target=lambda: answers.extend(streamed(both, queries)))
        searching.start()
        eventually(
            lambda: any(each.engine.arrived.acquire(timeout=0.01) for each in (first, second))
        )
        stopping = threading.Thread(target=first.stop, args=(PATIENCE_S,))
        stopping.start()
        first.release()
        second.release()
        searching.join(PATIENCE_S)
        stopping.join(PATIENCE_S)
        assert len(answers) == 4
        assert all(isinstance(answer.outcome, SearchResult) for answer in answers)


def test_python_of_the_guide_runs(shared: Served, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for path in (tmp_path / "photo.jpg", tmp_path / "photos" / "a.jpg", tmp_path / "photos" / "b"):
        path.write_bytes(photo(1) if path.suffix else b"no image")
    text = (ROOT / "docs/serving.md").read_text(encoding="utf-8")
    programs = [
        program
        for program in re.findall(r"```python\n(.*?)```", text, re.DOTALL)
        if "tls_ca" not in program
    ]
    assert len(programs) == 3
    program = "".join(programs).replace("localhost:50051", shared.address)
    program = program.replace("1024", "p0000").replace("1025", "p0001")
    command = [sys.executable, "-W", "error", "-c", program]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert len(lines) == 7 + 2 + 1 + 1 + 2
    assert sum("refused the query: image: is not an image" in line for line in lines) == 1


class Both:
    """Two servers behind one name; calls run in the loop of one."""

    def __init__(self, served: Served, address: str) -> None:
        self.result, self.address = served.result, address
