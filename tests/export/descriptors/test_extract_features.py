"""Descriptors in blocks: what is finished is not made again, what is damaged or outdated is."""

import asyncio
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from export.dataset.catalogue import read_catalogue
from export.descriptors.block import BLOCK_ROWS, Block
from export.descriptors.extract_features import FeatureExtraction
from retrieval_server.engines.embedded import EmbeddedEngine
from retrieval_server.errors import EngineError
from retrieval_server.models.preprocessing import read_image
from retrieval_server.models.profile import Profile

ROWS = 2 * BLOCK_ROWS + 12  # three blocks, the last one short


def ignore(_: int) -> None:
    """No progress to report."""


class CountingEngine:
    """The embedded engine, counting images; fails from a given image on."""

    name = "counting"

    def __init__(
        self, repository: Path, fails_after: int | None = None, images_per_call: int = 1
    ) -> None:
        self.images_per_call = images_per_call
        self._engine = EmbeddedEngine(repository, "tiny", workers=2, threads_per_image=1)
        self._fails_after = fails_after
        self.images = 0

    async def infer(
        self, ensemble: str, images: NDArray[np.uint8]
    ) -> dict[str, NDArray[np.float32]]:
        self.images += len(images)
        if self._fails_after is not None and self.images > self._fails_after:
            raise EngineError("Model tiny_a failed: the test says so")
        return await self._engine.infer(ensemble, images)

    async def close(self) -> None:
        await self._engine.close()


