"""The extraction of a shard that is run again keeps what is up to date."""

import fcntl
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from export.dataset.catalogue import read_catalogue
from export.descriptors import engine_choice
from export.descriptors.block import BLOCK_ROWS
from retrieval_server.engines.embedded import EmbeddedEngine
from retrieval_server.errors import EngineError, RetrievalError
from tests.support.export.shard_job import PRODUCTS, UNREADABLE, Job, files


def test_a_finished_shard_is_skipped_without_loading_a_model(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, is_new = job.extract(1, 3)
    assert is_new
    before = {path: path.stat().st_ino for path in first.folder.iterdir()}

    def no_engine(*_: object, **__: object) -> None:
        raise AssertionError("an engine was made")

    monkeypatch.setattr(engine_choice, "create_engine", no_engine)
    again, is_new = job.extract(1, 3)
    assert not is_new
    assert again.manifest == first.manifest
    assert {path: path.stat().st_ino for path in first.folder.iterdir()} == before


def test_a_half_done_shard_is_taken_up_where_it_stopped(
    job: Job, unsharded: Path, tmp_path: Path, described: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    counting = EmbeddedEngine.infer

    async def failing(
        self: EmbeddedEngine, ensemble: str, batch: NDArray[np.uint8]
    ) -> dict[str, NDArray[np.float32]]:
        if sum(described) == BLOCK_ROWS + 10:
            raise EngineError("Model tiny_a failed: out of memory")
        return await counting(self, ensemble, batch)

    with monkeypatch.context() as patch:
        patch.setattr(EmbeddedEngine, "infer", failing)
        patch.setattr(engine_choice, "available_cores", lambda: 2)
        with pytest.raises(EngineError, match="out of memory"):
            job.extract(0, 1)
    assert not (job.place(0, 1) / "shard.json").exists()
    assert "1 are missing or not finished: 0" in job.refused(tmp_path / "early")
    described.clear()
    assert job.extract(0, 1)[1]
    readable = PRODUCTS - len(UNREADABLE)
    first_block = BLOCK_ROWS - 2  # p0003 and p0100 cannot be read
    assert sum(described) == readable - first_block + 1  # and the reference image
    assert files(job.merge(tmp_path / "index").folder) == files(unsharded)


def test_only_the_block_of_a_changed_image_is_described_again(
    job: Job, catalogue: Path, described: list[int], tmp_path: Path
) -> None:
    job.catalogue = shutil.copytree(catalogue, tmp_path / "copy")
    job.extract(0, 1)
    last = read_catalogue(job.catalogue).rows[-2]
    Image.new("RGB", (50, 60), "black").save(job.catalogue / last.image)
    described.clear()
    assert job.extract(0, 1)[1]
    assert (
        sum(described) == PRODUCTS % BLOCK_ROWS - 1 + 1
    )  # one unreadable; and the reference image
    assert not job.extract(0, 1)[1]


def test_a_shard_of_a_grown_and_of_a_shrunk_catalogue_is_that_of_a_new_start(
    small: Job, tmp_path: Path
) -> None:
    """Blocks of former work do not stay behind."""
    many = 2 * BLOCK_ROWS
    file = small.catalogue / "catalog.csv"
    short = file.read_text("utf-8")
    further = "".join(f"x{number},images/p0000.png,a jar,,\n" for number in range(many))
    for text in (short, short + further, short):
        file.write_text(text, "utf-8")
        small.extract_all(1)
        fresh = Job(small.catalogue, small.profile, small.repository, tmp_path / "fresh")
        fresh.extract_all(1)
        assert files(small.place(0, 1)) == files(fresh.place(0, 1))
        shutil.rmtree(fresh.folder)


def test_two_processes_on_one_shard_are_refused(small: Job) -> None:
    place = small.place(0, 1)
    place.mkdir(parents=True)
    with (place / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(RetrievalError, match=f"Another build is at work in {place}"):
            small.extract(0, 1)
    assert small.extract(0, 1)[1]


def test_an_image_that_changes_meanwhile_leaves_the_shard_unfinished(
    small: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    close = EmbeddedEngine.close

    async def touch_and_close(self: EmbeddedEngine) -> None:
        os.utime(small.catalogue / "images" / "p0000.png", ns=(1, 1))
        await close(self)

    monkeypatch.setattr(EmbeddedEngine, "close", touch_and_close)  # every block is finished
    with pytest.raises(RetrievalError, match="changed during the build"):
        small.extract(0, 1)
    assert not (small.place(0, 1) / "shard.json").exists()
