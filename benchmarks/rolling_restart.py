"""Count the calls that fail while three servers are restarted one after the other.

``make rolling-restart`` starts three real ``beauty-server`` processes, and calls them through one
client, which knows their three addresses; the client is as it is shipped: it takes turns among them
and retries. While it calls, the servers are restarted in turn by SIGTERM, and then one is killed
and started again; a server is stopped when the one before it is ready. This goes on until the calls
are made, at least once around. Every answer is compared with the one from before the restarts.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.running_server import ServerProcess
from client import AsyncRetrievalClient, Query, RetrievalClient, RetrievalError, SearchResult
from export.dataset.catalogue import read_catalogue

SERVERS = 3
CALLERS = 8  # of each client
PHOTO_EVERY = 50  # queries; the others are by product, which take less time
ROUND = (*SERVERS * [signal.SIGTERM], signal.SIGKILL)

Found = list[tuple[str, float]]


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model-repository", type=Path, default=Path("model_repository"))
    parser.add_argument("--index", type=Path, default=Path("build/demo/index"))
    parser.add_argument("--catalogue", type=Path, default=Path("build/demo/sample"))
    parser.add_argument("--calls", type=int, default=20_000, help="of each client")
    options = parser.parse_args()
    table = Table(box=None)
    table.add_column("client")
    for name in ("calls", "failed", "wrong", "SIGTERM", "kill -9", "calls a second"):
        table.add_column(name, justify="right")
    with ExitStack() as stack:
        fleet = started_fleet(stack, options.index, options.model_repository)
        queries = queries_of(options.catalogue)
        for name, load in LOADS.items():
            tally = restarted_under(load, fleet, queries, options.calls)
            stopped = (tally.stopped[number] for number in (signal.SIGTERM, signal.SIGKILL))
            counts = (tally.calls, tally.failures.total(), tally.wrong, *stopped)
            table.add_row(name, *(f"{count:,}" for count in counts), f"{tally.calls_per_s:.0f}")
            for failure, count in tally.failures.items():
                Console(stderr=True).print(f"{name}: {count} times {failure}")
    Console().print(table)


def started_fleet(stack: ExitStack, index: Path, models: Path) -> list[ServerProcess]:
    """Start the servers, which are stopped with the stack."""
    fleet = [ServerProcess(index, models) for _ in range(SERVERS)]
    for server in fleet:
        stack.callback(server.close)
    with ThreadPoolExecutor(SERVERS) as threads:
        list(threads.map(ServerProcess.start, fleet))
    return fleet


def queries_of(catalogue: Path) -> list[Query]:
    """Queries by the products and the query photos of a catalogue, some of them photos."""
    photos = itertools.cycle(sorted((catalogue / "queries").iterdir()))
    return [
        Query(next(photos), read_words=False)
        if number % PHOTO_EVERY == 0
        else Query(product_id=row.product_id)
        for number, row in enumerate(read_catalogue(catalogue).rows)
    ]


class Tally:
    """What became of the calls during the restarts; thread-safe.

    Args:
        expected: the right answers.
        wanted: number of calls that are made at least.

    Attributes:
        calls: number of calls with an outcome.
        failures: messages of those that failed.
        wrong: number of answers that are not those expected.
        stopped: number of servers stopped, by signal.
        calls_per_s: calls a second.
    """

    def __init__(self, expected: dict[Query, Found], wanted: int) -> None:
        self._expected = expected
        self._wanted = wanted
        self._lock = threading.Lock()
        self._queries = itertools.cycle(expected)
        self.once_around = threading.Event()
        self.calls = 0
        self.failures: Counter[str] = Counter()
        self.wrong = 0
        self.stopped: Counter[signal.Signals] = Counter()
        self.calls_per_s = 0.0

    @property
    def is_done(self) -> bool:
        """Whether there are calls enough, and every server was restarted."""
        return self.calls >= self._wanted and self.once_around.is_set()

    def queries(self) -> Iterator[Query]:
        """Queries until all is done; several threads may take from iterators of their own."""
        while not self.is_done:
            with self._lock:
                query = next(self._queries)
            yield query

    def note(self, query: Query, outcome: SearchResult | RetrievalError) -> None:
        """Count a call."""
        with self._lock:
            self.calls += 1
            if isinstance(outcome, RetrievalError):
                self.failures[str(outcome)] += 1
            elif found_in(outcome) != self._expected[query]:
                self.wrong += 1


Load = Callable[[str, Tally], None]


def restarted_under(
    load: Load,
    fleet: Sequence[ServerProcess],
    queries: Sequence[Query],
    calls: int,
    stops: Sequence[signal.Signals] = ROUND,
) -> Tally:
    """Restart servers while a client calls them.

    Args:
        load: calls until all is done.
        fleet: the servers, which are ready, and are again at the end.
        queries: what is searched for, again and again.
        calls: number of calls that are made at least.
        stops: how the servers are stopped, in turn; each of these happens at least once.
    """
    address = f"ipv4:{','.join(server.address for server in fleet)}"
    with RetrievalClient(address) as client:
        expected = {query: found_in(called(client, query)) for query in queries}
    tally = Tally(expected, calls)
    started = time.monotonic()
    with ThreadPoolExecutor(1) as threads:
        restarting = threads.submit(_restart, fleet, stops, tally)
        load(address, tally)
        tally.calls_per_s = tally.calls / (time.monotonic() - started)
        restarting.result()
    return tally


def found_in(result: SearchResult) -> Found:
    """What was found, in its order."""
    return [(match.product_id, match.similarity) for match in result.results]


def called(client: RetrievalClient, query: Query) -> SearchResult:
    """Search by a call of its own."""
    if query.product_id is not None:
        return client.similar(query.product_id)
    return client.search(query.image, read_words=query.read_words)


def _restart(fleet: Sequence[ServerProcess], stops: Sequence[signal.Signals], tally: Tally) -> None:
    """Restart one server after the other until all is done."""
    try:
        for server, number in zip(itertools.cycle(fleet), itertools.cycle(stops), strict=False):
            server.stop(number)
            tally.stopped[number] += 1
            server.start()
            if tally.stopped.total() == len(stops):
                tally.once_around.set()
            if tally.is_done:
                return
    finally:
        tally.once_around.set()  # also where a server does not start: else the calls would go on


def _blocking(address: str, tally: Tally) -> None:
    def call(client: RetrievalClient) -> None:
        for query in tally.queries():
            outcome: SearchResult | RetrievalError
            try:
                outcome = called(client, query)
            except RetrievalError as error:
                outcome = error
            tally.note(query, outcome)

    with RetrievalClient(address) as client, ThreadPoolExecutor(CALLERS) as threads:
        list(threads.map(call, CALLERS * [client]))


def _asyncio(address: str, tally: Tally) -> None:
    async def call(client: AsyncRetrievalClient) -> None:
        for query in tally.queries():
            outcome: SearchResult | RetrievalError
            try:
                if query.product_id is not None:
                    outcome = await client.similar(query.product_id)
                else:
                    outcome = await client.search(query.image, read_words=query.read_words)
            except RetrievalError as error:
                outcome = error
            tally.note(query, outcome)

    async def together() -> None:
        async with AsyncRetrievalClient(address) as client:
            await asyncio.gather(*(call(client) for _ in range(CALLERS)))

    asyncio.run(together())


def _stream(address: str, tally: Tally) -> None:
    with RetrievalClient(address) as client:
        for answer in client.search_stream(tally.queries(), in_flight=CALLERS):
            tally.note(answer.query, answer.outcome)


def _asyncio_stream(address: str, tally: Tally) -> None:
    async def stream() -> None:
        async with AsyncRetrievalClient(address) as client:
            async for answer in client.search_stream(tally.queries(), in_flight=CALLERS):
                tally.note(answer.query, answer.outcome)

    asyncio.run(stream())


LOADS: dict[str, Load] = {  # by the name of the client
    "blocking": _blocking,
    "asyncio": _asyncio,
    "stream": _stream,
    "asyncio stream": _asyncio_stream,
}

if __name__ == "__main__":
    main()
