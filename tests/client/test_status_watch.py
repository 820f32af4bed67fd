"""`beauty-search status --watch`: what a real server does, in lines, as JSON and on a terminal."""

import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from rich.console import Console

from client import RetrievalClient
from client.errors import RetrievalError, UnavailableError
from client.server_status import Activity, ServerStatus, Times
from client.terminal.activity import interval
from client.terminal.status_watch import TOO_OLD, show, watched
from retrieval_server.v1 import retrieval_pb2 as pb
from tests.support.beauty_search import beauty_search, json_lines
from tests.support.patience import PATIENCE_S
from tests.support.search_calls import photo
from tests.support.served import Served, ServedBy

ONCE = ("--watch", "--times", "1")


@pytest.fixture(scope="module")
def shared(served_by: ServedBy) -> Iterator[Served]:
    with served_by(metrics_port=0) as server:
        yield server


def status(server: Served) -> ServerStatus:
    with RetrievalClient(server.address) as client:
        return client.status()


def test_the_status_counts_what_the_server_has_done(served_by: ServedBy) -> None:
    with served_by() as server:
        assert sum(status(server).activity.times[0].counts) == 0
        for _ in range(3):
            server.search(image=photo())
        server.search(product_id="p0000")
        server.refused(product_id="p9999")
        done = status(server).activity
        times = {each.name: each for each in done.times}
        assert list(times) == ["search", "decode", "encode", "read", "rank", "refine"]
        assert (done.answered_count, done.failed_count, done.refused_count) == (4, 1, 0)
        assert done.in_progress == 0
        assert [sum(times[name].counts) for name in ("search", "decode", "rank")] == [5, 3, 4]
        assert all(len(each.counts) == len(each.bounds_s) + 1 for each in done.times)
        assert 0 < times["decode"].total_s < times["search"].total_s < done.uptime_s
        assert done.index_age_s > 0


def test_refused_and_waiting_searches_are_counted(served_by: ServedBy) -> None:
    with served_by(max_concurrent_requests=1) as server:
        server.hold()
        held = server.stub.Search.future(pb.SearchRequest(image=photo()))
        assert server.engine.arrived.acquire(timeout=PATIENCE_S)
        server.refused(image=photo())
        done = status(server).activity
        assert (done.refused_count, done.failed_count, done.in_progress) == (1, 1, 1)
        server.release()
        held.result(PATIENCE_S)


def test_a_line_has_the_rates_the_times_by_stage_and_the_index(shared: Served) -> None:
    shared.search(image=photo())
    result = beauty_search("status", "-s", shared.address, *ONCE)
    assert result.exit_code == 0
    (line,) = result.stdout.splitlines()
    assert re.match(r"\d\d:\d\d:\d\d  answered [\d.]+/s  failed 0.0/s  refused 0.0/s  ", line)
    assert re.search(r"engine embedded  index tiny-\w+ \(\d+ \w+ old\)  search [\d.]+/", line)
    assert re.search(r"decode [\d.]+/[\d.]+ ms  encode [\d.]+/[\d.]+ ms  rank ", line)


def test_json_has_a_line_for_each_look_and_only_what_happened_since_the_last(
    shared: Served,
) -> None:
    shared.search(image=photo())
    looks = ("--watch", "--times", "2", "--every", "0.1", "--json")
    first, second = json_lines(beauty_search("status", "-s", shared.address, *looks).stdout)
    assert first["answered_per_s"] > 0
    assert {stage["name"] for stage in first["stages"]} >= {"search", "decode", "encode", "rank"}
    assert second["seconds"] > 0
    assert second["stages"] == []
    assert second["engine"] == "embedded"


def test_on_a_terminal_a_table_is_drawn_anew(shared: Served) -> None:
    shared.search(image=photo())
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with RetrievalClient(shared.address) as client:
        show(watched(client.status, 0.1, 2, sleep=lambda _: None), console, as_json=False)
    shown = console.file.getvalue()
    assert shown.count("answered") >= 2
    assert "median ms" in shown
    assert "\x1b[1A" in shown  # up, over the first table


def test_a_server_that_goes_away_is_a_line_and_comes_back(shared: Served) -> None:
    here = status(shared)
    answers = iter([here, UnavailableError("The server is away."), here])

    def ask() -> ServerStatus:
        answer = next(answers)
        if isinstance(answer, RetrievalError):
            raise answer
        return answer

    console = Console(file=io.StringIO())
    show(watched(ask, 1.0, 3, sleep=lambda _: None), console, as_json=True)
    first, away, back = map(json.loads, console.file.getvalue().splitlines())
    assert away["error"] == "The server is away."
    assert first["index_version"] == back["index_version"]


def test_what_cannot_be_reached_or_reports_nothing_ends_the_watch(
    shared: Served, closed_address: str
) -> None:
    result = beauty_search("status", "-s", closed_address, "--timeout", "0.2", "--watch")
    assert result.exit_code == 1
    old = replace(status(shared), activity=None)
    with pytest.raises(RetrievalError, match=re.escape(TOO_OLD)):
        next(watched(lambda: old, 1.0, None))


STATUS = Activity(10.0, 5, 1, 0, 2, (Times("search", (0.1, 0.2), (4, 2, 0), 0.7),), 60.0)


def test_times_of_an_interval_are_those_of_its_searches_alone(shared: Served) -> None:
    times = Times("search", (0.1, 0.2), (4, 12, 0), 2.2)
    later = replace(STATUS, uptime_s=14.0, answered_count=13, failed_count=3, times=(times,))
    seen = interval(STATUS, replace(status(shared), activity=later))
    assert (seen.seconds, seen.answered_per_s, seen.failed_per_s) == (4.0, 2.0, 0.5)
    (search,) = seen.stages
    assert search.count == 10
    assert search.mean_s == pytest.approx(0.15)
    assert search.p50_s == pytest.approx(0.15)  # in the middle of the class from 0.1 to 0.2
    assert search.p99_s == pytest.approx(0.199)


def test_a_server_that_was_started_again_begins_anew(shared: Served) -> None:
    again = replace(STATUS, uptime_s=2.0, answered_count=4)
    seen = interval(STATUS, replace(status(shared), activity=again))
    assert (seen.seconds, seen.answered_per_s) == (2.0, 2.0)


def test_times_above_all_classes_count_as_the_last_bound(shared: Served) -> None:
    slow = replace(STATUS, times=(Times("search", (0.1, 0.2), (0, 0, 3), 9.0),))
    (search,) = interval(None, replace(status(shared), activity=slow)).stages
    assert (search.p50_s, search.mean_s) == (0.2, 3.0)
