"""Measure a server that is offered more searches than it can answer.

``make bench-overload`` starts a real ``beauty-server`` with the sample catalogue, and measures its
capacity: the photos that it answers a second when callers wait for their answers. Then it offers
photos at one, two, four and eight times the capacity, and products at fixed rates, by arrivals that
do not wait (a Poisson process), each with a deadline. For each load it prints answers in time,
their ratio to the capacity, refusals, calls that were late, all other statuses, and the memory of
the server at the end.

Three servers take the photos in turn: the real one with the models of ``lite``; the same with an
engine that gives every image the same descriptors at once, so that the server itself is what is
busy; and the real one with all limits off, which accepts whatever comes.

The capacity is measured again after each load of photos: the ratio is to the mean of the capacity
before and after it, so that a machine that slows down for a while changes both.

The load generator, ``open_calls``, runs on the same cores as the server, and takes more of them the
more it offers. So a second ratio is to the capacity of the cores that it leaves: the measured
capacity, less the share of all cores that the generator takes beyond what it takes while the
capacity is measured.

To measure another version of the server, run this file with that version's folder first in
PYTHONPATH.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks import changed_server
from benchmarks.changed_server import NO_OP_ENGINE, WITHOUT_LIMITS
from benchmarks.open_calls import OpenCalls
from benchmarks.running_server import cpu_seconds_of, running_server
from export.dataset.catalogue import read_catalogue
from retrieval_server.cores import available_cores
from retrieval_server.v1 import retrieval_pb2 as pb

SEARCH = "/retrieval_server.v1.RetrievalService/Search"
CALLERS = 8  # that wait for their answers, while the capacity is measured
LOADS = (1, 2, 4, 8)  # times the capacity
PRODUCTS_PER_S = (1000, 2000)
PATIENCE_S = 30.0
LITE = "lite"
CHANGED = changed_server.__name__
SERVERS = {
    LITE: ("retrieval_server",),
    "no-op engine": (CHANGED, NO_OP_ENGINE),
    "lite, all limits off": (CHANGED, WITHOUT_LIMITS),
}
Running = tuple[int, str]  # the server's process id and address
OK, LATE = grpc.StatusCode.OK, grpc.StatusCode.DEADLINE_EXCEEDED
REFUSED = grpc.StatusCode.RESOURCE_EXHAUSTED


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model-repository", type=Path, default=Path("model_repository"))
    parser.add_argument("--index", type=Path, default=Path("build/demo/index"))
    parser.add_argument("--catalogue", type=Path, default=Path("build/demo/sample"))
    parser.add_argument("--duration-s", type=float, default=10.0, help="of each load")
    parser.add_argument("--read", action="store_true", help="read the words on the photos")
    parser.add_argument("--deadline-s", type=float, default=1.0)
    options = parser.parse_args()
    photos = [
        pb.SearchRequest(image=path.read_bytes(), read_words=options.read).SerializeToString()
        for path in sorted((options.catalogue / "queries").iterdir())
    ]
    products = [
        pb.SearchRequest(product_id=row.product_id).SerializeToString()
        for row in read_catalogue(options.catalogue).rows
    ]
    measured = []
    for server, program in SERVERS.items():
        with running_server(options.index, options.model_repository, program=program) as running:
            loads = _photo_loads(running, photos, options)
            if server == LITE:
                loads += [
                    {"load": "products"} | _offered(running, products, rate, options)
                    for rate in PRODUCTS_PER_S
                ]
        measured += [{"server": server} | load for load in loads]
    _print(measured)
    print(json.dumps(measured))


def _photo_loads(
    running: Running, photos: Sequence[bytes], options: argparse.Namespace
) -> list[dict[str, Any]]:
    """Offer photos at each load, and measure the capacity before and after it."""
    _, address = running
    _capacity(address, photos, 2.0)  # warms up
    before = _capacity(address, photos, options.duration_s / 2)
    first, measured = before.answered_per_s, []
    for times in LOADS:
        offered = _offered(running, photos, times * first, options)
        after = _capacity(address, photos, options.duration_s / 2)
        measured.append({"load": f"photos x {times}"} | offered | _ratios(offered, before, after))
        before = after
    return measured


class Capacity(NamedTuple):
    """What callers that wait for their answers get, and the cores that they take themselves."""

    answered_per_s: float
    generator_cores: float


def _capacity(address: str, requests: Sequence[bytes], duration_s: float) -> Capacity:
    chosen, own_cpu_s = random.Random(0), time.process_time()
    end = time.perf_counter() + duration_s
    with OpenCalls(address, SEARCH, PATIENCE_S) as calls:
        while time.perf_counter() < end:
            calls.begin(chosen.choice(requests))
            calls.finish(left=CALLERS - 1)
        own_cores = (time.process_time() - own_cpu_s) / duration_s
        calls.finish()
    return Capacity(_answers(calls, end) / duration_s, own_cores)


def _answers(calls: OpenCalls, end: float) -> int:
    """The number of answers until a time; those to the last calls come after the load has ended."""
    return sum(outcome.status is OK and outcome.ended_at <= end for outcome in calls.outcomes)


def _ratios(offered: dict[str, Any], before: Capacity, after: Capacity) -> dict[str, float]:
    """Answers of a load as shares of the capacity measured before and after it."""
    capacity, own_cores = map(statistics.mean, zip(before, after, strict=True))
    taken = max(0.0, offered["generator_cores"] - own_cores) / available_cores()
    answered = offered["answered_per_s"]
    return {
        "capacity_per_s": round(capacity, 1),
        "of_capacity": round(answered / capacity, 3),
        "of_capacity_left": round(answered / (capacity * (1 - taken)), 3),
    }


def _offered(
    running: Running, requests: Sequence[bytes], rate: float, options: argparse.Namespace
) -> dict[str, Any]:
    """Offer requests at a rate, whatever becomes of them, and count what does."""
    process, address = running
    chosen = random.Random(0)
    with OpenCalls(address, SEARCH, options.deadline_s) as calls:
        cpu_s = _cpu_seconds_of_both(process)
        arrival = time.perf_counter()
        end = arrival + options.duration_s
        while (arrival := arrival + chosen.expovariate(rate)) < end:
            calls.run(arrival)
            calls.begin(chosen.choice(requests))
        calls.run(end)
        own_cores, server_cores = (_cpu_seconds_of_both(process) - cpu_s) / options.duration_s
        calls.finish()
    counts = Counter(outcome.status for outcome in calls.outcomes)
    return {
        "offered_per_s": round(rate, 1),
        "answered_per_s": round(_answers(calls, end) / options.duration_s, 1),
        "refused": counts[REFUSED],
        "late": counts[LATE],
        "others": {code.name: n for code, n in counts.items() if code not in {OK, REFUSED, LATE}},
        "answer_ms": _percentiles([each.taken_s for each in calls.outcomes if each.status is OK]),
        "refusal_ms": _percentiles(
            [each.taken_s for each in calls.outcomes if each.status is REFUSED]
        ),
        "generator_cores": round(own_cores, 2),
        "server_cores": round(server_cores, 2),
        "server_mib": _memory_mib(process),
    }


def _percentiles(seconds: list[float]) -> list[float]:
    """The median and the 99th percentile in milliseconds; empty for no values."""
    return [round(1e3 * float(q), 1) for q in np.percentile(seconds, (50, 99))] if seconds else []


def _memory_mib(process: int) -> int:
    """What a process has in memory."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) // 1024


