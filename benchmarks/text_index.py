"""Measure the textual index of half a million listings: our join, its peers, the whole build.

``make bench-text-index`` prints in one run:

1. The growth of the join's time with the catalogue, also as a plot. The catalogue grows with new
   products, as a shop does, or with more sellers of the same products. The second case is the
   worst, because each list grows, too.
2. The times of our join, of sparse_dot_topn, and of scipy's product of scikit-learn's vectors in
   blocks, on the same vectors, each in a separate process. At the full size, the peers compare a
   random sample of rows with all rows, and their time is scaled to all rows; the neighbours of
   every sampled row must equal ours. At FULL_RUN_ROWS, the peers compare all rows, and all pairs
   must be equal. With ``--every-row``, sparse_dot_topn compares all rows at the full size, too.
3. The same times on real titles, if the file exists, with all rows for sparse_dot_topn.
4. The times of the stages from a catalogue on disk to the index in a bundle's folder.
5. The time to look up the neighbours of three products in a cold memory map.

The last line is one JSON object. CPU seconds are user and system time of all threads.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import random
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from benchmarks.child_process import Measured, in_child_process, measured
from benchmarks.listings import listings
from benchmarks.text_index_build import cold_lookup, whole_build
from export.text_index.build import warm_up
from export.text_index.join import join
from export.text_index.neighbour_lists import group_rows, write_neighbour_lists
from export.text_index.pair_file import PairFile
from export.text_index.settings import TextSettings
from export.text_index.tfidf import count_terms
from retrieval_server.cores import available_cores
from retrieval_server.text.neighbours import TextIndex
from retrieval_server.text.tokens import strip_accents_tokens

THRESHOLD = TextSettings.threshold
REAL_TEXTS = Path("../shared/data/text/products_146k.csv.gz")
FULL_RUN_ROWS = 50_000
REAL_SAMPLE_ROWS = {"scipy in blocks": 1_500}  # a builder without an entry compares all rows
SAMPLE_ROWS = {"sparse_dot_topn": 8_000, **REAL_SAMPLE_ROWS}
GROWTH_ROWS = (50_000, 100_000, 200_000, 500_000)
TOP_N = 4_096  # longer than any list of these catalogues
BLOCK_ROWS = 1_000

Vectors = scipy.sparse.csr_matrix
Pairs = tuple[NDArray[np.int64], NDArray[np.int64]]


@dataclass(frozen=True)
class Run:
    """The measurement of one builder on one catalogue; times are scaled to all rows."""

    builder: str
    rows: int
    rows_measured: int
    wall_s: float
    cpu_s: float
    peak_mb: float
    pairs: int


def main() -> None:
    """Run the benchmark, and print the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=500_000, help="number of listings")
    parser.add_argument("--output", type=Path, default=Path("build/benchmarks"))
    parser.add_argument(
        "--every-row",
        action="store_true",
        help="run sparse_dot_topn on all rows, which takes minutes, and compare all pairs",
    )
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.output) as name:
        folder = Path(name)
        texts = _shuffled(options.rows)
        sample_rows = REAL_SAMPLE_ROWS if options.every_row else SAMPLE_ROWS
        summary: dict[str, Any] = {"rows": options.rows, "threads": available_cores()}
        growth = {
            "new products": _growth(_shuffled, "new products", folder),
            "more sellers of the same": _growth(
                lambda rows: texts[:rows], "more sellers of the same products", folder
            ),
        }
        _plot(growth, options.output / "text_index_growth.png")
        summary["growth"] = {title: [asdict(run) for run in runs] for title, runs in growth.items()}
        summary["compared"] = [
            _compare("listings, in full", _shuffled(FULL_RUN_ROWS), folder, None),
            _compare("listings", texts, folder, sample_rows),
        ]
        if REAL_TEXTS.exists():
            with gzip.open(REAL_TEXTS, "rt", encoding="utf-8", newline="") as file:
                real = [row["description"] for row in csv.DictReader(file)]
            summary["compared"].append(_compare("real titles", real, folder, REAL_SAMPLE_ROWS))
        else:
            print(f"\nNo real titles: there is no file {REAL_TEXTS}.")
        summary["build"] = whole_build(texts, folder)
        summary["lookup"] = cold_lookup(folder)
    print(json.dumps(summary))


