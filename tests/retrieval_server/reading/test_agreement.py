"""The reader beside the library that brings its models, on 50 photos."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from benchmarks.reading_agreement import Agreement, agreement
from benchmarks.reading_peer import install_peer
from retrieval_server.engines.create_engine import create_engine
from retrieval_server.models.model_repository import ModelRepository
from retrieval_server.models.photo import decode_photo
from retrieval_server.models.reader import READER_MODELS
from tests.support.paths import SHARED

PHOTOS = 50  # half of them real ones, where they are
REAL_PHOTOS = SHARED / "data" / "dev_set" / "queries"


@pytest.fixture(scope="module")
def agreed(reader_repository: Path, request: pytest.FixtureRequest) -> Agreement:
    try:
        install_peer()
    except RuntimeError as error:
        pytest.skip(f"needs rapidocr-onnxruntime in a folder of its own: {str(error)[-300:]}")
    sample: Path = request.getfixturevalue("sample")  # rendered only where it is needed
    rng = np.random.default_rng(0)
    photos = []
    folders = [folder for folder in (REAL_PHOTOS, sample / "queries") if folder.is_dir()]
    for folder in folders:
        paths = sorted(folder.iterdir())
        photos += [
            decode_photo(paths[position].read_bytes())
            for position in sorted(rng.choice(len(paths), PHOTOS // len(folders), replace=False))
        ]

    async def compare() -> Agreement:
        engine = create_engine(
            "embedded",
            reader_repository,
            "tiny",
            workers=2,
            threads_per_image=1,
            further_models=READER_MODELS,
        )
        try:
            return await agreement(engine, ModelRepository(reader_repository), photos)
        finally:
            await engine.close()

    return asyncio.run(compare())


def test_boxes_are_those_of_the_library(agreed: Agreement) -> None:
    assert len(agreed.offsets) > 100
    assert agreed.boxes_within(1) == 1
    assert agreed.boxes_within(0) > 0.99
    assert agreed.further_boxes == 0


def test_nearly_all_characters_are_those_of_the_library(agreed: Agreement) -> None:
    assert agreed.characters > 500
    assert agreed.character_share > 0.99
