"""No query is described by an engine whose models are not those of the index."""

import asyncio
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from retrieval_server.errors import EngineDeadlineError, EngineError, ModelMismatchError
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.index.publish import open_index
from retrieval_server.index.reference_image import reference_image
from retrieval_server.retrieval.retriever import Retriever
from tests.support.manifest_edit import change_manifest


class MoodyEngine:
    """An engine that answers with what it is told to; it starts with an index's own ones."""

    name = "moody"
    in_flight = 1

    def __init__(self, reference: dict[str, NDArray[np.float32]]) -> None:
        self.generation = 0
        self.answers = [reference]  # the last one again and again
        self.asked: list[NDArray[np.uint8]] = []

    async def infer(
        self, ensemble: str, images: NDArray[np.uint8], timeout_s: float | None = None
    ) -> dict[str, NDArray[np.float32]]:
        self.asked.append(images)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return {model: descriptor[None] for model, descriptor in answer.items()}

    async def check_served(self) -> None: ...

    async def close(self) -> None: ...


IMAGE = np.zeros((32, 32, 3), np.uint8)


def test_a_descriptor_that_is_not_finite_is_no_query(retriever: Retriever) -> None:
    engine = MoodyEngine(retriever.bundle.reference_descriptors)
    engine.answers.append({"tiny_a": np.full(24, np.nan, np.float32), "tiny_b": np.zeros(16)})
    with pytest.raises(EngineError, match="tiny_a computed a descriptor that is not finite"):
        asyncio.run(Retriever(retriever.bundle, engine).encode(IMAGE))


def test_an_engine_is_verified_once_and_again_after_every_new_generation(
    retriever: Retriever,
) -> None:
    engine = MoodyEngine(retriever.bundle.reference_descriptors)
    reference = reference_image(32)[None]

    async def encode(searched: Retriever, generation: int) -> list[bool]:
        engine.generation, engine.asked = generation, []
        await asyncio.gather(*(searched.encode(IMAGE) for _ in range(3)))
        return [np.array_equal(images, reference) for images in engine.asked]

    async def run() -> None:
        searched = Retriever(retriever.bundle, engine)
        assert await encode(searched, generation=0) == [True, False, False, False]
        assert await encode(searched, generation=0) == [False, False, False]
        assert await encode(searched, generation=2) == [True, False, False, False]

    asyncio.run(run())


def test_no_query_is_described_by_an_engine_that_came_back_with_other_models(
    retriever: Retriever,
) -> None:
    engine = MoodyEngine(retriever.bundle.reference_descriptors)
    others = {
        model: np.roll(vector, 1)
        for model, vector in retriever.bundle.reference_descriptors.items()
    }

    async def run() -> None:
        searched = Retriever(retriever.bundle, engine)
        await searched.encode(IMAGE)
        engine.answers, engine.generation = [others], 1
        for _ in range(2):
            with pytest.raises(ModelMismatchError, match="tiny_a"):
                await searched.encode(IMAGE)
        engine.answers = [retriever.bundle.reference_descriptors]
        await searched.encode(IMAGE)

    asyncio.run(run())


def test_verification_that_exceeds_the_callers_deadline_is_an_error(
    retriever: Retriever,
) -> None:
    class Silent(MoodyEngine):
        async def infer(self, *_: object) -> dict[str, NDArray[np.float32]]:
            return await asyncio.Future()

    searched = Retriever(retriever.bundle, Silent(retriever.bundle.reference_descriptors))
    with pytest.raises(EngineDeadlineError, match="not verified"):
        asyncio.run(searched.encode(IMAGE, timeout_s=0.05))


def test_engine_of_another_precision_is_refused_before_it_describes_anything(
    retriever: Retriever,
) -> None:
    engine = MoodyEngine(retriever.bundle.reference_descriptors)
    engine.name = "openvino"
    with pytest.raises(ModelMismatchError, match=r"in float32, .* openvino computes in bfloat16"):
        asyncio.run(Retriever(retriever.bundle, engine).encode(IMAGE))
    assert engine.asked == []


def test_index_that_records_no_precision_is_verified_by_its_reference_image(
    tiny_index_copy: Path,
) -> None:
    version = open_index(tiny_index_copy).folder
    change_manifest(version, lambda manifest: manifest.pop("precision"))
    bundle = IndexBundle(version)
    engine = MoodyEngine(bundle.reference_descriptors)
    engine.name = "openvino"
    asyncio.run(Retriever(bundle, engine).check_engine())
    assert len(engine.asked) == 1
