"""How long the evaluation of a large catalogue takes, its photos already described.

    python -m benchmarks.evaluation --rows 500000 --queries 100

The database is that of ``search``, the descriptions are made-up listings that have nothing to do
with it: the quality means nothing, only the time does.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.descriptor_generator import DescriptorGenerator
from benchmarks.listings import listings
from benchmarks.search_database import MODELS, SearchDatabase, prepare_database
from export.ablation import METHODS, WAYS, rate_queries
from export.build_text_index import build_text_index
from export.evaluation import RatedQuery
from export.evaluation_statistics import categories_of, rows_of
from export.ground_truth import Query
from export.profiles import PAPER
from export.progress import progress
from export.text_settings import TextSettings
from retrieval_server.canary import write_canary
from retrieval_server.index_bundle import (
    ID_ORDER_FILE,
    REJECTS_FILE,
    IndexBundle,
    open_index,
    publish,
    seal,
)
from retrieval_server.manifest import IndexedModel, Manifest
from retrieval_server.preprocessing import PREPROCESSING
from retrieval_server.retriever import Descriptors, Retriever
from retrieval_server.string_table import write_string_table

ROOT = Path("build/bench-evaluation")
DATABASES = Path("build/bench-search")  # shared with the benchmark of the search
KIND = "photo"
SLOW_QUERIES = 20  # searched once more for each k, as a comparison


def prepare_index(database: SearchDatabase) -> IndexBundle:
    """Put a whole index around a database, or take the one that is there."""
    root = ROOT / f"{database.rows}"
    if (root / "current").is_file():
        return open_index(root)
    folder = root / ".building"
    folder.mkdir(parents=True, exist_ok=True)
    for file in database.folder.glob("*.npy"):
        (folder / file.name).unlink(missing_ok=True)
        os.link(file, folder / file.name)
    write_canary(folder, {model: np.zeros((1, size), "<f4") for model, size in MODELS.items()})
    texts = list(listings(database.rows))
    random.Random(0).shuffle(texts)
    ids = [product_id(row) for row in range(database.rows)]
    categories = [json.dumps({"category": f"c{row % 8}"}) for row in range(database.rows)]
    for name, table in (("ids", ids), ("descriptions", texts), ("images", ids)):
        write_string_table(folder, name, table)
    write_string_table(folder, "attributes", categories)
    np.save(folder / ID_ORDER_FILE, np.arange(database.rows, dtype=np.int32))
    (folder / REJECTS_FILE).write_text("")
    settings = TextSettings()
    with progress("descriptions", database.rows) as advance:
        report = build_text_index(texts, settings, folder, advance)
    manifest = Manifest(
        profile=PAPER,
        models={m: IndexedModel("0" * 64, size, "made up", 0) for m, size in MODELS.items()},
        preprocessing=PREPROCESSING,
        products=database.rows,
        rejected=0,
        documents=report.documents,
        text_pairs=report.sizes.neighbours,
        text=settings.to_json() | report.to_json(),
        search=database.record,
    )
    publish(folder, root, seal(folder, manifest))
    return open_index(root)


def product_id(row: int) -> str:
    """The id of a row, as the challenge writes it."""
    return f"n{row:07d}"


def made_up_queries(
    generator: DescriptorGenerator, count: int
) -> tuple[list[Query], list[Descriptors]]:
    """Photos of products that are there, with the images of the same product."""
    found = generator.queries(KIND, count)
    queries = [
        Query(Path(f"v{number:06d}.jpg"), frozenset(map(product_id, generator.same_product(row))))
        for number, row in enumerate(generator.rows_of_queries(KIND, count).tolist())
    ]
    return queries, [tuple(part[i] for part in found) for i in range(count)]


def main() -> None:
    """Prepare an index, evaluate, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--queries", type=int, default=100)
    options = parser.parse_args()
    database = prepare_database(DATABASES, options.rows)
    bundle = prepare_index(database)
    queries, described = made_up_queries(database.generator(), options.queries)
    retriever, opened = timed(lambda: _ready(bundle))
    rated, searched = timed(lambda: rate_queries(retriever, queries, described))
    rows, measured = timed(lambda: _statistics(rated))
    slow = described[:SLOW_QUERIES]
    _, apart = timed(lambda: [retriever.search(d, way) for d in slow for way in WAYS])
    print(f"{options.queries:,} described photos, {len(bundle):,} products, {len(rows)} methods")
    print(f"open and warm up               {opened:>8.1f} s")
    print(f"search and rate                {searched:>8.1f} s")
    print(f"intervals, tests, categories   {measured:>8.1f} s")
    print(f"a query, all methods at once   {1000 * searched / len(queries):>8.1f} ms")
    print(f"a query, each method by itself {1000 * apart / len(slow):>8.1f} ms")


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What some work gives, and the seconds it takes."""
    started = time.perf_counter()
    result = work()
    return result, time.perf_counter() - started


def _ready(bundle: IndexBundle) -> Retriever:
    retriever = Retriever(bundle, None)  # type: ignore[arg-type] # the photos are described
    retriever.warm_up()
    return retriever


def _statistics(rated: list[RatedQuery]) -> list[Any]:
    categories_of([method for method, _ in METHODS], METHODS[4][0], rated)
    return rows_of(METHODS, rated)


if __name__ == "__main__":
    main()
