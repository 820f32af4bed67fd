"""What an index holds, and what a build refuses."""

import errno
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from export.descriptors.engine_choice import EngineChoice
from export.index import assembly, words
from retrieval_server.engines.embedded import EmbeddedEngine
from retrieval_server.errors import (
    CatalogueError,
    EngineError,
    ModelRepositoryError,
    RetrievalError,
)
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.index.publish import open_index
from retrieval_server.models.profile import Profile
from tests.support.export.index_builds import Build, add_row, files, picture, versions

# What is in it


def test_unreadable_images_are_rejects_and_the_rest_is_indexed(
    changed: Path, tmp_path: Path, build: Build
) -> None:
    (changed / "images" / "folder").mkdir()
    (changed / "images" / "empty.png").write_bytes(b"")
    (changed / "images" / "text.png").write_text("no picture")
    whole = picture(changed, "p0000").read_bytes()
    (changed / "images" / "cut.png").write_bytes(whole[:-60])
    expected = {
        "folder": "cannot be read: Is a directory.",
        "empty.png": "is empty.",
        "text.png": "is not an image",
        "cut.png": "is damaged",
        "none.png": "cannot be read: No such file or directory.",
        "é/ü.png": "cannot be read: No such file or directory.",
    }
    for number, name in enumerate(expected):
        add_row(changed, f"bad{number}", f"images/{name}", "a jar", "", "")
    add_row(changed, "good", "images/p0000.png", "a jar", "", "")
    built = build(changed, tmp_path)
    lines = (built.folder / "rejects.jsonl").read_text("utf-8").splitlines()
    rejects = [json.loads(line) for line in lines]
    assert [reject["product_id"] for reject in rejects] == [f"bad{n}" for n in range(len(expected))]
    for reject, (name, reason) in zip(rejects, expected.items(), strict=True):
        assert reject["image"] == f"images/{name}"
        assert reject["reason"].startswith(reason)
    assert (built.manifest.products, built.manifest.rejected) == (7, len(expected))
    bundle = IndexBundle(built.folder)
    assert (bundle.row_of("good"), bundle.row_of("bad0")) == (6, None)
    np.testing.assert_array_equal(bundle.descriptors[0][6], bundle.descriptors[0][0])


def test_catalogue_without_one_readable_image_publishes_nothing(
    changed: Path, tmp_path: Path, build: Build
) -> None:
    for path in (changed / "images").iterdir():
        path.write_bytes(b"")
    message = r"None of the 6 images of .*catalog\.csv .* the first: images/p0000\.png is empty\."
    with pytest.raises(CatalogueError, match=message):
        build(changed, tmp_path)
    assert versions(tmp_path) == []
    assert not (tmp_path / "current").exists()


def test_products_without_descriptions_are_indexed_by_image(
    changed: Path, tmp_path: Path, build: Build
) -> None:
    rows = ["id,image,description"] + [
        f"p{n},images/p000{n}.{('png', 'jpg')[n % 2]}," for n in range(3)
    ]
    (changed / "catalog.csv").write_text("\n".join(rows))
    built = build(changed, tmp_path)
    assert (built.manifest.documents, built.manifest.text_pairs) == (0, 0)
    bundle = IndexBundle(built.folder)
    assert [len(bundle.text_index.neighbours(row)[0]) for row in range(3)] == [0, 0, 0]
    assert bundle.product(2).description == ""
    bundle.verify()


def test_all_zero_descriptors_are_counted(changed: Path, tmp_path: Path, build: Build) -> None:
    Image.new("RGB", (40, 40), "white").save(picture(changed))
    manifest = build(changed, tmp_path).manifest
    assert {name: model.zero_descriptors for name, model in manifest.models.items()} == {
        "tiny_a": 1,
        "tiny_b": 1,
    }


