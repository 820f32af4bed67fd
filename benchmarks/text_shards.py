"""Measure the join of texts by pairs of shards beside the join on one machine.

``make bench-text-shards`` makes the textual index of made-up listings, and of real titles if the
file exists, twice: in one process, and in shards, where the fit, the pairs of shards and the merge
are processes of their own, as in a cluster. All files must be equal, byte for byte. CPU seconds are
user and system time of all threads. The language filter, which takes equally long in both, is off.

The second table is calculated: how the numbers grow up to the larger catalogues. Pairs that are
compared grow as they grow between the smallest and the largest measured catalogue of listings, and
a compared pair takes the time that it takes in the largest one; all else grows with the rows. The
last line is one JSON object.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import math
import random
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from export.text_index.language_filter import KEEP_ALL

from benchmarks.child_process import Measured, in_child_process, measured
from benchmarks.listings import listings
from export.text_index.build import build_text_index, warm_up
from export.text_index.joined_texts import open_joined_texts
from export.text_index.pair_join import join_pair, shard_pairs
from export.text_index.settings import TextSettings
from export.text_index.text_fit import TextFit

REAL_TEXTS = Path("../shared/data/text/products_146k.csv.gz")
SIZES = (50_000, 100_000, 200_000)
LARGER = {10_000_000: 16, 100_000_000: 64}  # rows, and shards
SHARDS = 4
PAIRS = range(len(shard_pairs(SHARDS)))
ORDER = sorted(PAIRS, key=lambda number: number != 1)  # first one of two shards, for its memory
SETTINGS = TextSettings(language_filter=KEEP_ALL)


@dataclass(frozen=True)
class Sharded:
    """Both ways for one catalogue.

    Attributes:
        texts: what the catalogue is.
        rows: number of texts.
        pairs: ordered pairs (text, neighbour) of the index.
        compared: pairs of texts that all tasks compared.
        single_cpu_s: CPU seconds of one process.
        single_mb: its peak memory.
        fit_cpu_s: CPU seconds of the fit.
        fit_mb: its peak memory.
        join_cpu_s: CPU seconds of all pairs of shards.
        task_mb: the peak memory of one pair of two shards.
        merge_cpu_s: CPU seconds of the merge.
        merge_mb: its peak memory.
        disk_mb: the folder of fit and pairs.
    """

    texts: str
    rows: int
    pairs: int
    compared: int
    single_cpu_s: float
    single_mb: float
    fit_cpu_s: float
    fit_mb: float
    join_cpu_s: float
    task_mb: float
    merge_cpu_s: float
    merge_mb: float
    disk_mb: float


@dataclass(frozen=True)
class Larger:
    """What a larger catalogue takes, calculated.

    Attributes:
        rows: number of texts.
        shards: number of shards.
        tasks: number of pairs of them.
        fit_cpu_s: CPU seconds of the fit.
        fit_gb: its memory.
        join_cpu_h: CPU hours of all pairs.
        task_gb: memory of one pair.
        merge_gb: memory of the merge.
        disk_gb: the folder of fit and pairs.
    """

    rows: int
    shards: int
    tasks: int
    fit_cpu_s: float
    fit_gb: float
    join_cpu_h: float
    task_gb: float
    merge_gb: float
    disk_gb: float


def main() -> None:
    """Run the benchmark, and print the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("build/benchmarks"))
    folder = parser.parse_args().output
    folder.mkdir(parents=True, exist_ok=True)
    print(f"measured, {SHARDS} shards, {len(shard_pairs(SHARDS))} pairs of them")
    print(
        f"{'texts':<9} {'rows':>8} {'pairs':>10} {'single':>12} {'fit':>12} {'all pairs':>9} "
        f"{'one pair':>8} {'merge':>12} {'disk':>7}"
    )
    print(
        f"{'':<9} {'':>8} {'':>10} {'CPU s / MB':>12} {'CPU s / MB':>12} {'CPU s':>9} {'MB':>8} "
        f"{'CPU s / MB':>12} {'MB':>7}"
    )
    runs = [run for title, texts in _catalogues() for run in [_run(title, texts, folder)]]
    print("\ncalculated")
    print(
        f"{'rows':>11} {'shards':>6} {'pairs':>6} {'fit CPU s':>9} {'fit GB':>7} "
        f"{'all pairs CPU h':>15} {'one pair GB':>11} {'merge GB':>8} {'disk GB':>8}"
    )
    made_up = [run for run in runs if run.texts == "listings"]
    calculated = [larger(made_up, rows, shards) for rows, shards in LARGER.items()]
    for each in calculated:
        print(
            f"{each.rows:>11,} {each.shards:>6} {each.tasks:>6,} {each.fit_cpu_s:>9,.0f} "
            f"{each.fit_gb:>7.1f} {each.join_cpu_h:>15.1f} {each.task_gb:>11.2f} "
            f"{each.merge_gb:>8.1f} {each.disk_gb:>8.0f}"
        )
    print(
        json.dumps(
            {"runs": [asdict(run) for run in runs], "larger": [asdict(e) for e in calculated]}
        )
    )


