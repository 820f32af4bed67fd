"""A second build: nothing to do where nothing changed, else another version beside the old one."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from export.text_index.settings import TextSettings
from retrieval_server.engines.embedded import EmbeddedEngine
from retrieval_server.errors import RetrievalError
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.index.publish import is_intact, open_index
from retrieval_server.models.profile import Profile
from tests.support.export.index_builds import Build, add_row, files, picture, versions


def test_second_run_has_nothing_to_do_and_changes_nothing(
    tiny_index_copy: Path, tiny_catalogue: Path, build: Build, described: list[int]
) -> None:
    before = {path: path.stat().st_ino for path in open_index(tiny_index_copy).folder.iterdir()}
    built = build(tiny_catalogue, tiny_index_copy)
    assert (built.manifest, described) == (None, [])
    assert {path: path.stat().st_ino for path in built.folder.iterdir()} == before


def test_second_run_serves_its_version_again(
    tiny_index_copy: Path, tiny_catalogue: Path, build: Build
) -> None:
    version = open_index(tiny_index_copy).version
    (tiny_index_copy / "current").write_text("tiny-ffffffffffff\n")
    build(tiny_catalogue, tiny_index_copy)
    assert open_index(tiny_index_copy).version == version


@pytest.mark.parametrize("name", ["ids.bytes.npy", "descriptors.tiny_a.npy", "manifest.json"])
def test_damaged_version_is_built_again(
    tiny_index_copy: Path, tiny_index: Path, tiny_catalogue: Path, build: Build, name: str
) -> None:
    damaged = open_index(tiny_index_copy).folder / name
    content = bytearray(damaged.read_bytes())
    content[-5] ^= 1
    damaged.write_bytes(content)
    assert build(tiny_catalogue, tiny_index_copy).manifest is not None
    assert files(tiny_index_copy) == files(tiny_index)


@pytest.mark.parametrize("content", ["", "{", "null", "{}", '{"source": 1, "version": 2}'])
def test_damaged_note_of_the_last_build_only_costs_time(
    tiny_index_copy: Path, tiny_index: Path, tiny_catalogue: Path, build: Build, content: str
) -> None:
    (tiny_index_copy / ".built.json").write_text(content)
    build(tiny_catalogue, tiny_index_copy)
    assert files(tiny_index_copy) == files(tiny_index)


def test_changed_description_gives_another_version_beside_the_old_one(
    changed: Path, tmp_path: Path, build: Build
) -> None:
    first = build(changed, tmp_path).folder
    file = changed / "catalog.csv"
    file.write_text(file.read_text("utf-8").replace("Ruby", "Coral", 1), "utf-8")
    second = build(changed, tmp_path).folder
    assert second != first
    assert is_intact(first)
    bundle = open_index(tmp_path)
    assert bundle.folder == second
    assert "Coral" in bundle.product(0).description
    np.testing.assert_array_equal(bundle.descriptors[0], IndexBundle(first).descriptors[0])


def test_added_row_gives_another_version_beside_the_old_one(
    changed: Path, tmp_path: Path, build: Build
) -> None:
    first = build(changed, tmp_path).folder
    add_row(changed, "new", "images/p0000.png", "a new one", "", "")
    bundle = IndexBundle(build(changed, tmp_path).folder)
    assert (len(bundle), bundle.row_of("new")) == (7, 6)
    assert len(IndexBundle(first)) == 6


def test_changed_image_is_described_again(changed: Path, tmp_path: Path, build: Build) -> None:
    before = IndexBundle(build(changed, tmp_path).folder).descriptors[0]
    Image.new("RGB", (50, 60), "black").save(picture(changed))
    after = IndexBundle(build(changed, tmp_path).folder).descriptors[0]
    assert not np.array_equal(before[0], after[0])
    np.testing.assert_array_equal(before[1:], after[1:])


def test_image_that_changes_during_the_build_is_noticed(
    changed: Path, tmp_path: Path, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    close = EmbeddedEngine.close

    async def touch_and_close(engine: EmbeddedEngine) -> None:
        os.utime(picture(changed), ns=(1, 1))
        await close(engine)

    monkeypatch.setattr(EmbeddedEngine, "close", touch_and_close)  # every block is finished
    with pytest.raises(RetrievalError, match="changed during the build"):
        build(changed, tmp_path)
    assert versions(tmp_path) == []


def test_version_does_not_depend_on_where_or_when_files_lie(
    changed: Path, catalogue_folder: Callable[..., Path], tmp_path: Path, build: Build
) -> None:
    other = catalogue_folder(families=2, members=3)
    for path in (other / "images").iterdir():
        os.utime(path, ns=(1, 1))
    first, second = build(changed, tmp_path / "a").folder, build(other, tmp_path / "b").folder
    assert first.name == second.name
    assert files(first) == files(second)


def test_threshold_and_alpha_give_versions_of_their_own(
    changed: Path, tmp_path: Path, build: Build, tiny_profile: Profile
) -> None:
    first, *others = tiny_profile.backbones
    profile = replace(tiny_profile, backbones=(replace(first, alpha=2.0), *others))
    names = {
        build(changed, tmp_path).folder.name,
        build(changed, tmp_path, text=TextSettings(threshold=0.7)).folder.name,
        build(changed, tmp_path, profile=profile).folder.name,
    }
    assert len(names) == 3