def _shuffled(rows: int) -> list[str]:
    """Listings in random order, ``rows`` of them."""
    texts = list(listings(rows))
    random.Random(0).shuffle(texts)
    return texts


def _compare(
    title: str, texts: list[str], folder: Path, sample: dict[str, int] | None
) -> dict[str, Any]:
    """Measure our join and its peers on the vectors of some texts; their pairs must be equal.

    Args:
        title: name of the catalogue, for the table.
        texts: descriptions of the catalogue.
        folder: folder for temporary files.
        sample: number of rows to compare with all rows, by builder; None for all rows.

    Returns:
        The runs, and the CPU time of each peer divided by ours.
    """
    vectors = folder / "vectors.npz"
    scipy.sparse.save_npz(vectors, count_terms(texts, strip_accents_tokens).vectors(), False)
    runs = [in_child_process(_run_ours, vectors, folder)]
    for builder in SAMPLE_ROWS:
        runs.append(
            in_child_process(_run_peer, builder, vectors, folder, (sample or {}).get(builder))
        )
    ours, *peers = runs
    print(f"\n{title}: {len(texts):,} rows, {ours.pairs:,} ordered pairs, τ = {THRESHOLD}")
    print(f"{'builder':<18} {'measured':>9} {'CPU s':>9} {'wall s':>9} {'peak MB':>8} {'ratio':>7}")
    for run in runs:
        print(
            f"{run.builder:<18} {run.rows_measured:>9,} {run.cpu_s:>9.2f} {run.wall_s:>9.2f} "
            f"{run.peak_mb:>8.0f} {run.cpu_s / ours.cpu_s:>7.1f}"
        )
    return {
        "texts": title,
        "runs": [asdict(run) for run in runs],
        "cpu_ratio": {run.builder: run.cpu_s / ours.cpu_s for run in peers},
    }


def _run_ours(path: Path, folder: Path) -> Run:
    warm_up()
    vectors = Vectors(scipy.sparse.load_npz(path))

    def work() -> None:
        groups = group_rows(vectors)
        with PairFile(folder) as pairs:
            join(vectors[groups.first], THRESHOLD, pairs, _ignore)
            write_neighbour_lists(folder, groups, pairs, vectors.shape[0])

    return _run("ours", vectors, vectors.shape[0], measured(work), TextIndex(folder).pair_count)


def _run_peer(builder: str, path: Path, folder: Path, sample: int | None) -> Run:
    """Measure a peer that compares a sample of rows with all rows; its pairs must equal ours."""
    vectors = Vectors(scipy.sparse.load_npz(path))
    count = vectors.shape[0]
    rows = np.arange(count)
    if sample is not None and sample < count:
        rows = np.sort(np.random.default_rng(0).choice(count, sample, replace=False))
    product = {"sparse_dot_topn": _topn_pairs, "scipy in blocks": _product_pairs}[builder]
    setup = measured(vectors.T.tocsr)
    run = measured(lambda: list(product(vectors, setup.result, rows)))
    pairs = np.sort(np.concatenate([first * count + second for first, second in run.result]))
    expected = _our_pairs(TextIndex(folder), rows)
    if not np.array_equal(pairs, expected):
        raise SystemExit(f"{builder} found {len(pairs):,} pairs, our join {len(expected):,}.")
    scale = count / len(rows)
    scaled = Measured(
        None,
        setup.wall_s + scale * run.wall_s,
        setup.cpu_s + scale * run.cpu_s,
        setup.peak_bytes + run.peak_bytes,
    )
    return _run(builder, vectors, len(rows), scaled, len(pairs))


