"""Models that an engine runs by themselves, beside the profile's ensemble."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from retrieval_server.engines.create_engine import create_engine
from retrieval_server.errors import (
    EngineDeadlineError,
    EngineError,
    EngineUnavailableError,
    ModelMismatchError,
    ModelRepositoryError,
)
from tests.retrieval_server.engines.conftest import ENSEMBLE, OpenEngine
from tests.support.triton_engine import noise, open_triton, with_fake

FURTHER = ("tiny_a",)


def run(
    open_engine: OpenEngine, images: NDArray[Any], model: str = "tiny_a", **options: Any
) -> dict[str, NDArray[Any]]:
    async def call() -> dict[str, NDArray[Any]]:
        async with open_engine(further_models=FURTHER) as engine:
            return await engine.run(model, images, **options)

    return asyncio.run(call())


def test_outputs_come_by_name_without_the_fingerprint_and_are_the_same_in_every_engine(
    open_engine: OpenEngine, tiny_repository: Path
) -> None:
    images = noise(9)

    async def infer() -> NDArray[np.float32]:
        engine = create_engine(
            "embedded", tiny_repository, ENSEMBLE, workers=1, threads_per_image=1
        )
        try:
            return (await engine.infer(ENSEMBLE, images))["tiny_a"]
        finally:
            await engine.close()

    outputs = run(open_engine, images)
    assert outputs.keys() == {"descriptor"}
    assert outputs["descriptor"].tobytes() == asyncio.run(infer()).tobytes()


def test_row_does_not_depend_on_the_rest_of_the_batch(open_engine: OpenEngine) -> None:
    images = noise(9)
    rows = [run(open_engine, image[None])["descriptor"] for image in images]
    assert run(open_engine, images)["descriptor"].tobytes() == np.concatenate(rows).tobytes()


def test_no_images_give_no_rows(open_engine: OpenEngine) -> None:
    outputs = run(open_engine, noise(0))
    assert (outputs["descriptor"].shape, outputs["descriptor"].dtype) == ((0, 24), np.float32)


@pytest.mark.parametrize(
    "images",
    [np.zeros((1, 32, 33, 3), np.uint8), np.zeros((32, 32, 3), np.uint8), np.zeros((1, 32, 32, 3))],
    ids=["size", "no batch", "float64"],
)
def test_other_images_are_refused_naming_both(
    open_engine: OpenEngine, images: NDArray[Any]
) -> None:
    with pytest.raises(EngineError, match=r"tiny_a takes uint8 images \(B, 32, 32, 3\)") as caught:
        run(open_engine, images)
    assert f"{images.dtype} {images.shape}" in str(caught.value)


@pytest.mark.parametrize("model", ["tiny_b", "tiny", "text_detector"])
def test_model_that_the_engine_was_not_opened_with_is_refused(
    open_engine: OpenEngine, model: str
) -> None:
    with pytest.raises(EngineError, match=rf"\['tiny_a'\], not with '{model}'"):
        run(open_engine, noise(1), model)


def test_passed_deadline_is_an_error(open_engine: OpenEngine) -> None:
    with pytest.raises(EngineDeadlineError):
        run(open_engine, noise(1), timeout_s=0.0)


def test_closed_engine_is_unavailable(open_engine: OpenEngine) -> None:
    async def call() -> None:
        async with open_engine(further_models=FURTHER) as engine:
            await engine.close()
            await engine.run("tiny_a", noise(1))

    with pytest.raises(EngineUnavailableError, match="closed"):
        asyncio.run(call())


# The rest is about a Triton that has other models than the repository.


def test_triton_without_the_model_describes_images_all_the_same(
    triton_url: str, tiny_repository: Path, tmp_path: Path
) -> None:
    repository = shutil.copytree(tiny_repository, tmp_path / "models")
    config = (repository / "tiny_a" / "config.pbtxt").read_text()
    shutil.copytree(repository / "tiny_a", repository / "tiny_z")
    (repository / "tiny_z" / "config.pbtxt").write_text(config.replace("tiny_a", "tiny_z"))

    async def call() -> None:
        engine = open_triton(repository, triton_url, further_models=("tiny_z",))
        try:
            with pytest.raises(ModelRepositoryError, match="tiny_z"):
                await engine.run("tiny_z", noise(1))
            assert (await engine.infer(ENSEMBLE, noise(1))).keys() == {"tiny_a", "tiny_b"}
        finally:
            await engine.close()

    asyncio.run(call())


def test_other_weights_than_those_of_the_first_answer_are_refused(tiny_repository: Path) -> None:
    async def use(fake: Any) -> None:
        engine = open_triton(tiny_repository, fake.url, further_models=FURTHER)
        try:
            await engine.run("tiny_a", noise(1))
            fake.fingerprint = 1
            with pytest.raises(ModelMismatchError, match="tiny_a with other weights"):
                await engine.run("tiny_a", noise(1))
        finally:
            await engine.close()

    with_fake(tiny_repository, use)
