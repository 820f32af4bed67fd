"""What a reader promises; the same tests run over each engine that has readers of its own.

The engine ``openvino`` reads with the models of ``embedded``.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from retrieval_server.engines.create_engine import create_engine
from retrieval_server.engines.engine import Engine, TritonConnection
from retrieval_server.errors import EngineDeadlineError, ModelRepositoryError
from retrieval_server.models.model_repository import ModelRepository
from retrieval_server.models.photo import Photo
from retrieval_server.models.profile import Profile
from retrieval_server.models.reader import READER_MODELS, TEXT_RECOGNISER, can_read
from retrieval_server.reading.lines import MAX_LINES
from retrieval_server.reading.reader import Reader, ReadLine, open_reader
from tests.support.local_triton import serving
from tests.support.patience import PATIENCE_S
from tests.support.text_photo import checkerboard, photo_of, text_image

Read = Callable[..., tuple[ReadLine, ...]]
Use = Callable[[Callable[[Engine, Reader], Awaitable[Any]]], Any]


@pytest.fixture(scope="module", params=("embedded", "triton"))
def use(
    request: pytest.FixtureRequest,
    reader_repository: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Use]:
    """Give an engine and its reader to a function, in an event loop of its own."""
    if request.param == "embedded":
        yield with_engine(reader_repository, "embedded", None)
        return
    request.getfixturevalue("local_triton_environment")
    with serving(reader_repository, tmp_path_factory.mktemp("triton")) as triton:
        assert triton.addresses, triton.log
        connection = TritonConnection(url=triton.addresses["grpc"], timeout_s=PATIENCE_S)
        yield with_engine(reader_repository, "triton", connection)


def with_engine(repository: Path, engine_name: str, triton: TritonConnection | None) -> Use:
    async def run(function: Callable[[Engine, Reader], Awaitable[Any]]) -> Any:
        engine = create_engine(
            engine_name,
            repository,
            "tiny",
            workers=2,
            threads_per_image=1,
            triton=triton,
            further_models=READER_MODELS,
        )
        try:
            reader = open_reader(ModelRepository(repository), engine)
            assert reader is not None
            return await function(engine, reader)
        finally:
            await engine.close()

    return lambda function: asyncio.run(run(function))


@pytest.fixture
def read(use: Use) -> Read:
    """Read photos at the same time; the lines of one photo, or a list for several."""

    def read(*photos: Photo, timeout_s: float | None = None) -> Any:
        async def read_all(engine: Engine, reader: Reader) -> list[tuple[ReadLine, ...]]:
            return await asyncio.gather(*(reader.read(photo, timeout_s) for photo in photos))

        results = use(read_all)
        return results[0] if len(photos) == 1 else results

    return read


def texts(lines: tuple[ReadLine, ...]) -> list[str]:
    return [line.text for line in lines]


def test_lines_come_with_text_confidence_and_box(read: Read) -> None:
    lines = read(photo_of(text_image("NUXE", "Huile 100 ml")))

    assert texts(lines) == ["NUXE", "Huile 100 ml"]
    for line, (left, top, right, bottom) in zip(
        lines, [(40, 40, 150, 80), (40, 120, 270, 160)], strict=True
    ):
        assert 0.8 < line.confidence <= 1
        expected = [(left, top), (right, top), (right, bottom), (left, bottom)]
        assert np.abs(np.subtract(line.corners, expected)).max() < 16


def test_box_is_in_pixels_of_the_file(read: Read) -> None:
    image = text_image("NUXE", size=(640, 480))
    (small,) = read(photo_of(image))
    (large,) = read(photo_of(image.resize((2560, 1920))))
    assert large.text == small.text
    assert np.abs(np.divide(large.corners, 4) - small.corners).max() < 4


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_turned_text_is_read_and_its_box_begins_where_it_begins(read: Read, degrees: int) -> None:
    image = text_image("Rouge velvet 24", size=(500, 500))
    (upright,) = read(photo_of(image))
    (turned,) = read(photo_of(image.rotate(degrees)))

    assert turned.text == upright.text == "Rouge velvet 24"
    centred = np.subtract(upright.corners, 250)
    angle = np.radians(-degrees)  # on the screen, where y points down
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    assert np.abs(centred @ rotation + 250 - turned.corners).max() < 8


def test_photo_without_text_has_no_lines(read: Read) -> None:
    assert read(photo_of(Image.new("RGB", (300, 200), "white"))) == ()


@pytest.mark.parametrize("size", [(1, 1), (1000, 5), (5, 1000), (65_000, 2)])
def test_photos_too_thin_to_read_have_no_lines(read: Read, size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    assert read(photo_of(Image.fromarray(noise))) == ()


def test_page_of_500_lines_gives_the_largest_ones(read: Read) -> None:
    page = text_image(*["pure argan oil"] * 50, size=(2000, 1800), height=15)
    for column in range(1, 10):
        page.paste(page.crop((0, 0, 200, 1800)), (200 * column, 0))
    lines = read(photo_of(page))
    assert 0 < len(lines) <= MAX_LINES


@pytest.mark.parametrize("cell", [2, 3, 5, 8])
def test_checkerboard_gives_at_most_as_many_lines_as_a_page(read: Read, cell: int) -> None:
    assert len(read(photo_of(checkerboard(1000, 736, cell)))) <= MAX_LINES


def test_what_is_read_depends_neither_on_other_photos_nor_on_the_engine(
    read: Read, reader_repository: Path
) -> None:
    photos = [
        photo_of(text_image("NUXE", "Huile prodigieuse 100 ml", "x")),
        photo_of(text_image("Baume de beauté pour le visage et les cheveux", height=24)),
        photo_of(text_image("SPF 50+")),
    ]
    alone = with_engine(reader_repository, "embedded", None)

    async def read_one_by_one(engine: Engine, reader: Reader) -> list[tuple[ReadLine, ...]]:
        return [await reader.read(photo) for photo in photos]

    assert read(*photos) == alone(read_one_by_one)


def test_line_does_not_depend_on_the_lines_beside_it(use: Use) -> None:
    lines = np.random.default_rng(0).integers(0, 256, (9, 48, 352, 3), dtype=np.uint8)

    async def together_and_alone(engine: Engine, reader: Reader) -> None:
        together = await engine.run(TEXT_RECOGNISER, lines)
        for row in range(len(lines)):
            alone = await engine.run(TEXT_RECOGNISER, lines[row : row + 1])
            for output, array in alone.items():
                assert array.tobytes() == together[output][row : row + 1].tobytes()

    use(together_and_alone)


def test_passed_deadline_is_an_error(read: Read) -> None:
    with pytest.raises(EngineDeadlineError):
        read(photo_of(text_image("NUXE")), timeout_s=1e-6)


# The rest is about the models that a reader needs.


def test_words_can_be_read_where_the_profile_names_a_reader_that_is_exported(
    tiny_profile: Profile, tiny_repository: Path, reader_repository: Path
) -> None:
    without, with_models = ModelRepository(tiny_repository), ModelRepository(reader_repository)
    reading = replace(tiny_profile, reader="ppocr")
    assert not can_read(reading, without)
    assert not can_read(tiny_profile, with_models)
    assert can_read(reading, with_models)


def test_missing_model_of_the_reader_is_named(tiny_repository: Path) -> None:
    with pytest.raises(ModelRepositoryError, match=r"no model 'text_detector'.*beauty-export onnx"):
        create_engine(
            "embedded",
            tiny_repository,
            "tiny",
            workers=1,
            threads_per_image=1,
            further_models=READER_MODELS,
        )
