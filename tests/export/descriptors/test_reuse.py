"""A catalogue's next build describes what is new, and gives the index of a build from nothing."""

import csv
import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from export.cli import main
from export.dataset.catalogue import read_catalogue
from export.descriptors.block import BLOCK_ROWS
from export.descriptors.engine_choice import EngineChoice
from export.descriptors.extract_shard import ShardExtraction
from export.descriptors.shards import Shard
from export.index.build import BuiltIndex, IndexBuild
from retrieval_server.engines.embedded import EmbeddedEngine
from retrieval_server.errors import EngineError, IndexBundleError
from retrieval_server.index.manifest import FORMAT_VERSION
from retrieval_server.index.publish import open_index
from retrieval_server.models.model_repository import ModelRepository
from retrieval_server.models.profile import Profile
from tests.support.former_format import as_format_5

PRODUCTS = 140  # three blocks
REFERENCE_IMAGES = 1  # the image that every extraction describes

Build = Callable[..., BuiltIndex]


@pytest.fixture
def catalogue(catalogue_folder: Callable[..., Path]) -> Path:
    """A catalogue to change."""
    return catalogue_folder(families=PRODUCTS // 5)


@pytest.fixture
def build(catalogue: Path, tiny_profile: Profile, tiny_repository: Path) -> Build:
    def run(root: Path, **changes: object) -> BuiltIndex:
        job = IndexBuild(
            read_catalogue(catalogue), tiny_profile, EngineChoice(tiny_repository), root
        )
        return replace(job, **changes).run()

    return run


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def change(catalogue: Path) -> None:
    """One product goes, at the start; two come; one image has another name, one other content."""
    with (catalogue / "catalog.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    image = header.index("image")
    Image.new("RGB", (50, 60), "navy").save(catalogue / rows[5][image])
    (catalogue / rows[70][image]).rename(catalogue / "images" / "renamed.png")
    rows[70][image] = "images/renamed.png"
    rows[80][header.index("description")] = "quite another description"
    new = []
    for number, colour in enumerate(("olive", "teal")):
        Image.new("RGB", (40, 30), colour).save(catalogue / "images" / f"new{number}.png")
        new.append([*rows[0]])
        new[-1][header.index("id")], new[-1][image] = f"new{number}", f"images/new{number}.png"
    with (catalogue / "catalog.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, new[0], *rows[1:100], new[1], *rows[100:]])


CHANGED_IMAGES = 3


def test_an_index_knows_its_images_by_the_digests_of_their_files(tiny_index: Path) -> None:
    bundle = open_index(tiny_index)
    assert bundle.image_digests.shape == (len(bundle), 32)


def test_the_digests_are_those_of_the_files(build: Build, catalogue: Path, tmp_path: Path) -> None:
    bundle = open_index(build(tmp_path).folder)
    for row in (0, BLOCK_ROWS, PRODUCTS - 1):
        image = (catalogue / bundle.product(row).image).read_bytes()
        assert bundle.image_digests[row].tobytes() == hashlib.sha256(image).digest()


@pytest.mark.parametrize("half_precision", [False, True])
def test_only_new_images_are_described_and_the_index_is_that_of_a_new_start(
    build: Build, catalogue: Path, tmp_path: Path, described: list[int], half_precision: bool
) -> None:
    root = tmp_path / "index"
    build(root, half_precision=half_precision)
    change(catalogue)
    described.clear()
    updated = build(root, half_precision=half_precision)
    assert sum(described) == CHANGED_IMAGES + REFERENCE_IMAGES
    assert (updated.reused, updated.no_reuse) == (PRODUCTS + 1 - CHANGED_IMAGES, "")
    anew = build(tmp_path / "anew", half_precision=half_precision)
    assert anew.reused == 0
    assert files(updated.folder) == files(anew.folder)


def test_reuse_can_be_declined(
    build: Build, catalogue: Path, tmp_path: Path, described: list[int]
) -> None:
    build(tmp_path)
    change(catalogue)
    described.clear()
    assert build(tmp_path, reuse=False).reused == 0
    assert sum(described) == PRODUCTS + 1 + REFERENCE_IMAGES


def test_an_interrupted_update_goes_on_from_there(
    build: Build,
    catalogue: Path,
    tmp_path: Path,
    described: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = tmp_path / "index"
    build(root)
    change(catalogue)
    described.clear()
    counting = EmbeddedEngine.infer

    async def failing(
        self: EmbeddedEngine, ensemble: str, batch: NDArray[np.uint8]
    ) -> dict[str, NDArray[np.float32]]:
        if sum(described) == REFERENCE_IMAGES + 1:
            raise EngineError("Model tiny_a failed: out of memory")
        return await counting(self, ensemble, batch)

    with monkeypatch.context() as patch:
        patch.setattr(EmbeddedEngine, "infer", failing)
        with pytest.raises(EngineError, match="out of memory"):
            build(root)
    assert files(build(root).folder) == files(build(tmp_path / "anew").folder)


def damage(root: Path, file: str) -> None:
    path = open_index(root).folder / file
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("file", ["descriptors.tiny_a.npy", "image_digests.npy"])
def test_a_damaged_index_is_not_built_upon(
    build: Build, catalogue: Path, tmp_path: Path, file: str
) -> None:
    root = tmp_path / "index"
    build(root)
    damage(root, file)
    change(catalogue)
    updated = build(root)
    assert updated.reused == 0
    assert f"{file} differs from its checksum" in updated.no_reuse
    assert files(updated.folder) == files(build(tmp_path / "anew").folder)


def test_an_index_of_other_precision_is_not_built_upon(
    build: Build, catalogue: Path, tmp_path: Path
) -> None:
    build(tmp_path, half_precision=True)
    updated = build(tmp_path)
    assert updated.reused == 0
    assert "holds descriptors of float16, float32 is wanted" in updated.no_reuse


def test_an_index_of_other_models_is_not_built_upon(
    build: Build, tiny_repository: Path, tmp_path: Path
) -> None:
    root = tmp_path / "index"
    build(root)
    others = shutil.copytree(tiny_repository, tmp_path / "models")
    (model, _) = ModelRepository(others).ensemble("tiny")
    with model.onnx_path.open("ab") as file:
        file.write(b"\x72\x00")  # an empty entry of the metadata: the same graph, another file
    updated = build(root, engine=EngineChoice(others))
    assert updated.reused == 0
    assert "was built with other models" in updated.no_reuse


def test_an_index_of_an_engine_that_computes_otherwise_is_not_built_upon(
    build: Build, catalogue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    infer = EmbeddedEngine.infer

    async def other(
        self: EmbeddedEngine, ensemble: str, batch: NDArray[np.uint8]
    ) -> dict[str, NDArray[np.float32]]:
        rows = await infer(self, ensemble, batch)
        return {model: np.roll(each, 1, axis=1) for model, each in rows.items()}

    with monkeypatch.context() as patch:
        patch.setattr(EmbeddedEngine, "infer", other)
        build(tmp_path)
    change(catalogue)
    updated = build(tmp_path)
    assert updated.reused == 0
    assert "reference image" in updated.no_reuse


def test_an_index_of_another_format_is_not_built_upon(
    build: Build, catalogue: Path, tmp_path: Path
) -> None:
    manifest = build(tmp_path).folder / "manifest.json"
    data = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(data | {"format_version": 4}))
    change(catalogue)
    updated = build(tmp_path)
    assert updated.reused == 0
    assert f"has format 4, this program reads {FORMAT_VERSION}" in updated.no_reuse


def test_an_index_of_the_former_format_is_built_again_without_describing_an_image(
    build: Build, tmp_path: Path, described: list[int]
) -> None:
    root = tmp_path / "index"
    built = build(root).folder
    former = as_format_5(built)
    with pytest.raises(IndexBundleError, match=r"format 5, .* Build the index again with: beauty"):
        open_index(root)
    described.clear()
    again = build(root)
    assert (again.reused, again.no_reuse) == (PRODUCTS, "")
    assert sum(described) == REFERENCE_IMAGES
    assert again.folder == built != former
    assert files(again.folder) == files(build(tmp_path / "anew").folder)


# Shards


def test_shards_take_over_what_an_index_knows(
    build: Build,
    catalogue: Path,
    tiny_profile: Profile,
    tiny_repository: Path,
    tmp_path: Path,
    described: list[int],
) -> None:
    root, shards = tmp_path / "index", tmp_path / "shards"
    build(root)
    change(catalogue)
    described.clear()
    reused = 0
    for number in range(3):
        shard = Shard(number, 3)
        extracted = ShardExtraction(
            catalogue=read_catalogue(catalogue),
            shard=shard,
            profile=tiny_profile,
            engine=EngineChoice(tiny_repository),
            folder=shards / shard.folder_name,
            reuse=root,
        ).run()
        assert extracted.no_reuse == ""
        reused += extracted.reused
    assert reused == PRODUCTS + 1 - CHANGED_IMAGES
    assert sum(described) == CHANGED_IMAGES + 3 * REFERENCE_IMAGES
    merged = build(root, from_shards=shards)
    assert files(merged.folder) == files(build(tmp_path / "anew").folder)


# The commands


def test_the_commands_say_what_was_reused(
    catalogue: Path,
    tiny_profile_file: Path,
    tiny_repository: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def run(*arguments: object) -> str:
        options = ["--profile", tiny_profile_file, "--model-repository", tiny_repository]
        line = ["beauty-export", *map(str, [*arguments, *options])]
        monkeypatch.setattr("sys.argv", line)
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr().err
        assert ended.value.code == 0, said
        return said

    root, shards = tmp_path / "index", tmp_path / "shards"
    nothing_yet = run("extract", catalogue, "--output", shards, "--reuse", root)
    assert "before" not in nothing_yet
    assert "again" not in nothing_yet
    assert "before" not in run("index", catalogue, "--output", root)
    change(catalogue)
    known = f"{PRODUCTS + 1 - CHANGED_IMAGES:,} images were described before and have not changed"
    assert known in run("extract", catalogue, "--output", shards, "--reuse", root)
    assert known in run("index", catalogue, "--output", root)
    damage(root, "image_digests.npy")
    with (catalogue / "catalog.csv").open("a", encoding="utf-8") as file:
        file.write("another,images/p0001.png,a jar,,\n")
    assert "every image was described again: " in run("index", catalogue, "--output", root)
    assert "before" not in run("index", catalogue, "--output", tmp_path / "no", "--no-reuse")
