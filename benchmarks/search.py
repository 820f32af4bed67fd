"""``make bench-search``: compare the exact search with its peers, on the same rows and queries.

    python -m benchmarks.search --rows 500000 --database second --methods ours,hnsw

There are two databases, see ``descriptor_generator``; both are measured unless ``--database`` says
which. One process runs one thread, one query at a time. It measures our search and numpy again
after each other method; a ratio compares these two.

A database of 500,000 rows takes 11 GB on disk and the graph of hnswlib 8 GB more, and the methods
flat and hnsw need 8 GB of memory; ``--methods`` runs only some methods. Databases, graphs and the
result of each method are kept in ``build/bench-search``, so a run that was interrupted goes on, and
a last run prints everything. ``--again`` measures again.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from typing import Any

os.environ["RAYON_NUM_THREADS"] = "1"  # turbovec's threads; read when it is imported

from rich.console import Console
from threadpoolctl import threadpool_limits

from benchmarks import search_libraries as libraries
from benchmarks.descriptor_generator import DATABASES, FIRST
from benchmarks.search_database import (
    ROOT,
    SearchDatabase,
    database_folder,
    is_current,
    open_cascade,
    prepare_database,
    queries_of,
)
from benchmarks.search_measurement import run_ours, run_peer, truth_of
from benchmarks.search_peers import ByteScan, NumpyFloat32, Peer
from benchmarks.search_reference import compare_with_brute_force
from benchmarks.search_report import sentences, table_of
from benchmarks.search_together import measure_together

QUERIES = 100  # of each kind
EXACT_QUERIES = 250  # of each kind, compared with brute force

Measurement = Callable[[], dict[str, Any]]

PEERS: dict[str, Callable[[SearchDatabase], Peer]] = {
    "numpy": NumpyFloat32,
    "bytes": lambda database: ByteScan(open_cascade(database)),
    # In faiss 1.15.1, at 3,968 dimensions, the fast-scan index ranks some of the best rows last,
    # for every k. IndexRaBitQ does not. So both are measured.
    "rabitq-fastscan": lambda database: libraries.FaissIndex(
        database, "RaBitQfs", (64, 256, 1024, 4096)
    ),
    "rabitq": lambda database: libraries.FaissIndex(database, "RaBitQ", (64, 256, 1024, 4096)),
    "rabitqlib": libraries.RabitqLists,
    "rabitqlib-graph": libraries.RabitqGraph,
    "turbovec": libraries.TurboVec,
    "ivf": lambda database: libraries.FaissIndex(
        database, "IVF1024,SQ8", (4, 8, 16, 24, 32, 48, 64, 96, 128, 256)
    ),
    "usearch": libraries.UsearchBytes,
    "flat": lambda database: libraries.FaissIndex(database, "Flat", (64,)),
    "hnsw": libraries.Hnsw,
}
OURS, EXACT, TOGETHER = "ours", "exact", "together"
SERVING = "serving"  # on the first database
METHODS = (OURS, *PEERS, EXACT, TOGETHER, SERVING)


def main() -> None:
    """Measure the methods, and print a table for each database, and JSON as the last line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--database", choices=list(DATABASES), help="default: both")
    parser.add_argument("--methods", default="", help=f"of {','.join(METHODS)}; default: all")
    parser.add_argument("--again", action="store_true", help="replace the results that are kept")
    arguments = parser.parse_args()
    chosen = [name for name in arguments.methods.split(",") if name]
    if unknown := set(chosen) - set(METHODS):
        parser.error(f"unknown methods {sorted(unknown)}; known: {', '.join(METHODS)}")
    names = [arguments.database] if arguments.database else list(DATABASES)
    console, summary = Console(width=200), {"rows": arguments.rows}
    for name in names:
        results = results_of(name, arguments.rows, chosen or list(METHODS), arguments.again)
        console.print(table_of(f"{arguments.rows:,} rows, {name} database", results))
        for sentence in sentences(results):
            console.print(sentence, highlight=False)
        summary[name] = results
    summary["peak_gb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2)
    sys.stdout.write(json.dumps(summary) + "\n")


def results_of(name: str, rows: int, chosen: list[str], again: bool) -> dict[str, Any]:
    """The results on one database: those of the chosen methods, and those that are kept.

    Args:
        name: of the database.
        rows: N.
        chosen: methods to measure where no result is kept.
        again: whether to measure chosen methods of which one is kept.
    """
    results = {}
    folder = database_folder(ROOT, rows, name=name)
    for method in METHODS:
        if name != FIRST and method == SERVING:
            continue
        kept = folder / f"result.{method}.json"
        is_kept = kept.is_file() and is_current(folder, name)
        if method in chosen and (again or not is_kept):
            result = measured(method, name, rows)
            if "missing" not in result:
                kept.write_text(json.dumps(result))
            results[method] = result
        elif is_kept:
            results[method] = json.loads(kept.read_text())
    return results


def measured(method: str, name: str, rows: int) -> dict[str, Any]:
    """Measure a method; ``missing`` says why a library cannot be measured."""
    if method == SERVING:
        return _serving(rows)
    with threadpool_limits(1, user_api="blas"):
        database = prepare_database(ROOT, rows, name=name)
        if method == EXACT:
            return compare_with_brute_force(database, EXACT_QUERIES)
        if method == TOGETHER:
            return measure_together(database)
        queries, search = queries_of(database, QUERIES), open_cascade(database)
        truth = truth_of(database, search, queries)
        if method == OURS:
            return run_ours(database, queries, truth) | {"build": database.build}
        try:
            peer = PEERS[method](database)
        except ImportError as error:
            return {"missing": f"{error}; pip install '.[bench]'"}
        return run_peer(database, peer, queries, truth, search)


def _serving(rows: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.search_serving", "--rows", str(rows)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    result: dict[str, Any] = json.loads(output.splitlines()[-1])
    return result


if __name__ == "__main__":
    main()
