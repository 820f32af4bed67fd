"""A plot of the time of the exact search against the size of the catalogue, from 50,000 on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl

from benchmarks.descriptor_generator import KINDS

SIZES = (50_000, 100_000, 200_000, 500_000)


def plot_growth(results: Mapping[int, Mapping[str, Any]], path: Path) -> None:
    """Plot median times against sizes, both on logarithmic axes.

    Args:
        results: the results of ``search`` for our search, by size.
        path: the PNG file; overwrites.
    """
    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4))
    sizes = sorted(results)
    for kind in KINDS:
        medians = [results[size]["runs"][""][kind]["median_ms"] for size in sizes]
        axes.loglog(sizes, medians, marker="o", label=f"ours, {kind}")
    numpy = [results[size]["numpy_ms"] for size in sizes]
    axes.loglog(sizes, numpy, marker="s", color="grey", label="numpy float32")
    axes.set_xlabel("products")
    axes.set_ylabel("median ms a query, one thread")
    axes.grid(which="both", alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