@pytest.fixture
def extraction(
    catalogue_folder: Callable[..., Path], tiny_profile: Profile, tmp_path: Path
) -> FeatureExtraction:
    folder = catalogue_folder(families=ROWS // 5, members=5)
    catalogue = read_catalogue(folder)
    assert len(catalogue.rows) == ROWS
    return FeatureExtraction(
        catalogue, tiny_profile, {"tiny_a": "a", "tiny_b": "b"}, tmp_path / "blocks"
    )


def run(
    extraction: FeatureExtraction,
    repository: Path,
    *,
    fails_after: int | None = None,
    in_flight: int = 4,
    images_per_call: int = 1,
) -> int:
    """Run an extraction; the number of images that the engine saw."""

    async def work() -> int:
        engine = CountingEngine(repository, fails_after, images_per_call)
        try:
            await extraction.run(engine, in_flight, ignore)
        finally:
            await engine.close()
        return engine.images

    return asyncio.run(work())


def blocks(extraction: FeatureExtraction) -> list[Block]:
    found = [extraction.read(number) for number in range(extraction.block_count)]
    assert None not in found
    return found


def file_of(extraction: FeatureExtraction, number: int) -> Path:
    return extraction.folder / f"block-{number:07d}.npz"


def test_blocks_hold_every_row_once_and_in_order(
    extraction: FeatureExtraction, tiny_repository: Path
) -> None:
    reported: list[int] = []

    async def work() -> None:
        engine = CountingEngine(tiny_repository)
        await extraction.run(engine, 4, reported.append)
        await engine.close()

    asyncio.run(work())
    found = blocks(extraction)
    assert np.concatenate([block.rows for block in found]).tolist() == list(range(ROWS))
    assert [len(block.rows) for block in found] == [BLOCK_ROWS, BLOCK_ROWS, 12]
    assert sum(reported) == ROWS


def test_block_holds_what_the_engine_says_of_each_image(
    extraction: FeatureExtraction, tiny_repository: Path
) -> None:
    run(extraction, tiny_repository)
    last = blocks(extraction)[2]
    path = extraction.catalogue.image_path(extraction.catalogue.rows[int(last.rows[3])])
    pixels = read_image(path, extraction.profile.side)

    async def describe() -> dict[str, NDArray[np.float32]]:
        engine = CountingEngine(tiny_repository)
        described = await engine.infer("tiny", pixels[None])
        await engine.close()
        return described

    for model, rows in asyncio.run(describe()).items():
        np.testing.assert_array_equal(last.descriptors[model][3], rows[0])
        assert np.linalg.norm(rows[0]) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(("in_flight", "images_per_call"), [(1, 1), (7, 1), (32, 4), (2, 3)])
def test_blocks_do_not_depend_on_how_much_is_in_flight(
    extraction: FeatureExtraction,
    tiny_repository: Path,
    tmp_path: Path,
    in_flight: int,
    images_per_call: int,
) -> None:
    run(extraction, tiny_repository)
    other = replace(extraction, folder=tmp_path / "other")
    run(other, tiny_repository, in_flight=in_flight, images_per_call=images_per_call)
    for number in range(extraction.block_count):
        for model in extraction.profile.models:
            np.testing.assert_array_equal(
                extraction.read(number).descriptors[model], other.read(number).descriptors[model]
            )


def test_second_run_makes_nothing_again(
    extraction: FeatureExtraction, tiny_repository: Path
) -> None:
    assert run(extraction, tiny_repository) == ROWS
    inodes = [path.stat().st_ino for path in sorted(extraction.folder.iterdir())]
    assert run(extraction, tiny_repository) == 0
    assert [path.stat().st_ino for path in sorted(extraction.folder.iterdir())] == inodes


def test_engine_failure_keeps_the_finished_blocks(
    extraction: FeatureExtraction, tiny_repository: Path
) -> None:
    with pytest.raises(EngineError, match="tiny_a failed"):
        run(extraction, tiny_repository, fails_after=BLOCK_ROWS + 10)
    assert extraction.read(0) is not None
    assert extraction.read(2) is None
    assert run(extraction, tiny_repository) == ROWS - BLOCK_ROWS


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 half a zip", b"\x93NUMPY", b"text"])
def test_damaged_block_is_made_again(
    extraction: FeatureExtraction, tiny_repository: Path, content: bytes
) -> None:
    run(extraction, tiny_repository)
    file_of(extraction, 2).write_bytes(content)
    assert extraction.read(2) is None
    assert run(extraction, tiny_repository) == 12


def test_no_damage_to_a_block_goes_unnoticed_or_unhandled(
    extraction: FeatureExtraction, tiny_repository: Path
) -> None:
    run(extraction, tiny_repository)
    whole = file_of(extraction, 2).read_bytes()
    original = extraction.read(2)
    rng = np.random.default_rng(0)
    for position in rng.choice(len(whole), size=300, replace=False):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << rng.integers(8)
        file_of(extraction, 2).write_bytes(damaged)
        block = extraction.read(2)
        if block is not None:  # a field of the archive that nobody reads, such as its date
            for model, rows in original.descriptors.items():
                np.testing.assert_array_equal(block.descriptors[model], rows)
    for length in range(0, len(whole), 97):
        file_of(extraction, 2).write_bytes(whole[:length])
        assert extraction.read(2) is None


def test_pickled_arrays_in_a_block_are_not_opened(
    extraction: FeatureExtraction, tiny_repository: Path
) -> None:
    extraction.folder.mkdir()
    np.savez(file_of(extraction, 0), key=np.array([{}], dtype=object), allow_pickle=True)
    assert extraction.read(0) is None
    np.save(extraction.folder / "array.npy", np.zeros(3))
    (extraction.folder / "array.npy").replace(file_of(extraction, 0))
    assert extraction.read(0) is None


def test_block_is_outdated_when_its_images_or_models_change(
    extraction: FeatureExtraction, tiny_repository: Path
) -> None:
    run(extraction, tiny_repository)
    rows = extraction.catalogue.rows
    assert replace(extraction, digests={"tiny_a": "a", "tiny_b": "new"}).read(0) is None
    assert replace(extraction, profile=replace(extraction.profile, side=64)).read(0) is None
    renamed = replace(rows[0], product_id="another")
    catalogue = replace(extraction.catalogue, rows=(renamed, *rows[1:]))
    assert replace(extraction, catalogue=catalogue).read(0) is None
    assert replace(extraction, catalogue=catalogue).read(1) is not None
    os.utime(extraction.catalogue.image_path(rows[BLOCK_ROWS]), ns=(1, 1))
    assert extraction.read(1) is None
    assert extraction.read(0) is not None


def test_descriptions_do_not_outdate_a_block(
    extraction: FeatureExtraction, tiny_repository: Path
) -> None:
    run(extraction, tiny_repository)
    rows = tuple(replace(row, description="other") for row in extraction.catalogue.rows)
    other = replace(extraction, catalogue=replace(extraction.catalogue, rows=rows))
    assert run(other, tiny_repository) == 0


@pytest.mark.parametrize("images_per_call", [1, 4])
def test_unreadable_images_become_rejects_and_the_rest_goes_on(
    extraction: FeatureExtraction, tiny_repository: Path, images_per_call: int
) -> None:
    paths = [extraction.catalogue.image_path(row) for row in extraction.catalogue.rows[:6]]
    paths[0].rename(paths[0].with_name(paths[0].name.upper()))
    paths[1].write_bytes(paths[1].read_bytes()[:-100])
    paths[2].write_text("no picture")
    paths[3].write_bytes(b"")
    paths[4].unlink()
    paths[4].mkdir()
    run(extraction, tiny_repository, images_per_call=images_per_call)
    block = blocks(extraction)[0]
    assert block.rows.tolist() == list(range(5, BLOCK_ROWS))
    assert [reject.image for reject in block.rejects] == [
        row.image for row in extraction.catalogue.rows[:5]
    ]
    reasons = [reject.reason for reject in block.rejects]
    expected = [
        "No such file or directory. There is a file",
        "damaged",
        "not an image",
        "is empty.",
        "Is a directory",
    ]
    assert all(text in reason for text, reason in zip(expected, reasons, strict=True)), reasons


def test_a_path_that_the_file_system_cannot_encode_is_that_of_a_missing_file(
    extraction: FeatureExtraction,
) -> None:
    rows = tuple(replace(row, image="\ud800.png") for row in extraction.catalogue.rows)
    missing = tuple(replace(row, image="none.png") for row in rows)
    keys = [
        replace(extraction, catalogue=replace(extraction.catalogue, rows=some)).key("")
        for some in (rows, missing)
    ]
    assert keys[0] != keys[1]


@pytest.mark.parametrize("images_per_call", [1, 4])
def test_block_of_unreadable_images_alone_is_kept_too(
    extraction: FeatureExtraction, tiny_repository: Path, images_per_call: int
) -> None:
    for row in extraction.catalogue.rows[:BLOCK_ROWS]:
        extraction.catalogue.image_path(row).unlink()
    seen = run(extraction, tiny_repository, images_per_call=images_per_call)
    assert seen == ROWS - BLOCK_ROWS
    assert len(extraction.read(0).rejects) == BLOCK_ROWS
    assert run(extraction, tiny_repository) == 0


def test_white_image_has_an_all_zero_descriptor(
    extraction: FeatureExtraction, tiny_repository: Path
) -> None:
    Image.new("RGB", (40, 40), "white").save(
        extraction.catalogue.image_path(extraction.catalogue.rows[2])
    )
    run(extraction, tiny_repository)
    assert not extraction.read(0).descriptors["tiny_a"][2].any()


@pytest.mark.parametrize("name", ["rows", "key", "rejects", "file", "allow_pickle"])
def test_model_may_be_called_like_an_array_of_the_block(
    extraction: FeatureExtraction, name: str
) -> None:
    backbone = replace(extraction.profile.backbones[0], model=name)
    profile = replace(extraction.profile, backbones=(backbone,))
    named = replace(extraction, profile=profile, digests={name: "a"})

    class Constant:
        name = "constant"
        images_per_call = 1

        async def infer(
            self, _ensemble: str, images: NDArray[np.uint8]
        ) -> dict[str, NDArray[np.float32]]:
            return {profile.models[0]: np.ones((len(images), 1), np.float32)}

        async def close(self) -> None: ...

    asyncio.run(named.run(Constant(), 4, ignore))
    assert named.read(0).descriptors[name].shape == (BLOCK_ROWS, 1)
    assert named.read(0).rows.tolist() == list(range(BLOCK_ROWS))


def test_key_of_the_whole_depends_on_every_block(extraction: FeatureExtraction) -> None:
    before = extraction.key("")
    assert before != extraction.key(json.dumps("more"))
    os.utime(extraction.catalogue.image_path(extraction.catalogue.rows[-1]), ns=(1, 1))
    assert extraction.key("") != before