def _cpu_seconds_of_both(process: int) -> NDArray[np.float64]:
    """CPU time of this process and of another one."""
    return np.array((time.process_time(), cpu_seconds_of(process)))


def _print(measured: list[dict[str, Any]]) -> None:
    table = Table(title="Open load; times in ms are median and 99th percentile")
    for column in ("server", "load", "offered/s", "answered/s", "capacity/s", "of capacity",
                   "of what the generator leaves", "refused", "late", "others", "answer ms",
                   "refusal ms", "generator cores", "server cores", "server MiB"):  # fmt: skip
        table.add_column(column)
    for each in measured:
        ratios = [each.get(name) for name in ("of_capacity", "of_capacity_left")]
        values = [each[name] for name in ("server", "load", "offered_per_s", "answered_per_s")]
        values += [each.get("capacity_per_s", "")]
        values += ["" if ratio is None else f"{ratio:.0%}" for ratio in ratios]
        values += [each["refused"], each["late"], each["others"] or 0]
        values += [" / ".join(map(str, each[name])) for name in ("answer_ms", "refusal_ms")]
        values += [each[name] for name in ("generator_cores", "server_cores", "server_mib")]
        table.add_row(*map(str, values))
    Console(width=180).print(table)


if __name__ == "__main__":
    main()
