"""What every engine promises; the same tests run over each of ``ENGINES``."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from retrieval_server.engines.create_engine import create_engine
from retrieval_server.engines.engine import ENGINES, Engine
from retrieval_server.errors import (
    EngineError,
    EngineUnavailableError,
    ModelRepositoryError,
    RetrievalError,
)
from retrieval_server.models.profile import Profile
from tests.retrieval_server.engines.conftest import ENSEMBLE, OpenEngine
from tests.support.engines import require_engine

SIDE = 32
IN_PROCESS = ("embedded", "openvino")
DIMENSIONS = {"tiny_a": 24, "tiny_b": 16}


@pytest.fixture
def repository_copy(tiny_repository: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_repository, tmp_path / "model_repository")


def noise(count: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)


def described(
    open_engine: OpenEngine, images: NDArray[np.uint8], **options: int
) -> dict[str, NDArray[np.float32]]:
    async def infer() -> dict[str, NDArray[np.float32]]:
        async with open_engine(**options) as engine:
            return await engine.infer(ENSEMBLE, images)

    return asyncio.run(infer())


def assert_same_bits(
    left: dict[str, NDArray[np.float32]], right: dict[str, NDArray[np.float32]]
) -> None:
    assert left.keys() == right.keys()
    for model, descriptors in left.items():
        assert descriptors.tobytes() == right[model].tobytes()


def test_descriptors_come_by_model_one_row_for_each_image(open_engine: OpenEngine) -> None:
    by_model = described(open_engine, noise(3))
    assert {model: rows.shape for model, rows in by_model.items()} == {
        model: (3, dimension) for model, dimension in DIMENSIONS.items()
    }
    assert {rows.dtype for rows in by_model.values()} == {np.dtype(np.float32)}


def test_descriptor_has_unit_norm_or_is_all_zero(open_engine: OpenEngine) -> None:
    white = np.full((1, SIDE, SIDE, 3), 255, np.uint8)
    for rows in described(open_engine, np.concatenate([noise(4), white])).values():
        norms = np.linalg.norm(rows.astype(np.float64), axis=1)
        assert norms[:4] == pytest.approx(1, abs=1e-6)
        # white is exactly zero in float32, and rounded to almost zero in bfloat16
        assert norms[4] == 0 or norms[4] == pytest.approx(1, abs=1e-6)


def test_descriptor_does_not_depend_on_the_rest_of_the_batch(open_engine: OpenEngine) -> None:
    images = noise(9)

    async def one_by_one() -> dict[str, NDArray[np.float32]]:
        async with open_engine() as engine:
            single = [await engine.infer(ENSEMBLE, image[None]) for image in images]
        return {model: np.concatenate([rows[model] for rows in single]) for model in DIMENSIONS}

    assert_same_bits(described(open_engine, images), asyncio.run(one_by_one()))


def test_order_of_the_batch_does_not_matter(open_engine: OpenEngine) -> None:
    images, order = noise(9), np.random.default_rng(1).permutation(9)
    straight, shuffled = described(open_engine, images), described(open_engine, images[order])
    assert_same_bits({model: rows[order] for model, rows in straight.items()}, shuffled)


def test_concurrent_calls_do_not_disturb_each_other(open_engine: OpenEngine) -> None:
    batches = [noise(1 + seed % 3, seed) for seed in range(24)]

    async def together() -> list[dict[str, NDArray[np.float32]]]:
        async with open_engine(workers=4) as engine:
            return await asyncio.gather(*(engine.infer(ENSEMBLE, batch) for batch in batches))

    for batch, by_model in zip(batches, asyncio.run(together()), strict=True):
        assert_same_bits(by_model, described(open_engine, batch))


@pytest.mark.parametrize("open_engine", IN_PROCESS, indirect=True)
@pytest.mark.parametrize("threads_per_image", [1, 2, 4])
@pytest.mark.parametrize("workers", [1, 3])
def test_descriptors_do_not_depend_on_threads_or_workers(
    open_engine: OpenEngine, threads_per_image: int, workers: int
) -> None:
    images = noise(6)
    several = described(open_engine, images, workers=workers, threads_per_image=threads_per_image)
    assert_same_bits(several, described(open_engine, images, workers=1, threads_per_image=1))


def test_every_second_row_of_an_array_is_described_like_its_copy(open_engine: OpenEngine) -> None:
    images = noise(6)[::2]
    assert_same_bits(described(open_engine, images), described(open_engine, images.copy()))


def test_empty_batch_gives_no_rows(open_engine: OpenEngine) -> None:
    by_model = described(open_engine, noise(0))
    assert {model: rows.shape for model, rows in by_model.items()} == {
        model: (0, dimension) for model, dimension in DIMENSIONS.items()
    }


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((1, SIDE, SIDE + 1, 3), np.uint8),
        np.zeros((1, 2 * SIDE, 2 * SIDE, 3), np.uint8),
        np.zeros((1, 3, SIDE, SIDE), np.uint8),
        np.zeros((1, SIDE, SIDE, 4), np.uint8),
        np.zeros((SIDE, SIDE, 3), np.uint8),
        np.zeros((1, SIDE, SIDE, 3), np.float32),
        np.zeros((1, SIDE, SIDE, 3), np.int64),
    ],
    ids=["width", "side", "NCHW", "RGBA", "no batch", "float32", "int64"],
)
def test_wrong_shape_or_type_is_refused_naming_both(
    open_engine: OpenEngine, images: NDArray[np.uint8]
) -> None:
    with pytest.raises(EngineError, match=r"uint8 images \(B, 32, 32, 3\), got") as caught:
        described(open_engine, images)
    assert f"{images.dtype} {images.shape}" in str(caught.value)


def test_ensemble_that_is_not_served_is_refused_by_name(open_engine: OpenEngine) -> None:
    async def infer() -> None:
        async with open_engine() as engine:
            await engine.infer("paper", noise(1))

    with pytest.raises(EngineError, match="'paper'"):
        asyncio.run(infer())


def test_closed_engine_is_unavailable(open_engine: OpenEngine) -> None:
    async def infer() -> None:
        async with open_engine() as engine:
            await engine.close()
            await engine.infer(ENSEMBLE, noise(1))

    with pytest.raises(EngineUnavailableError, match="closed"):
        asyncio.run(infer())


def test_closing_waits_for_the_calls_in_progress(open_engine: OpenEngine) -> None:
    async def infer() -> dict[str, NDArray[np.float32]]:
        async with open_engine(workers=1) as engine:
            call = asyncio.create_task(engine.infer(ENSEMBLE, noise(40)))
            await asyncio.sleep(0)  # lets the task submit its runs
            await engine.close()
            return await call

    assert_same_bits(asyncio.run(infer()), described(open_engine, noise(40)))


def test_engine_says_how_many_calls_keep_it_busy(open_engine: OpenEngine) -> None:
    async def in_flight() -> int:
        async with open_engine() as engine:
            return engine.in_flight

    assert asyncio.run(in_flight()) >= 2


def test_engine_says_its_name(open_engine: OpenEngine) -> None:
    async def name() -> str:
        async with open_engine() as engine:
            return engine.name

    assert asyncio.run(name()) in ENGINES


def test_unknown_engine_is_refused_naming_the_known_ones(tiny_repository: Path) -> None:
    with pytest.raises(EngineError, match=r"'tritn'.*embedded, openvino, triton"):
        create_engine("tritn", tiny_repository, ENSEMBLE, workers=1, threads_per_image=1)


# The rest is about the models that the engines in this process load.


@pytest.fixture(params=IN_PROCESS)
def load(request: pytest.FixtureRequest) -> Callable[[Path], Engine]:
    require_engine(request.param)

    def opened(repository: Path) -> Engine:
        return create_engine(request.param, repository, ENSEMBLE, workers=2, threads_per_image=1)

    return opened


def test_missing_onnx_file_is_named_with_the_command_that_makes_it(
    load: Callable[[Path], Engine], repository_copy: Path
) -> None:
    path = repository_copy / "tiny_b" / "1" / "model.onnx"
    path.unlink()
    with pytest.raises(ModelRepositoryError, match="beauty-export onnx") as caught:
        load(repository_copy)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"no model", b"truncated"], ids=["empty", "text", "half"])
def test_corrupt_onnx_file_is_named(
    load: Callable[[Path], Engine], repository_copy: Path, content: bytes
) -> None:
    path = repository_copy / "tiny_a" / "1" / "model.onnx"
    if content == b"truncated":
        content = path.read_bytes()[: path.stat().st_size // 2]
    path.write_bytes(content)
    with pytest.raises(EngineError, match="beauty-export onnx") as caught:
        load(repository_copy)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('name: "image"', 'name: "picture"'),
        ('name: "descriptor"', 'name: "embedding"'),
        ("dims: 24", "dims: 25"),
        ("dims: 32", "dims: 48"),
    ],
)
def test_graph_that_contradicts_its_configuration_is_refused(
    load: Callable[[Path], Engine], repository_copy: Path, old: str, new: str
) -> None:
    config = repository_copy / "tiny_a" / "config.pbtxt"
    text = config.read_text()
    assert old in text
    config.write_text(text.replace(old, new))
    if "48" in new:  # both models of an ensemble have one side
        other = repository_copy / "tiny_b" / "config.pbtxt"
        other.write_text(other.read_text().replace(old, new))
    with pytest.raises(ModelRepositoryError, match=r"tiny_a maps .* config.pbtxt says"):
        load(repository_copy)


@pytest.mark.parametrize("tensor", ["input", "output"])
def test_graph_of_other_number_types_is_refused(
    load: Callable[[Path], Engine], repository_copy: Path, tensor: str
) -> None:
    path = repository_copy / "tiny_a" / "1" / "model.onnx"
    model = onnx.load(path)
    if tensor == "input":  # the graph casts to float32 first, so float32 is valid ONNX
        model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    else:
        last = onnx.helper.make_node(
            "Cast", ["descriptor32"], ["descriptor"], to=onnx.TensorProto.DOUBLE
        )
        (node,) = (node for node in model.graph.node if "descriptor" in node.output)
        node.output[0] = "descriptor32"
        model.graph.node.append(last)
        model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.DOUBLE
    onnx.save(model, path)
    with pytest.raises(ModelRepositoryError, match="tiny_a"):
        load(repository_copy)


@pytest.mark.parametrize("load", ["embedded"], indirect=True)  # OpenVINO makes it one of 1 image
def test_failing_run_is_an_engine_error_that_names_the_model(
    load: Callable[[Path], Engine], repository_copy: Path, tiny_profile: Profile
) -> None:
    """A graph may load and match its configuration, and yet refuse every image."""
    path = repository_copy / "tiny_b" / "1" / "model.onnx"
    model = onnx.load(path)
    for tensor in (*model.graph.input, *model.graph.output):
        tensor.type.tensor_type.shape.dim[0].Clear()
        tensor.type.tensor_type.shape.dim[0].dim_value = 8
    onnx.save(model, path)

    async def infer() -> None:
        engine = load(repository_copy)
        try:
            await engine.infer(tiny_profile.name, noise(1))
        finally:
            await engine.close()

    with pytest.raises(RetrievalError, match="tiny_b"):
        asyncio.run(infer())