def larger(measured_runs: list[Sharded], rows: int, shards: int) -> Larger:
    """Calculate what a larger catalogue takes.

    Args:
        measured_runs: of one kind of texts, in ``SHARDS`` shards, by ascending number of rows.
        rows: of the larger catalogue.
        shards: its number of shards.
    """
    first, last = measured_runs[0], measured_runs[-1]
    growth = math.log(last.compared / first.compared) / math.log(last.rows / first.rows)
    pair_growth = math.log(last.pairs / first.pairs) / math.log(last.rows / first.rows)
    times = rows / last.rows
    across = (2 - 1 / shards) / (2 - 1 / SHARDS)  # two shards compare both sides with one
    vectors = last.disk_mb - 5e-6 * last.pairs  # a pair of vectors takes ten bytes, once
    return Larger(
        rows=rows,
        shards=shards,
        tasks=len(shard_pairs(shards)),
        fit_cpu_s=last.fit_cpu_s * times,
        fit_gb=last.fit_mb * times / 1e3,
        join_cpu_h=last.join_cpu_s * times**growth * across / 3600,
        task_gb=last.task_mb * times * SHARDS / shards / 1e3,
        merge_gb=last.merge_mb * times / 1e3,
        disk_gb=(vectors * times + 5e-6 * last.pairs * times**pair_growth) / 1e3,
    )


def _catalogues() -> list[tuple[str, list[str]]]:
    made_up = [("listings", _shuffled(list(listings(rows)))) for rows in SIZES]
    if not REAL_TEXTS.exists():
        return made_up
    with gzip.open(REAL_TEXTS, "rt", encoding="utf-8", newline="") as file:
        real = _shuffled([row["description"] for row in csv.DictReader(file)])
    return [*made_up, ("titles", real)]


def _shuffled(texts: list[str]) -> list[str]:
    random.Random(0).shuffle(texts)
    return texts


def _run(title: str, texts: list[str], folder: Path) -> Sharded:
    with tempfile.TemporaryDirectory(dir=folder) as name:
        root = Path(name)
        single = in_child_process(_single, texts, root / "single")
        fit = in_child_process(_fit, texts, root / "texts")
        first, *others = ORDER
        joins = [in_child_process(_join, root / "texts", numbers) for numbers in ([first], others)]
        merge = in_child_process(_merge, texts, root / "texts", root / "merged")
        if _files(root / "single") != _files(root / "merged"):
            raise SystemExit(f"{title}, {len(texts):,} rows: the two indexes differ.")
        found = Sharded(
            texts=title,
            rows=len(texts),
            pairs=single.result,
            compared=sum(each.result for each in joins),
            single_cpu_s=single.cpu_s,
            single_mb=single.peak_bytes / 1e6,
            fit_cpu_s=fit.cpu_s,
            fit_mb=fit.peak_bytes / 1e6,
            join_cpu_s=sum(each.cpu_s for each in joins),
            task_mb=joins[0].peak_bytes / 1e6,
            merge_cpu_s=merge.cpu_s,
            merge_mb=merge.peak_bytes / 1e6,
            disk_mb=sum(p.stat().st_size for p in (root / "texts").rglob("*") if p.is_file()) / 1e6,
        )
    print(
        f"{title:<9} {found.rows:>8,} {found.pairs:>10,} "
        f"{found.single_cpu_s:>6.2f} / {found.single_mb:>3.0f} "
        f"{found.fit_cpu_s:>6.2f} / {found.fit_mb:>3.0f} {found.join_cpu_s:>9.2f} "
        f"{found.task_mb:>8.0f} {found.merge_cpu_s:>6.2f} / {found.merge_mb:>3.0f} "
        f"{found.disk_mb:>7.1f}"
    )
    return found


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _single(texts: list[str], folder: Path) -> Measured:
    warm_up()
    folder.mkdir()

    def work() -> int:
        return build_text_index(texts, SETTINGS, folder, lambda _: None).sizes.neighbours

    return measured(work)


def _fit(texts: list[str], folder: Path) -> Measured:
    warm_up()
    return measured(lambda: TextFit(folder, SHARDS, SETTINGS).run(texts)[0].products)


def _join(folder: Path, numbers: list[int]) -> Measured:
    warm_up()
    return measured(lambda: sum(join_pair(folder, number)[0].compared for number in numbers))


def _merge(texts: list[str], folder: Path, target: Path) -> Measured:
    warm_up()
    target.mkdir()

    def work() -> int:
        joined = open_joined_texts(folder, SETTINGS)
        joined.check_texts(texts)
        return joined.write(texts, target, None).sizes.neighbours

    return measured(work)


if __name__ == "__main__":
    main()