def _topn_pairs(vectors: Vectors, transposed: Vectors, rows: NDArray[np.int64]) -> Iterator[Pairs]:
    from sparse_dot_topn import sp_matmul_topn

    for start in range(0, len(rows), BLOCK_ROWS):
        block = rows[start : start + BLOCK_ROWS]
        cosines = sp_matmul_topn(
            vectors[block],
            transposed,
            top_n=TOP_N,
            threshold=THRESHOLD,
            sort=True,
            n_threads=available_cores(),
        ).tocoo()
        yield _without_self(block[cosines.row], cosines.col.astype(np.int64))


def _product_pairs(
    vectors: Vectors, transposed: Vectors, rows: NDArray[np.int64]
) -> Iterator[Pairs]:
    for start in range(0, len(rows), BLOCK_ROWS):
        block = rows[start : start + BLOCK_ROWS]
        cosines = vectors[block] @ transposed
        above = np.flatnonzero(cosines.data > THRESHOLD)
        first = np.searchsorted(cosines.indptr, above, side="right") - 1
        yield _without_self(block[first], cosines.indices[above].astype(np.int64))


def _without_self(first: NDArray[np.int64], second: NDArray[np.int64]) -> Pairs:
    is_pair = first != second
    return first[is_pair], second[is_pair]


def _our_pairs(index: TextIndex, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    lists = [index.neighbours(int(row))[0].astype(np.int64) for row in rows]
    first = np.repeat(rows, [len(neighbours) for neighbours in lists])
    return np.sort(first * len(index) + np.concatenate(lists))


def _growth(catalogue: Callable[[int], list[str]], title: str, folder: Path) -> list[Run]:
    """Measure our join on catalogues of several sizes."""
    print(f"\nGrowth of the join with {title}, τ = {THRESHOLD}")
    print(f"{'rows':>9} {'ordered pairs':>14} {'CPU s':>7} {'wall s':>7} {'peak MB':>8}")
    runs = []
    for rows in GROWTH_ROWS:
        vectors = count_terms(catalogue(rows), strip_accents_tokens).vectors()
        scipy.sparse.save_npz(folder / "vectors.npz", vectors, False)
        run: Run = in_child_process(_run_ours, folder / "vectors.npz", folder)
        runs.append(run)
        print(
            f"{run.rows:>9,} {run.pairs:>14,} {run.cpu_s:>7.2f} {run.wall_s:>7.2f} "
            f"{run.peak_mb:>8.0f}"
        )
    factor = runs[-1].cpu_s / runs[0].cpu_s
    print(f"CPU time grows {factor:.1f}-fold from {runs[0].rows:,} to {runs[-1].rows:,} rows")
    return runs


def _plot(growth: dict[str, list[Run]], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(5, 3.5), layout="constrained")
    for title, runs in growth.items():
        axes.loglog([run.rows for run in runs], [run.cpu_s for run in runs], "o-", label=title)
    for power, style in ((1, ":"), (2, "--")):
        line = [runs[0].cpu_s * (run.rows / runs[0].rows) ** power for run in runs]
        axes.loglog([run.rows for run in runs], line, style, color="grey", label=f"rows^{power}")
    axes.set(xlabel="descriptions", ylabel="CPU seconds", title="Exact text join, τ = 0.6")
    axes.legend()
    figure.savefig(path, dpi=150)
    print(f"\nplot: {path}")


def _run(builder: str, vectors: Vectors, rows: int, cost: Measured, pairs: int) -> Run:
    return Run(
        builder,
        vectors.shape[0],
        rows,
        round(cost.wall_s, 3),
        round(cost.cpu_s, 3),
        round(cost.peak_bytes / 1e6, 1),
        pairs,
    )


def _ignore(_: int) -> None:
    """Report no progress."""


if __name__ == "__main__":
    main()
