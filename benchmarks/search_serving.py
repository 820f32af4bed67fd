"""The exact search as a server meets it: several workers, and files that nobody has read yet.

    python -m benchmarks.search_serving --rows 500000

Run by ``search`` in a process of its own, so that memory is that of the search alone. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

from threadpoolctl import threadpool_limits

from benchmarks import search_peers as peers
from benchmarks.descriptor_generator import HARD_KINDS, KINDS
from benchmarks.search import ROOT, Queries, open_cascade, queries_of
from benchmarks.search_database import SearchDatabase, prepare_database
from retrieval_server.exact_search.cascade import CascadeSearch
from retrieval_server.exact_search.warm_up import compile_kernels
from retrieval_server.server import create_workers

MEMORY_QUERIES = 250  # of each kind: 1,000
THROUGHPUT_QUERIES = 150  # of each hard kind
ROUNDS = 3


def forget(folder: Path) -> None:
    """Drop a folder's files from the page cache."""
    for path in folder.glob("*.npy"):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def resident_gb() -> dict[str, float]:
    """Memory of this process now: its own, and the pages of files it has mapped."""
    fields = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return {
        name: round(int(fields[field].split()[0]) / 1e6, 3)
        for name, field in (("anonymous", "RssAnon"), ("mapped_files", "RssFile"))
    }


def cold_start(database: SearchDatabase, queries: Queries) -> dict[str, object]:
    """From files nobody has read to a thousand answers."""
    forget(database.folder)
    started = time.perf_counter()
    compile_kernels()
    search = open_cascade(database)
    search.rank_all([part[0] for part in search.descriptors], peers.ALPHA, peers.TOP_K)
    ready = time.perf_counter()
    first = queries[HARD_KINDS[0]][0]
    search.rank_all(first, peers.ALPHA, peers.TOP_K)
    answered = time.perf_counter()
    for kind in KINDS:
        for query in queries[kind]:
            search.rank_all(query, peers.ALPHA, peers.TOP_K)
    return {
        "ready_s": round(ready - started, 2),
        "first_query_s": round(answered - ready, 3),
        "thousand_queries_s": round(time.perf_counter() - answered, 1),
        "resident_gb": resident_gb(),
    }


def throughput(search: CascadeSearch, queries: Queries) -> dict[str, float]:
    """Hard queries a second with one and with two workers, the best of some rounds."""
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
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=500_000)
    database = prepare_database(ROOT, parser.parse_args().rows)
    queries = queries_of(database, MEMORY_QUERIES)
    with threadpool_limits(1, user_api="blas"):
        cold = cold_start(database, queries)
        rates = throughput(open_cascade(database), queries)
    sys.stdout.write(json.dumps({"cold_start": cold, "throughput": rates}) + "\n")


if __name__ == "__main__":
    main()
