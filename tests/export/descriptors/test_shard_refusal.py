"""Shards that cannot be merged are refused, with the command that mends them."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from export.dataset.catalogue import read_catalogue
from export.descriptors.engine_choice import EngineChoice
from export.descriptors.shards import Shard
from retrieval_server.engines.embedded import EmbeddedEngine
from retrieval_server.index.publish import open_index
from tests.support.engines import require_engine
from tests.support.export.shard_job import Job, files


def flip_last_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_missing_shards_are_named_with_the_command_that_makes_them(
    small: Job, tmp_path: Path
) -> None:
    for number in (0, 2, 3):
        small.extract(number, 5)
    message = small.refused(tmp_path / "index")
    assert "Of the 5 shards" in message
    assert "2 are missing or not finished: 1, 4." in message
    assert f"beauty-export extract CATALOGUE --output {small.folder} --shards 5" in message


def test_a_folder_without_shards_and_one_with_several_numbers_are_named(
    small: Job, tmp_path: Path
) -> None:
    assert f"There is no folder {small.folder}" in small.refused(tmp_path / "index")
    small.folder.mkdir()
    assert f"{small.folder} holds no shard" in small.refused(tmp_path / "index")
    small.extract_all(2)
    small.extract_all(3)
    assert "several numbers: 2, 3" in small.refused(tmp_path / "index")
    merged = small.merge(tmp_path / "index", shard_count=3).folder
    assert files(merged) == files(small.merge(tmp_path / "other", shard_count=2).folder)


@pytest.mark.parametrize(
    "name", ["block-0000000.npz", "products.json", "canary.tiny_b.npy", "shard.json"]
)
def test_a_damaged_or_missing_file_is_named_and_made_again(
    small: Job, tmp_path: Path, described: list[int], name: str
) -> None:
    small.extract_all(2)
    whole = files(small.place(1, 2))
    path = small.place(1, 2) / name
    flip_last_byte(path)
    if name == "shard.json":
        path.write_text(path.read_text().replace('"source"', '"sauce"'))
    message = small.refused(tmp_path / "index")
    assert str(path) in message
    if name != "shard.json":
        assert "--shards 2 --shard 1; what fits is kept" in message
    described.clear()
    assert small.extract(1, 2)[1]
    in_shard = len(Shard(1, 2).part(read_catalogue(small.catalogue)).rows)
    assert (
        sum(described) == (in_shard if name.startswith("block") else 0) + 1
    )  # and the reference image
    assert files(small.place(1, 2)) == whole
    if name != "shard.json":
        path.unlink()
        assert str(path) in small.refused(tmp_path / "index")


def test_a_shard_of_other_models_is_refused_naming_the_model(small: Job, tmp_path: Path) -> None:
    small.extract_all(2)
    other = shutil.copytree(small.repository, tmp_path / "repository")
    with (other / "tiny_b" / "1" / "model.onnx").open("ab") as file:
        file.write(b"\0")
    message = small.refused(tmp_path / "index", engine=EngineChoice(other))
    assert f"{small.place(0, 2)} was made by tiny_b of digest" in message
    assert "--shards 2 --shard 0" in message


def test_a_shard_of_another_catalogue_is_refused_naming_a_product(
    small: Job, tmp_path: Path
) -> None:
    small.extract_all(1)
    with (small.catalogue / "catalog.csv").open("a", encoding="utf-8", newline="") as file:
        csv.writer(file).writerow(("new", "images/p0000.png", "a new one", "", ""))
    message = small.refused(tmp_path / "index")
    assert f"{small.place(0, 1)} was made from another catalogue: 1 products differ" in message
    assert "'new'" in message
    small.extract_all(1)
    assert len(open_index(small.merge(tmp_path / "index").folder)) == 7


def test_a_renamed_shard_is_refused(small: Job, tmp_path: Path) -> None:
    small.extract_all(2)
    small.place(0, 2).rename(tmp_path / "aside")
    small.place(1, 2).rename(small.place(0, 2))
    (tmp_path / "aside").rename(small.place(1, 2))
    assert "Name it shard-00001-of-00002 again" in small.refused(tmp_path / "index")


def test_shards_that_were_not_computed_alike_are_refused(
    small: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.extract(0, 2)
    infer = EmbeddedEngine.infer

    async def otherwise(
        self: EmbeddedEngine, ensemble: str, batch: NDArray[np.uint8]
    ) -> dict[str, NDArray[np.float32]]:
        rows = await infer(self, ensemble, batch)
        return {model: np.roll(described, 1, axis=1) for model, described in rows.items()}

    with monkeypatch.context() as patch:
        patch.setattr(EmbeddedEngine, "infer", otherwise)
        small.extract(1, 2)
    message = small.refused(tmp_path / "index")
    assert str(small.place(0, 2)) in message
    assert str(small.place(1, 2)) in message
    assert "not computed alike" in message


def test_shards_of_two_precisions_are_refused(small: Job, tmp_path: Path) -> None:
    require_engine("openvino")
    small.extract(0, 2)
    small.extract(1, 2, engine=EngineChoice(small.repository, "openvino"))
    message = small.refused(tmp_path / "index")
    assert f"{small.place(0, 2)} was described in float32" in message
    assert f"{small.place(1, 2)} in bfloat16. Use one engine for all shards" in message
