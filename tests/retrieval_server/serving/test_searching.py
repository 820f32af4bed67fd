"""Searches that wait at the same time share a scan; nobody waits longer, or for the others."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from export.dataset.catalogue import read_catalogue
from export.descriptors.engine_choice import EngineChoice
from export.index import search_levels
from export.index.build import IndexBuild
from retrieval_server.errors import LateError
from retrieval_server.exact_search.cascade import CascadeSearch
from retrieval_server.exact_search.search import ExactWanted
from retrieval_server.exact_search.shared_scan import Search, finish, unshared
from retrieval_server.models.profile import Profile
from retrieval_server.serving.admission.callers import CURRENT, Caller
from retrieval_server.serving.admission.deadline import Deadline
from retrieval_server.serving.admission.searching import Searching
from tests.support.made_up_databases import cascade, clustered_vectors
from tests.support.patience import PATIENCE_S, eventually
from tests.support.raw_stream import RawStream
from tests.support.search_calls import without_times
from tests.support.served import ServedBy

GREEDY, MODEST = Caller("greedy", "1"), Caller("modest", "1")
NO_DEADLINE = Deadline(None)
ROWS = 300


@pytest.fixture(scope="module")
def search() -> CascadeSearch:
    rng = np.random.default_rng(71)
    return cascade([clustered_vectors(rng, ROWS, 60, True), clustered_vectors(rng, ROWS, 50)])


class Busy:
    """Workers that are busy until the test lets them go on.

    Args:
        search: ranks.
        workers: number of workers.
    """

    def __init__(self, search: CascadeSearch, workers: int = 1) -> None:
        self._search = search
        self._executor = ThreadPoolExecutor(workers)
        self.together: list[float] = []
        self.ended: list[str] = []
        self.searching = Searching(self._executor, workers, self.together.append)
        self._held = threading.Event()
        self._workers = workers

    def rows(self, row: int) -> Search[list[int]]:
        """The rows that are like a row."""
        query = [part[row] for part in self._search.descriptors]
        return (yield from self._search.ranking(ExactWanted(query, (3, 1), 7))).rows.tolist()

    async def hold(self) -> list[asyncio.Task[bool]]:
        """Make every worker busy."""
        holding = threading.Barrier(self._workers + 1)

        def wait() -> bool:
            holding.wait(PATIENCE_S)
            return self._held.wait(PATIENCE_S)

        held = [self.begin(unshared(wait)) for _ in range(self._workers)]
        await asyncio.to_thread(holding.wait, PATIENCE_S)
        return held

    def begin(
        self,
        search: Search[object],
        caller: Caller = GREEDY,
        deadline: Deadline = NO_DEADLINE,
        name: str = "",
    ) -> asyncio.Task[object]:
        async def run() -> object:
            CURRENT.set(caller)
            try:
                return await self.searching.run(search, deadline)
            finally:
                self.ended.append(name)

        return asyncio.create_task(run())

    async def release(self, *tasks: Awaitable[object]) -> list[object]:
        """Let the workers go on, and wait for some searches; an error is an outcome."""
        self._held.set()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(self._executor.shutdown)
        return found


async def waiting(busy: Busy, count: int) -> None:
    while busy.searching.waiting < count:
        await asyncio.sleep(0)


def with_busy(
    search: CascadeSearch, test: Callable[[Busy], Awaitable[None]], workers: int = 1
) -> None:
    async def run() -> None:
        await asyncio.wait_for(test(Busy(search, workers)), PATIENCE_S)

    asyncio.run(run())


def test_a_free_worker_takes_along_up_to_four_that_wait(search: CascadeSearch) -> None:
    async def test(busy: Busy) -> None:
        held = await busy.hold()
        tasks = [busy.begin(busy.rows(row)) for row in range(6)]
        await waiting(busy, 6)
        found = await busy.release(*held, *tasks)
        assert found[1:] == [finish(busy.rows(row)) for row in range(6)]
        assert busy.together == [1, 4, 2]

    with_busy(search, test)


def test_searches_that_share_nothing_are_worked_on_one_by_one(search: CascadeSearch) -> None:
    async def test(busy: Busy) -> None:
        held = await busy.hold()
        tasks = [busy.begin(unshared(lambda number=number: number)) for number in range(5)]
        await waiting(busy, 5)
        assert (await busy.release(*held, *tasks))[1:] == list(range(5))
        assert busy.together == [1] * 6

    with_busy(search, test)


def test_workers_divide_those_that_wait_and_answer_each(search: CascadeSearch) -> None:
    async def test(busy: Busy) -> None:
        held = await busy.hold()
        tasks = [busy.begin(busy.rows(row)) for row in range(40)]
        await waiting(busy, 40)
        found = await busy.release(*held, *tasks)
        assert found[3:] == [finish(busy.rows(row)) for row in range(40)]
        assert sum(busy.together) == 43

    with_busy(search, test, workers=3)


def test_deadline_cancellation_and_error_of_one_do_not_concern_the_others(
    search: CascadeSearch,
) -> None:
    async def test(busy: Busy) -> None:
        def failing() -> Search[object]:
            yield from busy.rows(0)
            raise LookupError("of this search")

        held = await busy.hold()
        late = busy.begin(busy.rows(1), deadline=Deadline(time.monotonic()))
        gone, wrong = busy.begin(busy.rows(2)), busy.begin(failing())
        others = [busy.begin(busy.rows(row)) for row in (3, 4)]
        await waiting(busy, 5)
        gone.cancel()
        found = await busy.release(*held, late, gone, wrong, *others)
        assert [type(each) for each in found[1:4]] == [
            LateError,
            asyncio.CancelledError,
            LookupError,
        ]
        assert found[4:] == [finish(busy.rows(row)) for row in (3, 4)]

    with_busy(search, test)


def test_a_search_whose_caller_goes_during_the_scan_is_not_finished(search: CascadeSearch) -> None:
    async def test(busy: Busy) -> None:
        at_scan, goes_on, finished = threading.Event(), threading.Event(), threading.Event()

        def left() -> Search[object]:
            yield from busy.rows(1)
            finished.set()

        def slow() -> Search[object]:
            at_scan.set()
            goes_on.wait(PATIENCE_S)
            return (yield from busy.rows(2))

        held = await busy.hold()
        gone, other = busy.begin(left()), busy.begin(slow())
        await waiting(busy, 2)
        releasing = asyncio.create_task(busy.release(*held, gone, other))
        await asyncio.to_thread(at_scan.wait, PATIENCE_S)
        gone.cancel()
        await asyncio.wait([gone])
        goes_on.set()
        found = await releasing
        assert isinstance(found[1], asyncio.CancelledError)
        assert found[2] == finish(busy.rows(2))
        assert not finished.is_set()

    with_busy(search, test)


def test_callers_take_turns_among_those_that_are_taken_along(search: CascadeSearch) -> None:
    async def test(busy: Busy) -> None:
        held = await busy.hold()
        tasks = [busy.begin(busy.rows(n), GREEDY, name=f"g{n}") for n in range(6)]
        await waiting(busy, 6)
        tasks.append(busy.begin(busy.rows(9), MODEST, name="m"))
        await waiting(busy, 7)
        await busy.release(*held, *tasks)
        assert set(busy.ended[1:5]) == {"g0", "m", "g1", "g2"}

    with_busy(search, test)


@pytest.fixture(scope="module")
def levelled_index(
    tiny_catalogue: Path,
    tiny_profile: Profile,
    tiny_repository: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """An index of the tiny catalogue that is searched like a large one."""
    root, catalogue = tmp_path_factory.mktemp("levelled"), read_catalogue(tiny_catalogue)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search_levels, "SCANNED_ROWS", 10)
        IndexBuild(catalogue, tiny_profile, EngineChoice(tiny_repository), root).run()
    return root


def test_searches_of_a_stream_share_scans_and_are_answered_like_single_ones(
    served_by: ServedBy, levelled_index: Path
) -> None:
    with served_by(index=levelled_index, workers=1, max_stream_requests=40) as served:
        registry = served.running.index_watch._metrics.registry
        queries = [
            {"product_id": f"p0{number % 8}0{number % 5}", "top_k": 1 + number % 9}
            for number in range(40)
        ]
        may_go_on = threading.Event()
        held = served.executor.submit(may_go_on.wait, PATIENCE_S)
        stream = RawStream(served.stub)
        for query in queries:
            stream.send(**query)
        eventually(lambda: served.waiting("rank") == len(queries))
        may_go_on.set()
        answers = {response.id: response.answer for response in stream.rest()}
        assert held.result(PATIENCE_S)
        fewer, all_taken = (
            partial(registry.get_sample_value, "beauty_searches_together_bucket", {"le": le})
            for le in ("3.0", "4.0")
        )
        eventually(lambda: all_taken() == 10)  # a worker counts after it has answered
        assert fewer() == 0
        for number, query in enumerate(queries, start=1):
            assert without_times(answers[number]) == without_times(served.search(**query))
