"""Measure what a search costs beyond its stages: decoding, engine, ranking.

``make bench-serving`` ends with it. A real ``beauty-server`` runs with an engine that gives every
image the same descriptors at once. The photos are those of the sample catalogue.

1. One caller, who waits for each answer: the time of a call, and what is left of it without the
   times of the stages that the answer names; at the caller, gRPC and its client included, and in
   the server.
2. 64 callers at once: CPU time of the server for each search, and what is left of it without the
   CPU time of decoding, measured here on the same photos, and without the ranking's, which is that
   of step 1.

The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import grpc
from rich.console import Console
from rich.table import Table

from benchmarks import changed_server
from benchmarks.open_calls import OpenCalls
from benchmarks.overload import PATIENCE_S, SEARCH
from benchmarks.running_server import cpu_seconds_of, running_server
from export.models.profiles import LITE
from retrieval_server.models.preprocessing import decode_image
from retrieval_server.v1 import retrieval_pb2 as pb
from retrieval_server.v1 import retrieval_pb2_grpc as pb_grpc

PROGRAM = (changed_server.__name__, changed_server.NO_OP_ENGINE)
CALLERS = 64
WARM_UP = 100
ENOUGH = ("--max-concurrent-requests", str(2 * CALLERS), "--longest-wait-s", "60")


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model-repository", type=Path, default=Path("model_repository"))
    parser.add_argument("--index", type=Path, default=Path("build/demo/index"))
    parser.add_argument("--catalogue", type=Path, default=Path("build/demo/sample"))
    parser.add_argument("--searches", type=int, default=1_000, help="of each number of callers")
    options = parser.parse_args()
    photos = [path.read_bytes() for path in sorted((options.catalogue / "queries").iterdir())]
    requests = [pb.SearchRequest(image=photo, read_words=False) for photo in photos]
    with running_server(
        options.index, options.model_repository, *ENOUGH, program=PROGRAM
    ) as running:
        one = _one_caller(running[1], requests, options.searches)
        many = _many_callers(running, requests, options.searches)
    measured = one | many | {"decode_cpu_ms": _decoding_cpu_ms(photos)}
    measured["own_cpu_ms"] = measured["cpu_ms"] - measured["decode_cpu_ms"] - measured["ranking_ms"]
    _print(measured)
    print(json.dumps(measured))


def _one_caller(
    address: str, requests: Sequence[pb.SearchRequest], searches: int
) -> dict[str, float]:
    """Median times in ms of a caller who waits for each answer."""
    chosen = random.Random(0)
    calls, own, own_in_server, ranking = [], [], [], []
    with grpc.insecure_channel(address) as channel:
        search = pb_grpc.RetrievalServiceStub(channel).Search
        for number in range(WARM_UP + searches):
            request = chosen.choice(requests)
            started = time.perf_counter_ns()
            timings = search(request).timings
            call_us = (time.perf_counter_ns() - started) / 1000
            if number < WARM_UP:
                continue
            rank_us = timings.rank_us + timings.refine_us
            stages_us = timings.decode_us + timings.encode_us + rank_us
            calls.append(call_us)
            own.append(call_us - stages_us)
            own_in_server.append(timings.total_us - stages_us)
            ranking.append(rank_us)
    names = ("call_ms", "own_ms", "own_in_server_ms", "ranking_ms")
    columns = (calls, own, own_in_server, ranking)
    return {name: median(times) / 1000 for name, times in zip(names, columns, strict=True)}


def _many_callers(
    running: tuple[int, str], requests: Sequence[pb.SearchRequest], searches: int
) -> dict[str, float]:
    """CPU time of the server for each search of ``CALLERS`` callers who wait for their answers."""
    process, address = running
    messages = [request.SerializeToString() for request in requests]
    chosen = random.Random(0)
    with OpenCalls(address, SEARCH, PATIENCE_S) as calls:
        for number in range(WARM_UP + searches):
            if number == WARM_UP:
                calls.finish()
                calls.outcomes.clear()
                before, started = cpu_seconds_of(process), time.perf_counter()
            calls.begin(chosen.choice(messages))
            calls.finish(left=CALLERS - 1)
        calls.finish()
    taken_s, cpu_s = time.perf_counter() - started, cpu_seconds_of(process) - before
    failed = [outcome for outcome in calls.outcomes if outcome.status is not grpc.StatusCode.OK]
    assert not failed, f"{len(failed)} searches failed: {failed[0]}"
    return {"answers_per_s": searches / taken_s, "cpu_ms": 1e3 * cpu_s / searches}


def _decoding_cpu_ms(photos: Sequence[bytes]) -> float:
    """Mean CPU time in which a photo is decoded for the backbones."""
    times = []
    for photo in photos:
        started = time.thread_time()
        decode_image(photo, LITE.side)
        times.append(time.thread_time() - started)
    return 1e3 * sum(times) / len(times)


def _print(measured: dict[str, float]) -> None:
    table = Table("a search by photo, engine that does nothing", "ms")
    for label, name in (
        ("one caller: the call, median", "call_ms"),
        ("  without decoding, engine and ranking", "own_ms"),
        ("  the same, in the server", "own_in_server_ms"),
        (f"{CALLERS} callers: CPU time", "cpu_ms"),
        ("  without decoding, engine and ranking", "own_cpu_ms"),
    ):
        table.add_row(label, f"{measured[name]:.2f}")
    table.caption = (
        f"decoding takes {measured['decode_cpu_ms']:.2f} ms of CPU, the ranking "
        f"{measured['ranking_ms']:.2f}; {measured['answers_per_s']:.0f} answers a second"
    )
    Console(width=90).print(table)


if __name__ == "__main__":
    main()
