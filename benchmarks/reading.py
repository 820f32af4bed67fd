"""Measure the reader beside rapidocr-onnxruntime, which brings its models, on one core.

``make bench-reading`` prints, for the query photos of a dataset:

1. The CPU time of a photo, the lines that are read, and what the words alone are worth: mAP@7 of
   the ranking by t, the similarity of the words and the products' texts, with the paired test of
   its difference.
2. How far both agree on 50 of the photos, boxes and characters, if the library detects at the size
   at which ours does and pads each line by itself; and how far it agrees with itself after a photo
   has moved by one pixel.

Example: python -m benchmarks.reading build/demo/sample --photos 60
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Column, Table

from benchmarks.reading_agreement import SAME_SETTINGS, Agreement, agreement, library_stability
from benchmarks.reading_peer import read_by_peer
from export.dataset.catalogue import Catalogue, read_catalogue
from export.evaluation.metrics import RESULTS, average_precision
from export.evaluation.sections import range_text
from export.evaluation.significance import paired_difference
from export.ground_truth.database import CatalogueDatabase
from export.ground_truth.queries import Query, items_of, read_ground_truth
from export.models.profiles import LITE
from export.text_index.word_index import build_word_index
from retrieval_server.engines.create_engine import create_engine
from retrieval_server.models.model_repository import ModelRepository
from retrieval_server.models.photo import Photo, decode_photo
from retrieval_server.models.reader import READER_MODELS
from retrieval_server.reading.reader import Reader, open_reader
from retrieval_server.text.grams import GRAMS
from retrieval_server.text.word_search import DESCRIPTION, WordSearch, WordsRecord

REPOSITORY = Path("model_repository")
AGREEMENT_PHOTOS = 50

Reading = tuple[list[str], float]  # texts and CPU seconds of a photo


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path, nargs="?", default=Path("build/demo/sample"))
    parser.add_argument("--photos", type=int, default=120, help="At most so many, seeded.")
    options = parser.parse_args()
    catalogue = read_catalogue(options.dataset)
    queries = read_ground_truth(options.dataset, CatalogueDatabase.of(catalogue)).by_image()
    rng = np.random.default_rng(0)
    chosen = sorted(rng.permutation(len(queries))[: options.photos])
    asyncio.run(_measure(catalogue, [queries[position] for position in chosen]))


async def _measure(catalogue: Catalogue, queries: Sequence[Query]) -> None:
    photos = [decode_photo(query.image.read_bytes()) for query in queries]
    engine = create_engine(
        "embedded",
        REPOSITORY,
        LITE.name,
        workers=1,
        threads_per_image=1,
        further_models=READER_MODELS,
    )
    try:
        repository = ModelRepository(REPOSITORY)
        reader = open_reader(repository, engine)
        theirs = [
            (list(reading.texts), reading.cpu_s)
            for reading in read_by_peer([photo.pixels for photo in photos], {})
        ]
        ours = await _read(reader, photos)
        stability = library_stability(photos[:AGREEMENT_PHOTOS])
        agreed = await agreement(engine, repository, photos[:AGREEMENT_PHOTOS])
    finally:
        await engine.close()
    console = Console(width=100)
    console.print(_comparison(catalogue, queries, {"rapidocr-onnxruntime": theirs, "ours": ours}))
    console.print(_agreement(agreed, stability, min(len(photos), AGREEMENT_PHOTOS)))


async def _read(reader: Reader, photos: Sequence[Photo]) -> list[Reading]:
    """Read each photo by itself; the first one twice, as the first time takes longer."""
    await reader.read(photos[0])
    readings = []
    for photo in photos:
        started = time.process_time()
        lines = await reader.read(photo)
        readings.append(([line.text for line in lines], time.process_time() - started))
    return readings


def _comparison(
    catalogue: Catalogue, queries: Sequence[Query], readings: dict[str, list[Reading]]
) -> Table:
    names = ("CPU ms a photo", "median", "lines a photo", f"mAP@{RESULTS} (gt) by words alone")
    table = Table(
        Column("reader", no_wrap=True),
        *names,
        title=f"{len(queries)} photos of {catalogue.path.parent}",
    )
    ratings = _ratings(
        catalogue, queries, [[texts for texts, _ in read] for read in readings.values()]
    )
    for (name, read), rated in zip(readings.items(), ratings, strict=True):
        times = [1e3 * cpu_s for _, cpu_s in read]
        table.add_row(
            name,
            f"{np.mean(times):.0f}",
            f"{np.median(times):.0f}",
            f"{np.mean([len(texts) for texts, _ in read]):.2f}",
            f"{np.mean(rated):.4f}",
        )
    first, second = (sum(cpu_s for _, cpu_s in read) for read in readings.values())
    change = paired_difference(*ratings, items_of(queries))
    table.caption = (
        f"ours takes {second / first:.3f} of the library's CPU time; difference of mAP "
        f"{change.mean:+.4f} ({range_text(change.interval, signed=True)}), p = {change.p_value:.2f}"
    )
    return table


def _ratings(
    catalogue: Catalogue, queries: Sequence[Query], readings: Sequence[Sequence[Sequence[str]]]
) -> list[list[float]]:
    """Average precision (gt) of each query under each reading, ranked by its words alone."""
    settings = WordsRecord(GRAMS, ("brand",), {})
    products = [settings.text_of(row.description, row.attributes) for row in catalogue.rows]
    with tempfile.TemporaryDirectory() as folder:
        sizes = build_word_index(Path(folder), {DESCRIPTION: products}, lambda count: None)
        search = WordSearch(Path(folder), WordsRecord(GRAMS, ("brand",), sizes))

        def rating(query: Query, lines: Sequence[str]) -> float:
            best = search.cosines(" ".join(lines)).best(RESULTS)
            ids = [catalogue.rows[row].product_id for row in best]
            return average_precision(ids, query.relevant).gt

        return [list(map(rating, queries, texts)) for texts in readings]


def _agreement(agreed: Agreement, stability: float, photos: int) -> Table:
    table = Table(
        "agreement with the library",
        "",
        title=f"{photos} photos, its settings: "
        + ", ".join(f"{name}={value}" for name, value in SAME_SETTINGS.items()),
    )
    table.add_row("boxes of the library", f"{len(agreed.offsets)}")
    table.add_row("the same in ours", f"{agreed.boxes_within(0):.1%}")
    table.add_row("within 1 pixel", f"{agreed.boxes_within(1):.1%}")
    table.add_row("further boxes in ours", f"{agreed.further_boxes}")
    table.add_row("characters of the library", f"{agreed.characters}")
    table.add_row("the same in ours", f"{agreed.character_share:.1%}")
    table.add_row("the same in its own, each photo moved by a pixel", f"{stability:.1%}")
    return table


if __name__ == "__main__":
    main()
