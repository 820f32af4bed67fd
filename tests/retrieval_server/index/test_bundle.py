"""The index on disk: what is written comes back, and damage is refused by name."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from export.dataset.catalogue import read_catalogue
from retrieval_server.errors import IndexBundleError, ModelMismatchError
from retrieval_server.index.bundle import ID_ORDER_FILE, IndexBundle
from retrieval_server.index.manifest import FORMAT_VERSION
from retrieval_server.index.publish import is_intact, make_current, open_index, seal, store
from retrieval_server.index.searched_index import require_models
from retrieval_server.models.model_repository import ModelRepository
from tests.support.manifest_edit import change_manifest

BUNDLE_FILES = [
    "canary.tiny_a.npy",
    "canary.tiny_b.npy",
    "columns.0.npy",
    "columns.0.strings.bytes.npy",
    "columns.0.strings.offsets.npy",
    "columns.1.npy",
    "attributes.bytes.npy",
    "attributes.offsets.npy",
    "descriptions.bytes.npy",
    "descriptions.offsets.npy",
    "descriptors.tiny_a.npy",
    "descriptors.tiny_b.npy",
    "ids.bytes.npy",
    "ids.offsets.npy",
    "ids.order.npy",
    "image_digests.npy",
    "images.bytes.npy",
    "images.offsets.npy",
    "rejects.jsonl",
    "terms.bytes.npy",
    "terms.documents.npy",
    "terms.offsets.npy",
    "text_neighbours.cosines.npy",
    "text_neighbours.indptr.npy",
    "text_neighbours.rows.npy",
    "text_terms.counts.npy",
    "text_terms.indptr.npy",
    "text_terms.terms.npy",
    "words.description.codes.npy",
    "words.description.counts.npy",
    "words.description.idf.npy",
    "words.description.norms.npy",
    "words.description.offsets.npy",
    "words.description.postings.npy",
]
ARRAY_FILES = [  # the server opens these; terms.* and text_terms.* are for the export room
    name for name in BUNDLE_FILES if name.endswith(".npy") and not re.match("(text_)?terms", name)
]


# The bundle as it was written


def test_bundle_says_of_each_product_what_the_catalogue_says(
    tiny_index: Path, tiny_catalogue: Path
) -> None:
    bundle = open_index(tiny_index)
    rows = read_catalogue(tiny_catalogue).rows
    assert len(bundle) == len(rows) == 40
    for number, row in enumerate(rows):
        product = bundle.product(number)
        assert (product.product_id, product.image) == (row.product_id, row.image)
        assert (product.description, product.attributes) == (row.description, row.attributes)
        assert bundle.product_id(number) == row.product_id


def test_bundle_holds_exactly_the_documented_files(version: Path) -> None:
    assert sorted(path.name for path in version.iterdir()) == sorted(
        [*BUNDLE_FILES, "manifest.json"]
    )
    open_index(version.parent).verify()


def test_index_opens_by_its_folder_and_by_its_version(
    version: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert open_index(version.parent).version == open_index(version).version == version.name
    monkeypatch.chdir(version)
    assert open_index(Path()).version == version.name


def test_every_id_has_its_row_and_no_other_text_has_one(tiny_index: Path) -> None:
    bundle = open_index(tiny_index)
    ids = [bundle.product_id(row) for row in range(len(bundle))]
    assert [bundle.row_of(product_id) for product_id in ids] == list(range(len(bundle)))
    for absent in ("", "p", "p000", "p00000", "P0000", "p0000 ", "q", "é", "商品", "\udcff", "\0"):
        assert bundle.row_of(absent) is None


def test_newest_published_version_is_current_and_the_older_one_stays(version: Path) -> None:
    root = version.parent
    shutil.copytree(version, root / "tiny-000000000000")
    make_current(root, "tiny-000000000000")
    assert open_index(root).version == "tiny-000000000000"
    assert is_intact(version)


def test_storing_again_leaves_an_intact_version_as_it_is(version: Path, tmp_path: Path) -> None:
    sealed = shutil.copytree(version, tmp_path / "sealed")
    before = (version / "manifest.json").stat().st_ino
    assert store(sealed, version.parent, version.name) == version
    assert (version / "manifest.json").stat().st_ino == before


def test_storing_again_replaces_a_damaged_version(version: Path, tmp_path: Path) -> None:
    sealed = shutil.copytree(version, tmp_path / "sealed")
    (version / "ids.bytes.npy").unlink()
    store(sealed, version.parent, version.name)
    assert is_intact(version)
    assert not sealed.exists()


def test_sealing_equal_files_gives_an_equal_version(version: Path) -> None:
    bundle = IndexBundle(version)
    (version / "manifest.json").unlink()
    assert seal(version, bundle.manifest) == version.name


# Damage is refused at open


@pytest.mark.parametrize("name", BUNDLE_FILES)
def test_missing_truncated_or_longer_file_is_refused_by_name(version: Path, name: str) -> None:
    path = version / name
    content = path.read_bytes()
    damages = [content + b"x"] if not content else [content[:-1], b"", content + b"x"]
    for damaged in damages:
        path.write_bytes(damaged)
        with pytest.raises(IndexBundleError, match=rf"{name} is truncated.*beauty-export index"):
            open_index(version.parent)
    path.unlink()
    with pytest.raises(IndexBundleError, match=rf"{name} is missing.*beauty-export index"):
        open_index(version.parent)


@pytest.mark.parametrize("name", ARRAY_FILES)
def test_overwritten_array_of_equal_size_is_refused_by_name(version: Path, name: str) -> None:
    path = version / name
    path.write_bytes(b"\xff" * path.stat().st_size)
    with pytest.raises(IndexBundleError, match=rf"{name} is damaged"):
        open_index(version.parent)


@pytest.mark.parametrize("name", ARRAY_FILES)
def test_verify_finds_one_flipped_bit(version: Path, name: str) -> None:
    bundle = open_index(version.parent)  # some arrays would be refused with the bit
    path = version / name
    content = bytearray(path.read_bytes())
    content[-12] ^= 1
    path.unlink()  # what is open keeps its bytes
    path.write_bytes(content)
    with pytest.raises(IndexBundleError, match=rf"{name} differs from its checksum"):
        bundle.verify()
    assert not is_intact(version)


def test_verify_finds_an_edited_manifest(version: Path) -> None:
    change_manifest(version, lambda data: data["profile"]["backbones"][0].update(alpha=2.0))
    bundle = open_index(version.parent)
    with pytest.raises(IndexBundleError, match=r"manifest\.json has another digest"):
        bundle.verify()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            lambda data: data.update(format_version=1),
            f"has format 1, this program reads {FORMAT_VERSION}",
        ),
        (lambda data: data.pop("format_version"), "has format None"),
        (lambda data: data.pop("files"), "KeyError.*'files'"),
        (lambda data: data.update(files=[]), "is damaged"),
        (lambda data: data["files"].update({"ids.order.npy": {"bytes": 1}}), "is damaged"),
        (
            lambda data: data.update(format_version=7),
            f"has format 7, this program reads {FORMAT_VERSION}",
        ),
        (lambda data: data.pop("search"), "KeyError.*'search'"),
        (lambda data: data.pop("columns"), "KeyError.*'columns'"),
        (lambda data: data["columns"][0].pop("kind"), "KeyError.*'kind'"),
        (lambda data: data["columns"][0].update(kind="colour"), "colour"),
        (lambda data: data["columns"][0].update(distinct=5), "'brand'.*5 different texts"),
        (lambda data: data.pop("products"), "KeyError.*'products'"),
        (lambda data: data.update(models=[]), "is damaged"),
        (lambda data: data["models"].pop("tiny_b"), "describes the models"),
        (lambda data: data["models"]["tiny_a"].update(colour=1), "colour"),
        (lambda data: data["profile"].update(sides=1), "no .*'sides'"),
        (lambda data: data["profile"].update(side="big"), "is damaged"),
        (lambda data: data.update(products=39), "do not match its manifest .39 products"),
        (lambda data: data["models"]["tiny_a"].update(dimension=25), "do not match its manifest"),
    ],
)
def test_manifest_that_cannot_be_right_is_refused(
    version: Path, change: Callable[[dict], object], expected: str
) -> None:
    change_manifest(version, change)
    with pytest.raises(IndexBundleError, match=expected) as caught:
        open_index(version.parent)
    assert str(version) in str(caught.value)
    assert "beauty-export index" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe"])
def test_manifest_that_is_no_json_object_is_refused(version: Path, content: bytes) -> None:
    (version / "manifest.json").write_bytes(content)
    with pytest.raises(IndexBundleError, match=r"manifest\.json"):
        open_index(version.parent)


def test_current_that_names_a_missing_version_is_refused(tiny_index_copy: Path) -> None:
    (tiny_index_copy / "current").write_text("tiny-ffffffffffff\n")
    with pytest.raises(IndexBundleError, match="names tiny-ffffffffffff, but there is no"):
        open_index(tiny_index_copy)


def test_folder_without_an_index_says_how_to_build_one(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none", Path(__file__)):
        with pytest.raises(IndexBundleError, match="Build one with: beauty-export index"):
            open_index(path)


def test_index_refuses_models_it_was_not_built_with(
    tiny_index: Path, tiny_repository: Path
) -> None:
    bundle = open_index(tiny_index)
    members = ModelRepository(tiny_repository).ensemble("tiny")
    digests = {member.name: member.digest for member in members}
    require_models(bundle, digests)
    with pytest.raises(ModelMismatchError, match=f"tiny_b.*{digests['tiny_b'][:12]}.*has 0123"):
        require_models(bundle, {**digests, "tiny_b": "0123" * 16})
    with pytest.raises(ModelMismatchError, match=r"tiny_a.*has none"):
        require_models(bundle, {"tiny_b": digests["tiny_b"]})


# Text index


def test_id_order_is_that_of_the_id_bytes(tiny_index: Path) -> None:
    bundle = open_index(tiny_index)
    order = np.load(bundle.folder / ID_ORDER_FILE)
    ids = [os.fsencode(bundle.product_id(row)) for row in order]
    assert ids == sorted(ids)
