"""``make bench-words``: searches with words beside searches without, on the same rows.

    python -m benchmarks.words --rows 500000

The descriptors are those of ``benchmarks.search``, the texts real titles and edited copies of them,
or synthetic listings where the file of titles is missing. Photos and texts are unrelated. The words
of half of the queries are two words of the product that the photo finds first, so that both agree;
those of the other half come from any product. One process, one thread, one query at a time.

It prints the size of the inverted file, and the time and memory of its build; the times of t alone,
of the search without words and with them, and of brute force by numpy; what words add to the memory
of the search; and the number of searches that differ from brute force in float64. A second table
has the times for as many words as are read on a photo, and for the most that are accepted. A third
has the hybrid searches of ``word_peers`` beside ours, on fewer products. Times are CPU time, since
the machine may be shared.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import random
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from benchmarks.child_process import Measured, in_child_process, measured, resident_bytes
from benchmarks.descriptor_generator import KINDS
from benchmarks.listings import listings
from benchmarks.search_database import (
    ALPHA,
    ROOT,
    TOP_K,
    Query,
    SearchDatabase,
    fused_in_float32,
    open_cascade,
    prepare_database,
    queries_of,
)
from benchmarks.search_reference import best_in_order, near_the_best, reference_similarities
from benchmarks.text_index import REAL_TEXTS
from benchmarks.word_peers import HybridResult, hybrid_results
from export.text_index.word_index import build_word_index
from retrieval_server.exact_search.cascade import CascadeSearch
from retrieval_server.exact_search.row_factors import RowFactors
from retrieval_server.models.profile import Profile
from retrieval_server.text.grams import GRAMS
from retrieval_server.text.word_search import (
    DESCRIPTION,
    MAX_WORDS_CHARACTERS,
    WordSearch,
    WordsRecord,
    field_file,
)

QUERIES = 250  # of each kind
WARM_UP = 16
NUMPY_QUERIES = 16
# The median and the most of the query photos of the sample and dev_set, 40 lines, and the limit.
READ_CHARACTERS = (30, 100, 1_000, MAX_WORDS_CHARACTERS)
READ_QUERIES = 60  # of each length
PEER_ROWS, PEER_QUERIES = 20_000, 25  # queries of each kind
SEED = 0


def texts_of(rows: int) -> list[str]:
    """Real titles, then edited copies of them; listings where there are no titles."""
    if not REAL_TEXTS.exists():
        return list(listings(rows))
    with gzip.open(REAL_TEXTS, "rt", encoding="utf-8", newline="") as file:
        real = [row["description"] for row in csv.DictReader(file)]
    rng = random.Random(SEED)
    texts = real + [_edited(rng, rng.choice(real)) for _ in range(max(0, rows - len(real)))]
    rng.shuffle(texts)
    return texts[:rows]


def _edited(rng: random.Random, title: str) -> str:
    """A title without a word, with two words exchanged, or with a word more."""
    words = title.split() or [title]
    place = rng.randrange(len(words))
    edit = rng.randrange(3)
    if edit == 0 and len(words) > 1:
        del words[place]
    elif edit == 1:
        words[place], words[0] = words[0], words[place]
    else:
        words.append(rng.choice(("New", "Pack of 2", "50ml", "Original", "Sale")))
    return " ".join(words)


def build_words(folder: Path, rows: int) -> Measured:
    """Build the inverted file of the texts; in a process of its own."""
    folder.mkdir(exist_ok=True)
    texts = texts_of(rows)
    return measured(lambda: build_word_index(folder, {DESCRIPTION: texts}, lambda _: None))


def open_words(folder: Path, rows: int) -> tuple[WordSearch, dict[str, Any]]:
    """Build the inverted file, and open it."""
    build: Measured = in_child_process(build_words, folder, rows)
    size = sum(file.stat().st_size for file in folder.glob(f"{field_file(DESCRIPTION)}.*"))
    return WordSearch(folder, WordsRecord(GRAMS, (), build.result)), {
        "cpu_s": round(build.cpu_s, 1),
        "wall_s": round(build.wall_s, 1),
        "peak_gb": round(build.peak_bytes / 1e9, 2),
        "bytes_a_product": round(size / rows, 1),
        **asdict(build.result[DESCRIPTION]),
    }


def words_of_queries(search: CascadeSearch, queries: list[Query], texts: list[str]) -> list[str]:
    """Two words for each query: of the first match of every other one, or of any product."""
    rng = random.Random(SEED)
    chosen = []
    for number, query in enumerate(queries):
        first = int(search.rank_all(query, ALPHA, 1).rows[0])
        words = texts[first if number % 2 else rng.randrange(len(texts))].split()
        chosen.append(" ".join(rng.sample(words, min(2, len(words)))))
    return chosen


def read_words(texts: list[str], characters: int, count: int) -> list[str]:
    """Lines of text as on packs, so many characters for each query: titles of any products."""
    rng = random.Random(SEED)
    found = []
    for _ in range(count):
        lines = ""
        while len(lines) < characters:
            lines += f"{rng.choice(texts)}\n"
        found.append(lines[:characters])
    return found


def factors_of(index: WordSearch, words: str) -> RowFactors:
    """The factors 1 + β t, as the server makes them by default."""
    found = index.cosines(words)
    return RowFactors(found.rows, 1 + Profile.text_weight * found.cosines)


def timed(works: list[Callable[[int], object]], count: int) -> NDArray[np.float64]:
    """Milliseconds of each call, (works, count); the works take turns query by query."""
    for number in range(min(WARM_UP, count)):
        for work in works:
            work(number)
    times = np.empty((len(works), count))
    for number in range(count):
        for position, work in enumerate(works):
            started = time.process_time()
            work(number)
            times[position, number] = 1000 * (time.process_time() - started)
    return times


def differences(
    database: SearchDatabase,
    search: CascadeSearch,
    index: WordSearch,
    queries: list[Query],
    words: list[str],
) -> dict[str, Any]:
    """Compare rows with brute force; see ``search_reference``."""
    fused, matrices = fused_in_float32(database, queries), database.descriptors()
    every, different, largest_error = np.arange(database.rows), 0, 0.0
    for query, similarities, each in zip(queries, fused, words, strict=True):
        factors = factors_of(index, each)
        similarities[factors.rows] *= factors.factors.astype(np.float32)
        near = near_the_best(similarities, every, factors.largest)
        exact = reference_similarities(matrices, query, near) * factors.of(near)
        rows, exact = best_in_order(near, exact)
        ranking = search.rank_all(query, ALPHA, TOP_K, factors=factors)
        different += ranking.rows.tolist() != rows.tolist()
        errors = np.abs(ranking.similarities - exact)
        largest_error = max(largest_error, float(errors.max()))
    return {"queries": len(queries), "differences": different, "largest_error": largest_error}


def main() -> None:
    """Measure, and print tables, and JSON as the last line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=500_000)
    rows = parser.parse_args().rows
    with threadpool_limits(1, user_api="blas"):
        summary = measure(prepare_database(ROOT, rows))
        hybrid = beside_peers(prepare_database(ROOT, min(rows, PEER_ROWS)))
    console = Console(width=120)
    console.print(table_of(summary))
    console.print(table_of_read_words(summary["read_words"]))
    console.print(table_of_peers(hybrid))
    sys.stdout.write(json.dumps(summary | {"hybrid": hybrid}) + "\n")


