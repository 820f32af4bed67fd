"""A complete index with the database of ``search``, and the models to serve it.

The models are those of profile ``paper`` with random weights, and the descriptions are synthetic
listings. Both are unrelated to the descriptors, so time and memory have a meaning, and the results
of a search have none.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.listings import listings
from benchmarks.search_database import SearchDatabase
from export.models.backbones import WeightsChoice
from export.models.build_model_repository import export_profile
from export.models.profiles import PAPER
from export.progress import progress
from export.text_index.build import build_text_index
from export.text_index.settings import TextSettings
from export.text_index.word_index import build_word_index
from retrieval_server.attributes.columns import write_column
from retrieval_server.cores import available_cores
from retrieval_server.engines.create_engine import create_engine
from retrieval_server.errors import IndexBundleError
from retrieval_server.index.bundle import ID_ORDER_FILE, REJECTS_FILE, IndexBundle
from retrieval_server.index.images import IMAGE_DIGEST_BYTES, IMAGE_DIGESTS_FILE
from retrieval_server.index.manifest import IndexedModel, Manifest
from retrieval_server.index.publish import make_current, open_index, seal, store
from retrieval_server.index.reference_image import reference_image, write_reference
from retrieval_server.models.model_repository import ModelRepository
from retrieval_server.models.preprocessing import PREPROCESSING
from retrieval_server.storage.string_table import write_string_table
from retrieval_server.text.grams import GRAMS
from retrieval_server.text.word_search import DESCRIPTION, WordsRecord

SEED = 0
CATEGORY = "category"


def prepare_models(root: Path) -> Path:
    """Export the models that are not yet exported.

    Args:
        root: folder that contains the model repository, as ``models``.

    Returns:
        The model repository.
    """
    repository = root / "models"
    export_profile(PAPER, repository, {m: WeightsChoice(random_seed=SEED) for m in PAPER.models})
    return repository


def prepare_index(root: Path, database: SearchDatabase) -> IndexBundle:
    """Open a complete index of a database, or build it in the database's folder.

    Args:
        root: folder that contains the model repository, as ``models``.
        database: its files of descriptors and levels become files of the index, as hard links.
    """
    index = database.folder / "index"
    with suppress(IndexBundleError):  # none yet, or one of a former format
        return open_index(index)
    repository = prepare_models(root)
    folder = index / ".building"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file in database.folder.glob("*.npy"):
        os.link(file, folder / file.name)
    write_reference(folder, _describe_reference(repository))
    texts = list(listings(database.rows))
    random.Random(SEED).shuffle(texts)
    ids = [product_id(row) for row in range(database.rows)]
    categories = [f"c{row % 8}" for row in range(database.rows)]
    for name, table in (("ids", ids), ("descriptions", texts), ("images", ids)):
        write_string_table(folder, name, table)
    attributes = (json.dumps({CATEGORY: category}) for category in categories)
    write_string_table(folder, "attributes", attributes)
    column = write_column(folder, 0, CATEGORY, categories)
    np.save(folder / ID_ORDER_FILE, np.arange(database.rows, dtype=np.int32))
    np.save(folder / IMAGE_DIGESTS_FILE, np.zeros((database.rows, IMAGE_DIGEST_BYTES), np.uint8))
    (folder / REJECTS_FILE).write_text("")
    settings = TextSettings()
    with progress("descriptions", database.rows) as advance:
        report = build_text_index(texts, settings, folder, advance)
    with progress("words", database.rows) as advance:
        sizes = build_word_index(folder, {DESCRIPTION: texts}, advance)
    manifest = Manifest(
        profile=PAPER,
        models={
            model.name: IndexedModel(model.digest, model.dimension, "random", 0)
            for model in ModelRepository(repository).ensemble(PAPER.name)
        },
        preprocessing=PREPROCESSING,
        precision=None,
        products=database.rows,
        rejected=0,
        documents=report.documents,
        text_pairs=report.sizes.neighbours,
        text=settings.to_json() | report.to_json(),
        words=WordsRecord(GRAMS, (), sizes),
        columns=(column,),
        search=database.record,
    )
    make_current(index, store(folder, index, seal(folder, manifest)).name)
    return open_index(index)


def product_id(row: int) -> str:
    """The product id of a row, in the form of the challenge."""
    return f"n{row:07d}"


def _describe_reference(repository: Path) -> Mapping[str, NDArray[np.float32]]:
    async def describe() -> Mapping[str, NDArray[np.float32]]:
        engine = create_engine(
            "embedded", repository, PAPER.name, workers=1, threads_per_image=available_cores()
        )
        try:
            return await engine.infer(PAPER.name, reference_image(PAPER.side)[None])
        finally:
            await engine.close()

    return asyncio.run(describe())
