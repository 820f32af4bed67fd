"""The short form of ``make rolling-restart``: clients lose no call while servers come and go."""

import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from benchmarks.rolling_restart import LOADS, Tally, queries_of, restarted_under, started_fleet


def all_kinds(address: str, tally: Tally) -> None:
    """Blocking calls, blocking streams, and asyncio's streams and calls, at once."""
    loads = [LOADS[name] for name in ("blocking", "stream", "asyncio stream")]
    with ThreadPoolExecutor(len(loads)) as threads:
        list(threads.map(lambda load: load(address, tally), loads))


def test_no_call_fails_while_a_server_restarts_and_another_one_is_killed(
    tiny_index: Path, tiny_repository: Path, tiny_catalogue: Path
) -> None:
    with ExitStack() as stack:
        fleet = started_fleet(stack, tiny_index, tiny_repository)
        queries = queries_of(tiny_catalogue)
        stops = (signal.SIGTERM, signal.SIGKILL)
        tally = restarted_under(all_kinds, fleet, queries, calls=300, stops=stops)
    assert tally.calls >= 300
    assert tally.failures == {}
    assert tally.wrong == 0
    assert set(tally.stopped) == set(stops)
