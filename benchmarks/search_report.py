"""The tables and sentences that ``search`` prints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.table import Table

from benchmarks.descriptor_generator import HARD_KINDS, KINDS
from benchmarks.search_measurement import QUANTILES
from benchmarks.search_together import together_sentence

Results = dict[str, Any]  # of one database, by method


def quantiles_of(run: dict[str, float]) -> str:
    """The three quantiles of a kind of query, such as "6.1 7.2 8.0"."""
    return " ".join(f"{run[name]:.1f}" for name in QUANTILES)


def table_of(title: str, results: Results) -> Table:
    """One line for each method and setting: ms and recall by kind; ours and numpy beside it."""
    table = Table(title=f"{title}: p50, p95, p99 ms a query (recall@7), one thread")
    beside = (*(f"ours, {kind}" for kind in HARD_KINDS), "numpy")
    for heading in ("method", *KINDS, *beside, "build s", "GB"):
        table.add_column(heading, justify="left" if heading == "method" else "right")
    for name, result in results.items():
        for setting, run in result.get("runs", {}).items():
            table.add_row(
                f"{name} {setting}",
                *(f"{quantiles_of(run[kind])} ({run[kind]['recall']:.3f})" for kind in KINDS),
                *(quantiles_of(result["ours"][kind]) for kind in HARD_KINDS),
                f"{result['numpy_ms']:.0f}",
                f"{result['build_s']:.0f}",
                f"{result['index_bytes'] / 1e9:.2f}",
            )
    return table


def sentences(results: Results) -> Iterator[str]:
    """What the table does not show, one line each."""
    if "exact" in results:
        yield (
            "Exact: {queries:,} queries, {differences} rankings that differ from brute force, "
            "{with_ties} with ties among the best seven, similarities within {largest_error:.0e}."
        ).format(**results["exact"])
    if "ours" in results:
        yield from _our_sentences(results["ours"])
    if "together" in results:
        yield together_sentence(results["together"])
    for name, result in results.items():
        if "missing" in result:
            yield f"{name}: not measured, {result['missing']}"


def _our_sentences(result: dict[str, Any]) -> Iterator[str]:
    (run,), numpy_ms = result["runs"].values(), result["numpy_ms"]
    median = ", ".join(f"{kind} {numpy_ms / run[kind]['p50_ms']:.0f}" for kind in KINDS)
    p95 = ", ".join(f"{kind} {numpy_ms / run[kind]['p95_ms']:.0f}" for kind in HARD_KINDS)
    yield (f"Times faster than numpy ({numpy_ms:.0f} ms): {median}; with the p95 of ours: {p95}.")
    touched = result["touched"]
    share = ", ".join(f"{kind} {touched[kind]['touched_percent']:.2f} %" for kind in KINDS)
    most = max(touched[kind]["rescored_largest"] for kind in KINDS)
    yield f"Share of the bytes that a median query reads: {share}; at most {most} rows rescored."
    yield (
        "Build of the levels: {seconds:.0f} s, {cpu_seconds:.0f} CPU s, "
        "peak {peak_gb:.2f} GB.".format(**result["build"])
    )
