"""Measure the exact search in a server, with cold files, and with several workers.

    python -m benchmarks.search_serving --rows 500000

The benchmark starts a real ``beauty-server`` with a complete index, and a real Triton that serves
the profile's models. It sends descriptors of photos by gRPC; the server refines with its defaults.
``search`` runs this benchmark. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

import grpc
import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks import search_peers as peers
from benchmarks.descriptor_generator import HARD_KINDS, KINDS
from benchmarks.local_triton import local_triton
from benchmarks.running_server import PATIENCE_S, running_server
from benchmarks.search_database import (
    MODELS,
    ROOT,
    Queries,
    open_cascade,
    prepare_database,
    queries_of,
)
from benchmarks.search_index import prepare_index, prepare_models
from export.models.profiles import PAPER
from retrieval_server.cores import create_workers
from retrieval_server.exact_search.cascade import CascadeSearch
from retrieval_server.exact_search.parallelism import IntraQueryParallelism
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.v1 import retrieval_pb2 as pb
from retrieval_server.v1 import retrieval_pb2_grpc as pb_grpc

SERVED_QUERIES = 250  # of each kind: 1,000 in all
THROUGHPUT_QUERIES = 150  # of each hard kind
LONE_QUERIES = 100  # of each kind
ROUNDS = 3
TRITON_TIMEOUT_S = 60  # for one photo, on few cores


def drop_from_page_cache(folder: Path) -> None:
    """Drop a folder's files from the page cache."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def memory_gb(process: int) -> dict[str, float]:
    """Resident memory of a process (anonymous memory and pages of mapped files), and its peak."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return {
        name: round(int(fields[field].split()[0]) / 1e6, 3)
        for name, field in (
            ("resident", "VmRSS"),
            ("anonymous", "RssAnon"),
            ("mapped_files", "RssFile"),
            ("peak", "VmHWM"),
        )
    }


def serve_a_thousand(bundle: IndexBundle, models: Path, queries: Queries) -> dict[str, object]:
    """Measure a server from its start with cold files to a thousand answers, and these again."""
    requests = {
        kind: [
            pb.SearchRequest(
                descriptors=pb.Descriptors(
                    by_model={
                        model: pb.Descriptor(values=vector)
                        for model, vector in zip(MODELS, query, strict=True)
                    }
                )
            )
            for query in queries[kind]
        ]
        for kind in KINDS
    }
    with local_triton(models, (PAPER.name,)) as addresses:
        drop_from_page_cache(bundle.folder)
        triton = ["--engine", "triton", "--triton-url", addresses["grpc"]]
        triton += ["--triton-timeout-s", str(TRITON_TIMEOUT_S)]
        started = time.perf_counter()
        with (
            running_server(bundle.folder, models, *triton) as (process, address),
            grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel,
        ):
            search = pb_grpc.RetrievalServiceStub(channel).Search
            ready = time.perf_counter()
            search(requests[HARD_KINDS[0]][0], timeout=PATIENCE_S)
            first = time.perf_counter() - ready
            cold = {kind: _milliseconds(search, requests[kind]) for kind in KINDS}
            memory = memory_gb(process)
            warm = {kind: _milliseconds(search, requests[kind]) for kind in KINDS}
    return {
        "ready_s": round(ready - started, 2),
        "first_query_s": round(first, 3),
        "queries": sum(map(len, requests.values())),
        "cold_median_ms": _medians(cold),
        "memory_gb": memory,
        "warm_median_ms": _medians(warm),
    }


def _medians(times: dict[str, list[float]]) -> dict[str, float]:
    return {kind: round(float(np.median(values)), 1) for kind, values in times.items()}


def _milliseconds(
    search: grpc.UnaryUnaryMultiCallable, requests: list[pb.SearchRequest]
) -> list[float]:
    times = []
    for request in requests:
        started = time.perf_counter()
        search(request, timeout=PATIENCE_S)
        times.append(1e3 * (time.perf_counter() - started))
    return times


def lone_query(
    serial: CascadeSearch, parallel: CascadeSearch, queries: Queries
) -> dict[str, dict[str, float]]:
    """Median ms of one query at a time by kind: on one core, and with intra-query parallelism."""
    result = {}
    for kind in KINDS:
        times: dict[str, list[float]] = {"one_core_ms": [], "two_cores_ms": []}
        for query in queries[kind][:LONE_QUERIES]:
            for search, search_times in zip((serial, parallel), times.values(), strict=True):
                started = time.perf_counter()
                search.rank_all(query, peers.ALPHA, peers.TOP_K)
                search_times.append(1e3 * (time.perf_counter() - started))
        medians = {name: round(float(np.median(values)), 2) for name, values in times.items()}
        result[kind] = medians | {
            "ratio": round(medians["one_core_ms"] / medians["two_cores_ms"], 2)
        }
    return result


def throughput(search: CascadeSearch, queries: Queries) -> dict[str, float]:
    """Hard queries a second with one worker and with two, the best of several rounds."""
    hard = [query for kind in HARD_KINDS for query in queries[kind][:THROUGHPUT_QUERIES]]
    best = {}
    for workers in (1, 2):
        with create_workers(workers) as executor:
            rates = []
            for _ in range(ROUNDS):
                started = time.perf_counter()
                answers = executor.map(
                    lambda query: search.rank_all(query, peers.ALPHA, peers.TOP_K), hard
                )
                count = sum(1 for _ in answers)
                rates.append(count / (time.perf_counter() - started))
        best[workers] = max(rates)
    return {
        "one_worker_per_s": round(best[1], 1),
        "two_workers_per_s": round(best[2], 1),
        "ratio": round(best[2] / best[1], 2),
    }


def main() -> None:
    """Measure the search, and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=500_000)
    database = prepare_database(ROOT, parser.parse_args().rows)
    queries = queries_of(database, SERVED_QUERIES)
    bundle = prepare_index(ROOT, database)
    served = serve_a_thousand(bundle, prepare_models(ROOT), queries)
    with threadpool_limits(1, user_api="blas"):
        serial, parallel = open_cascade(database), open_cascade(database, IntraQueryParallelism(2))
        lone, rates = lone_query(serial, parallel, queries), throughput(serial, queries)
        parallel_rates = throughput(parallel, queries)
    result = {"server": served, "lone": lone, "throughput": rates, "with_help": parallel_rates}
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