def measure(database: SearchDatabase) -> dict[str, Any]:
    """All measurements on one database."""
    index, build = open_words(database.folder / "words", database.rows)
    texts, search = texts_of(database.rows), open_cascade(database)
    by_kind = queries_of(database, QUERIES)
    queries = [query for kind in KINDS for query in by_kind[kind]]
    words = words_of_queries(search, queries, texts)
    plain_bytes = resident_bytes("RssAnon")
    times = {}
    for position, kind in enumerate(KINDS):
        chosen = words[position * QUERIES : (position + 1) * QUERIES]
        times[kind] = times_of(search, index, by_kind[kind], chosen)
    long_words = read_words_times(search, index, by_kind["photo"], texts)
    memory_mb = (resident_bytes("RssAnon") - plain_bytes) / 1e6
    hard = slice(-NUMPY_QUERIES, None)
    return {
        "rows": database.rows,
        "texts": "real titles" if REAL_TEXTS.exists() else "listings",
        "build": build,
        "times": times,
        "read_words": long_words,
        "memory_mb": round(memory_mb, 1),
        "numpy_ms": numpy_times(database, index, queries[hard], words[hard]),
        "exact": differences(database, search, index, queries, words),
    }


def times_of(
    search: CascadeSearch, index: WordSearch, queries: list[Query], words: list[str]
) -> dict[str, float]:
    """Median and 95 % quantile of each kind of work, in ms."""

    def without(number: int) -> object:
        return search.rank_all(queries[number], ALPHA, TOP_K)

    def with_words(number: int) -> object:
        factors = factors_of(index, words[number])
        return search.rank_all(queries[number], ALPHA, TOP_K, factors=factors)

    works: dict[str, Callable[[int], object]] = {
        "without words": without,
        "t alone": lambda number: factors_of(index, words[number]),
        "with words": with_words,
    }
    result = {}
    for name, spent in zip(works, timed(list(works.values()), len(queries)), strict=True):
        result[f"{name}, median ms"] = round(float(np.median(spent)), 2)
        result[f"{name}, p95 ms"] = round(float(np.quantile(spent, 0.95)), 2)
    counts = [len(index.cosines(each).rows) for each in words]
    return result | {"products with t > 0, median": float(np.median(counts))}


