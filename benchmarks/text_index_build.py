"""Measures the build of a textual index from a catalogue on disk, by stage, and a cold lookup."""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.child_process import cpu_seconds, in_child_process, measured, resident_bytes
from export.dataset.catalogue import read_catalogue
from export.text_index import build, fit
from export.text_index.settings import TextSettings
from retrieval_server.storage.digest import file_digest
from retrieval_server.text.neighbours import TextIndex

LOOKUPS = 1_000
SEEDS_OF_A_SEARCH = 3  # Algorithm 1, k = 3
STAGES = {  # modules and their functions, and the names of their stages
    (fit, "languages"): "language filter",
    (fit, "count_terms"): "terms and counts",
    (fit, "write_term_counts"): "write vocabulary and counts",
    (fit, "group_rows"): "group equal descriptions",
    (build, "join"): "join",
    (build, "write_neighbour_lists"): "sort and write lists",
}


def whole_build(texts: list[str], folder: Path) -> dict[str, Any]:
    """Build a textual index from a catalogue file; returns CPU and wall seconds by stage."""
    catalogue = folder / "catalog.csv"
    with catalogue.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "image", "description"])
        writer.writerows([f"p{row}", f"{row}.jpg", text] for row, text in enumerate(texts))
    stages = in_child_process(_staged_build, catalogue, folder / "bundle")
    print(f"\nFrom {len(texts):,} descriptions on disk to the finished textual index")
    print(f"{'stage':<36} {'CPU s':>7} {'wall s':>7}")
    for name, stage in stages.items():
        if isinstance(stage, list):
            print(f"{name:<36} {stage[0]:>7.2f} {stage[1]:>7.2f}")
    print(f"peak memory {stages['peak_mb']:,.0f} MB above the start")
    return dict(stages)


def _staged_build(catalogue: Path, bundle: Path) -> dict[str, Any]:
    build.warm_up()
    bundle.mkdir()
    stages: dict[str, Any] = {}

    def timed(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **options: Any) -> Any:
            start_cpu_s, started = cpu_seconds(), time.perf_counter()
            result = work(*arguments, **options)
            stages[name] = [cpu_seconds() - start_cpu_s, time.perf_counter() - started]
            return result

        return run

    for (module, function), name in STAGES.items():
        setattr(module, function, timed(name, getattr(module, function)))

    def sync() -> None:
        for path in bundle.iterdir():
            file_digest(path)
            with path.open("rb") as file:
                os.fsync(file.fileno())

    def work() -> None:
        rows = timed("read the catalogue", read_catalogue)(catalogue).rows
        texts = [row.description for row in rows]
        build.build_text_index(texts, TextSettings(), bundle, lambda _: None)
        timed("checksums and sync", sync)()

    whole = measured(work)
    stages["all, weights and the rest included"] = [whole.cpu_s, whole.wall_s]
    return stages | {"peak_mb": whole.peak_bytes / 1e6}


def cold_lookup(folder: Path) -> dict[str, Any]:
    """Measure lookups in the index of ``whole_build``, with no page of it in memory."""
    figures: dict[str, Any] = in_child_process(_cold_lookup, folder / "bundle")
    print("\nLookup of the neighbours of three products, memory map dropped from the page cache")
    print(
        f"open {figures['open_ms']:.2f} ms, first {figures['first_ms']:.2f} ms, "
        f"{LOOKUPS:,} more on average {figures['mean_us']:.1f} us\n"
        f"resident memory grows by {figures['first_mb']:.1f} MB at the first, "
        f"{figures['resident_mb']:.1f} MB after all, of which {figures['anonymous_mb']:.1f} MB are "
        "not pages of the files"
    )
    return figures


def _cold_lookup(bundle: Path) -> dict[str, Any]:
    for path in bundle.glob("text_neighbours.*"):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    rng = np.random.default_rng(0)
    start_resident, start_anonymous = resident_bytes("VmRSS"), resident_bytes("RssAnon")
    start = time.perf_counter()
    index = TextIndex(bundle)
    opened = time.perf_counter()
    searches = rng.integers(0, len(index), (LOOKUPS + 1, SEEDS_OF_A_SEARCH)).tolist()
    _look_up(index, searches[0])
    first = time.perf_counter()
    first_resident = resident_bytes("VmRSS")
    again = time.perf_counter()
    for seeds in searches[1:]:
        _look_up(index, seeds)
    end = time.perf_counter()
    return {
        "open_ms": 1e3 * (opened - start),
        "first_ms": 1e3 * (first - opened),
        "mean_us": 1e6 * (end - again) / LOOKUPS,
        "first_mb": (first_resident - start_resident) / 1e6,
        "resident_mb": (resident_bytes("VmRSS") - start_resident) / 1e6,
        "anonymous_mb": (resident_bytes("RssAnon") - start_anonymous) / 1e6,
    }


def _look_up(index: TextIndex, seeds: list[int]) -> int:
    return sum(int(rows.sum()) for rows, _ in map(index.neighbours, seeds))