def test_manifest_says_what_the_index_was_built_with(
    tiny_index: Path, tiny_profile: Profile
) -> None:
    manifest = open_index(tiny_index).manifest
    assert manifest.profile == tiny_profile
    assert [model.weights for model in manifest.models.values()] == ["made for tests"] * 2
    assert manifest.text["threshold"] == 0.6
    assert (manifest.products, manifest.documents, manifest.rejected) == (40, 40, 0)
    assert manifest.warnings == []


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.5])
def test_descriptor_without_unit_norm_is_refused(
    changed: Path, tmp_path: Path, build: Build, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    infer = EmbeddedEngine.infer

    async def spoiled(
        self: EmbeddedEngine, ensemble: str, batch: NDArray[np.uint8]
    ) -> dict[str, NDArray[np.float32]]:
        rows = await infer(self, ensemble, batch)
        return {**rows, "tiny_b": np.full_like(rows["tiny_b"], value)}

    monkeypatch.setattr(EmbeddedEngine, "infer", spoiled)
    with pytest.raises(EngineError, match=r"tiny_b gave images/p0000\.png a descriptor of L2 norm"):
        build(changed, tmp_path)
    assert versions(tmp_path) == []


# Models


def test_profile_that_differs_from_the_ensemble_is_refused(
    changed: Path, tmp_path: Path, build: Build, tiny_profile: Profile
) -> None:
    for profile in (
        replace(tiny_profile, side=64),
        replace(tiny_profile, backbones=tiny_profile.backbones[:1]),
        replace(tiny_profile, backbones=tiny_profile.backbones[::-1]),
    ):
        with pytest.raises(ModelRepositoryError, match=r"the profile wants .*beauty-export onnx"):
            build(changed, tmp_path / "index", profile=profile)
    assert not (tmp_path / "index").exists()


def test_missing_models_say_how_to_export_them(
    changed: Path, tmp_path: Path, build: Build, tiny_repository: Path, tiny_profile: Profile
) -> None:
    with pytest.raises(ModelRepositoryError, match=r"no model 'other'; it has .*'tiny_a'"):
        build(changed, tmp_path / "index", profile=replace(tiny_profile, name="other"))
    with pytest.raises(ModelRepositoryError, match="There is no model repository at"):
        build(changed, tmp_path / "index", engine=EngineChoice(tmp_path / "none"))
    copy = shutil.copytree(tiny_repository, tmp_path / "repository")
    (copy / "tiny_b" / "1" / "model.onnx").unlink()
    with pytest.raises(ModelRepositoryError, match=r"tiny_b has no .*model\.onnx.*beauty-export"):
        build(changed, tmp_path / "index", engine=EngineChoice(copy))
    (copy / "tiny_b" / "1" / "model.onnx").write_bytes(b"no model")
    with pytest.raises(EngineError, match="tiny_b cannot be loaded"):
        build(changed, tmp_path / "index", engine=EngineChoice(copy))
    with pytest.raises(EngineError, match="Unknown engine 'tritn'"):
        build(changed, tmp_path / "index", engine=EngineChoice(tiny_repository, "tritn"))
    assert versions(tmp_path / "index") == []


# Words


def test_words_are_compared_with_the_description_and_the_brand(
    changed: Path, tmp_path: Path, build: Build
) -> None:
    bundle = IndexBundle(build(changed, tmp_path).folder)
    assert bundle.manifest.words.columns == ("brand",)
    by_brand = bundle.words.cosines(bundle.product(0).attributes["brand"])
    assert 0 in by_brand.rows
    assert list(bundle.words.cosines("5.99").rows) == []  # a price is no text


def test_named_columns_take_the_place_of_the_brand(
    changed: Path, tmp_path: Path, build: Build
) -> None:
    bundle = IndexBundle(build(changed, tmp_path, word_columns=("price",)).folder)
    assert bundle.manifest.words.columns == ("price",)
    assert 0 in bundle.words.cosines("5.99").rows


def test_column_that_no_product_has_is_refused_before_the_images_are_described(
    changed: Path, tmp_path: Path, build: Build, described: list[int]
) -> None:
    message = (
        r"No product of .*catalog\.csv has a value in the column 'colour'\. Further columns with "
        r"values: 'brand', 'price'\. The description always counts\."
    )
    with pytest.raises(CatalogueError, match=message):
        build(changed, tmp_path, word_columns=("brand", "colour"))
    assert described == []


def test_descriptions_that_are_not_english_are_found_by_words(
    changed: Path, tmp_path: Path, build: Build
) -> None:
    add_row(changed, "greek", "images/p0000.png", "Κρέμα προσώπου με λάδι ελιάς", "", "")
    bundle = IndexBundle(build(changed, tmp_path).folder)
    row = bundle.row_of("greek")
    assert bundle.manifest.text["left_out"]
    assert list(bundle.words.cosines("λαδι ελιας").rows) == [row]


def test_finished_words_are_not_made_again(
    changed: Path, tmp_path: Path, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = build(changed, tmp_path / "undisturbed").folder

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(assembly, "build_text_index", fail)
        with pytest.raises(RetrievalError):
            build(changed, tmp_path / "index")
    with monkeypatch.context() as patch:
        patch.setattr(words, "build_word_index", fail)
        assert files(build(changed, tmp_path / "index").folder) == files(expected)