def read_words_times(
    search: CascadeSearch, index: WordSearch, queries: list[Query], texts: list[str]
) -> dict[int, dict[str, float]]:
    """See ``times_of``, for words of each length that ``READ_CHARACTERS`` names."""
    return {
        characters: times_of(
            search, index, queries[:READ_QUERIES], read_words(texts, characters, READ_QUERIES)
        )
        for characters in READ_CHARACTERS
    }


def beside_peers(database: SearchDatabase) -> dict[str, Any]:
    """Our search and the peers' hybrid searches on the same products and queries."""
    index, _ = open_words(database.folder / "words", database.rows)
    texts, search = texts_of(database.rows), open_cascade(database)
    queries = [
        query for of_kind in queries_of(database, PEER_QUERIES).values() for query in of_kind
    ]
    words = words_of_queries(search, queries, texts)

    def ours(number: int) -> NDArray[np.int32]:
        factors = factors_of(index, words[number])
        return search.rank_all(queries[number], ALPHA, TOP_K, factors=factors).rows

    (spent,) = timed([ours], len(queries))
    expected = [ours(number) for number in range(len(queries))]
    size = sum(file.stat().st_size for file in database.folder.rglob("*.npy"))
    results = [HybridResult("ours", spent, 1.0, 1.0, size)]
    results += hybrid_results(database, texts, queries, words, expected)
    return {
        "rows": database.rows,
        "queries": len(queries),
        "searches": {
            each.name: {
                "median ms": round(float(np.median(each.milliseconds)), 2),
                "p95 ms": round(float(np.quantile(each.milliseconds, 0.95)), 2),
                "recall": round(each.recall, 3),
                "recall of candidates": round(each.candidate_recall, 3),
                "MB on disk": round(each.bytes / 1e6),
            }
            for each in results
        },
    }


def numpy_times(
    database: SearchDatabase, index: WordSearch, queries: list[Query], words: list[str]
) -> float:
    """Median ms of brute force by numpy in float32, without the time for t."""
    matrices = database.descriptors()
    factors = [factors_of(index, each) for each in words]

    def brute_force(number: int) -> object:
        fused = np.ones(database.rows, np.float32)
        for matrix, vector, alpha in zip(matrices, queries[number], ALPHA, strict=True):
            fused *= 1 + np.float32(alpha) * (matrix @ vector)
        fused[factors[number].rows] *= factors[number].factors.astype(np.float32)
        best = np.argpartition(-fused, TOP_K)[:TOP_K]
        return best[np.lexsort((best, -fused[best]))]

    return round(float(np.median(timed([brute_force], len(queries)))), 1)


def table_of(summary: dict[str, Any]) -> Table:
    """The times by kind of query."""
    exact, build = summary["exact"], summary["build"]
    table = Table(
        title=f"{summary['rows']:,} products, {summary['texts']}: {exact['differences']} of "
        f"{exact['queries']:,} searches with words differ from brute force. Inverted file: "
        f"{build['bytes_a_product']} bytes a product, built in {build['cpu_s']} CPU s with "
        f"{build['peak_gb']} GB. Words add {summary['memory_mb']} MB to the search. "
        f"Brute force by numpy: {summary['numpy_ms']} ms. All times are CPU time."
    )
    table.add_column("")
    for kind in KINDS:
        table.add_column(kind, justify="right")
    for name in next(iter(summary["times"].values())):
        table.add_row(name, *(f"{summary['times'][kind][name]:,.2f}" for kind in KINDS))
    return table


def table_of_read_words(times: dict[int, dict[str, float]]) -> Table:
    """The times by the length of the words."""
    table = Table(title="Words as read on photos")
    table.add_column("characters", justify="right")
    for name in next(iter(times.values())):
        table.add_column(name, justify="right")
    for characters, of_length in times.items():
        table.add_row(f"{characters:,}", *(f"{value:,.2f}" for value in of_length.values()))
    return table


def table_of_peers(hybrid: dict[str, Any]) -> Table:
    """Ours and the peers."""
    table = Table(title=f"{hybrid['rows']:,} products, {hybrid['queries']} queries, CPU time")
    table.add_column("")
    for name in hybrid["searches"]["ours"]:
        table.add_column(name, justify="right")
    for search, figures in hybrid["searches"].items():
        table.add_row(search, *(f"{value:,}" for value in figures.values()))
    return table


if __name__ == "__main__":
    main()
