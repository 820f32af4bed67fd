"""``make bench-growth``: the exact search from 50,000 products to N, and the server with N.

    python -m benchmarks.search_growth --rows 2000000

The descriptors are those of the first database of ``search``, as float16. One database is on disk
at a time, and it is removed when it is measured, unless ``--keep`` is given: 2,000,000 products
take 29 GB. What was measured is kept in ``build/bench-search``, so a run that was interrupted goes
on; it also goes on with a database whose descriptors are complete.

It measures medians of one query at a time, on one thread, and the memory of a real
``beauty-server`` with N products after 1,000 queries; and it draws a picture.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from benchmarks.descriptor_generator import FIRST, KINDS
from benchmarks.level_picture import bytes_a_row
from benchmarks.search_database import (
    MODELS,
    ROOT,
    SearchDatabase,
    database_folder,
    made_by,
    open_cascade,
    prepare_database,
    queries_of,
)
from benchmarks.search_index import prepare_index, prepare_models
from benchmarks.search_measurement import measure, truth_of
from benchmarks.search_peers import Ours
from benchmarks.search_serving import SERVED_QUERIES, serve_a_thousand

SIZES = (50_000, 100_000, 200_000, 500_000)
COMPARED = 500_000  # products, with which N is compared
QUERIES = 100  # of each kind
DTYPE = np.float16
TICKS_MS = (1, 2, 5, 10, 20, 50, 100, 200, 500)
TEXT_BYTES = 1_000  # of a product: its description, the words, and the similar descriptions

Growth = Mapping[int, Mapping[str, Any]]  # results by number of products


def main() -> None:
    """Measure each size, and print a table, and JSON as the last line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--keep", action="store_true", help="keep the databases")
    parser.add_argument("--again", action="store_true", help="measure again what is kept")
    parser.add_argument("--picture", type=Path, default=ROOT / "growth.svg")
    arguments = parser.parse_args()
    largest = arguments.rows
    if "server" not in _known(largest, arguments.again):
        _check_room(database_folder(ROOT, largest, dtype=DTYPE), largest)
    results = {
        size: result_of(size, size == largest, arguments.again, arguments.keep)
        for size in (*(size for size in SIZES if size < largest), largest)
    }
    draw(results, arguments.picture)
    console = Console(width=120)
    console.print(table_of(results))
    for sentence in sentences(results, largest):
        console.print(sentence, highlight=False)
    sys.stdout.write(json.dumps({"picture": str(arguments.picture), "sizes": results}) + "\n")


def result_of(rows: int, is_served: bool, again: bool, keep: bool) -> dict[str, Any]:
    """Measure one size, or read what was measured.

    Args:
        rows: N.
        is_served: whether to measure a server, too.
        again: whether to measure again.
        keep: whether the database stays on disk.
    """
    known, kept = _known(rows, again), _kept_file(rows)
    if "search" not in known or (is_served and "server" not in known):
        database = prepare_database(ROOT, rows, dtype=DTYPE)
        if "search" not in known:
            known |= {"search": measured(database), "build": database.build}
            kept.write_text(json.dumps(known))
        if is_served:
            bundle = prepare_index(ROOT, database)
            queries = queries_of(database, SERVED_QUERIES)
            known |= {"server": serve_a_thousand(bundle, prepare_models(ROOT), queries)}
            kept.write_text(json.dumps(known))
        if not keep:
            shutil.rmtree(database.folder)
    return known


def _kept_file(rows: int) -> Path:
    return ROOT / f"growth.{rows}.json"


def _known(rows: int, again: bool) -> dict[str, Any]:
    """What was measured on a database of this calibration and format."""
    current = {"made_by": made_by(FIRST)}
    if again or not _kept_file(rows).is_file():
        return current
    known: dict[str, Any] = json.loads(_kept_file(rows).read_text())
    return known if current.items() <= known.items() else current


def measured(database: SearchDatabase) -> dict[str, Any]:
    """Quantiles of our search by kind of query, one thread."""
    with threadpool_limits(1, user_api="blas"):
        queries, search = queries_of(database, QUERIES), open_cascade(database)
        return measure(
            database, Ours(search, 0.0), None, queries, truth_of(database, search, queries)
        )


def _check_room(folder: Path, rows: int) -> None:
    """Refuse a database that the disk has no room for, beside what is there of it.

    Raises:
        SystemExit: if there is no room.
    """
    present = sum(path.stat().st_size for path in folder.glob("*.npy"))
    missing = rows * (sum(bytes_a_row(DTYPE().itemsize).values()) + TEXT_BYTES) - present
    ROOT.mkdir(parents=True, exist_ok=True)
    if (free := shutil.disk_usage(ROOT).free) < missing:
        raise SystemExit(
            f"{rows:,} products need {missing / 1e9:.1f} GB more in {ROOT}, and "
            f"{free / 1e9:.1f} GB are free. Choose a smaller number: --rows"
        )


def table_of(results: Growth) -> Table:
    """One line for each number of products."""
    table = Table(
        title=f"p50 and p95 ms a query, one thread, float16, {sum(MODELS.values()):,} dimensions"
    )
    for heading in ("products", *KINDS, "build s"):
        table.add_column(heading, justify="right")
    for rows, result in results.items():
        table.add_row(
            f"{rows:,}",
            *("{p50_ms:.1f} {p95_ms:.1f}".format(**result["search"][kind]) for kind in KINDS),
            "{seconds:.0f}".format(**result["build"]),
        )
    return table


def sentences(results: Growth, largest: int) -> list[str]:
    """The memory of the server, and the times beside those of ``COMPARED`` products."""
    server = results[largest]["server"]
    lines = [
        f"Server with {largest:,} products: ready after {server['ready_s']} s with none of its "
        f"files in memory; after {server['queries']:,} queries "
        "{resident:.2f} GB resident, of which {mapped_files:.2f} mapped files; "
        "peak {peak:.2f} GB.".format(**server["memory_gb"])
    ]
    if COMPARED in results and largest != COMPARED:
        ratios = ", ".join(
            f"{kind} {_p50(results[largest], kind) / _p50(results[COMPARED], kind):.2f}"
            for kind in KINDS
        )
        lines.append(f"Times as long as with {COMPARED:,} products: {ratios}.")
    return lines


def _p50(result: Mapping[str, Any], kind: str) -> float:
    return float(result["search"][kind]["p50_ms"])


def draw(results: Growth, path: Path) -> None:
    """Draw median times against numbers of products, both on logarithmic axes.

    Args:
        results: by number of products.
        path: the SVG file; overwrites. Equal results give equal files.
    """
    mpl.use("svg")
    mpl.rcParams |= {"svg.hashsalt": "growth", "svg.fonttype": "none"}
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.4, 4))
    sizes = sorted(results)
    for kind in KINDS:
        axes.loglog(sizes, [_p50(results[size], kind) for size in sizes], marker="o", label=kind)
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    low, high = axes.get_ylim()
    ticks = [tick for tick in TICKS_MS if low <= tick <= high]
    axes.set_yticks(ticks, [f"{tick}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("products")
    axes.set_ylabel("median ms a query, one thread")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, format="svg", metadata={"Date": None})
    pyplot.close(figure)


if __name__ == "__main__":
    main()
