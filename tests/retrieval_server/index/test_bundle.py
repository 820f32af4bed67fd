"""The index on disk: what is written comes back, and damage is refused by name."""

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.dataset.catalogue import read_catalogue
from retrieval_server.errors import IndexBundleError, ModelMismatchError
from retrieval_server.index.bundle import ID_ORDER_FILE, IndexBundle
from retrieval_server.index.descriptors import create_descriptors, open_descriptors
from retrieval_server.index.publish import is_intact, make_current, open_index, publish, seal
from retrieval_server.models.model_repository import ModelRepository
from retrieval_server.storage.arrays import open_array
from retrieval_server.storage.string_table import StringTable, write_string_table
from retrieval_server.text.neighbours import COSINE_SCALE, TextIndex
from tests.support.text_index_files import write_text_index

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
BUNDLE_FILES = [
    "canary.tiny_a.npy",
    "canary.tiny_b.npy",
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
]
ARRAY_FILES = [  # the server opens these; terms.* and text_terms.* are for the export room
    name for name in BUNDLE_FILES if name.endswith(".npy") and not re.match("(text_)?terms", name)
]


@pytest.fixture
def version(tiny_index_copy: Path) -> Path:
    """One version of an index, to damage."""
    return tiny_index_copy / (tiny_index_copy / "current").read_text().strip()


def change_manifest(version: Path, change: Callable[[dict], object]) -> None:
    path = version / "manifest.json"
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


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


def test_publishing_again_leaves_an_intact_version_as_it_is(version: Path, tmp_path: Path) -> None:
    sealed = shutil.copytree(version, tmp_path / "sealed")
    before = (version / "manifest.json").stat().st_ino
    assert publish(sealed, version.parent, version.name) == version
    assert (version / "manifest.json").stat().st_ino == before


def test_publishing_again_replaces_a_damaged_version(version: Path, tmp_path: Path) -> None:
    sealed = shutil.copytree(version, tmp_path / "sealed")
    (version / "ids.bytes.npy").unlink()
    publish(sealed, version.parent, version.name)
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
    path = version / name
    content = bytearray(path.read_bytes())
    content[-12] ^= 1  # not in the last value, which for offsets is checked at open
    path.write_bytes(content)
    bundle = open_index(version.parent)
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
        (lambda data: data.update(format_version=1), "has format 1, this program reads 4"),
        (lambda data: data.pop("format_version"), "has format None"),
        (lambda data: data.pop("files"), "KeyError.*'files'"),
        (lambda data: data.update(files=[]), "is damaged"),
        (lambda data: data["files"].update({"ids.order.npy": {"bytes": 1}}), "is damaged"),
        (lambda data: data.pop("search"), "KeyError.*'search'"),
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
    with pytest.raises(IndexBundleError, match=r"tiny-ffffffffffff/manifest\.json"):
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
    bundle.require_models(digests)
    with pytest.raises(ModelMismatchError, match=f"tiny_b.*{digests['tiny_b'][:12]}.*has 0123"):
        bundle.require_models({**digests, "tiny_b": "0123" * 16})
    with pytest.raises(ModelMismatchError, match=r"tiny_a.*has none"):
        bundle.require_models({"tiny_b": digests["tiny_b"]})


# Feature store


def test_descriptors_come_back_as_they_were_written(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    create_descriptors(tmp_path, "m", 5, 3)[:] = values
    opened = open_descriptors(tmp_path, "m")
    np.testing.assert_array_equal(opened, values)
    assert opened.dtype == np.float32
    assert not opened.flags.writeable


def test_new_descriptor_file_has_its_disk_blocks_before_it_is_filled(tmp_path: Path) -> None:
    create_descriptors(tmp_path, "m", 1_000, 256)
    status = (tmp_path / "descriptors.m.npy").stat()
    assert status.st_blocks * 512 >= status.st_size


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 3), np.float64),
        np.zeros((4, 3), ">f4"),
        np.zeros(12, np.float32),
        np.zeros((4, 3, 1), np.float32),
    ],
    ids=["float64", "big-endian", "one axis", "three axes"],
)
def test_descriptors_of_another_form_are_refused(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "descriptors.m.npy", array)
    with pytest.raises(IndexBundleError, match=r"descriptors\.m\.npy holds .* instead of float32"):
        open_descriptors(tmp_path, "m")


def test_truncated_descriptors_are_refused_wherever_they_end(tmp_path: Path) -> None:
    path = tmp_path / "descriptors.m.npy"
    create_descriptors(tmp_path, "m", 4, 3)
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(IndexBundleError, match=r"descriptors\.m\.npy is damaged"):
            open_descriptors(tmp_path, "m")
    path.unlink()
    with pytest.raises(IndexBundleError, match=r"descriptors\.m\.npy is missing"):
        open_descriptors(tmp_path, "m")


def test_pickles_and_archives_are_not_opened_as_arrays(tmp_path: Path) -> None:
    np.save(tmp_path / "pickled.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "archive.npz", a=np.zeros(2))
    for name in ("pickled.npy", "archive.npz"):
        with pytest.raises(IndexBundleError, match=f"{name} is damaged"):
            open_array(tmp_path / name, np.float32, 1)


# String table


@pytest.mark.parametrize("shape", [(39, 32), (40, 16)])
def test_digests_of_another_number_or_length_are_refused(
    version: Path, shape: tuple[int, int]
) -> None:
    path = version / "image_digests.npy"
    np.save(path, np.zeros(shape, np.uint8))
    size = path.stat().st_size
    change_manifest(version, lambda data: data["files"][path.name].update(bytes=size))
    with pytest.raises(IndexBundleError, match="do not match its manifest"):
        open_index(version)


@given(st.lists(TEXT))
def test_any_texts_come_back_from_a_string_table(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    folder = tmp_path_factory.getbasetemp()
    write_string_table(folder, "names", texts)
    table = StringTable(folder, "names")
    assert [table[row] for row in range(len(table))] == texts


def test_string_table_whose_files_contradict_each_other_is_refused(tmp_path: Path) -> None:
    write_string_table(tmp_path, "names", ["one", "two"])
    for offsets in ([0, 3], []):
        np.save(tmp_path / "names.offsets.npy", np.array(offsets, np.int64))
        with pytest.raises(IndexBundleError, match="names"):
            StringTable(tmp_path, "names")


# Text index


def test_text_index_comes_back_with_cosines_rounded_to_16_bits(tmp_path: Path) -> None:
    cosines = np.array([1.0000000000000002, 0.75, 0.6000001])
    indptr, rows = np.array([0, 2, 2, 3]), np.array([2, 1, 0])
    write_text_index(tmp_path, indptr, rows, cosines)
    index = TextIndex(tmp_path)
    assert (len(index), index.pair_count) == (3, 3)
    found = [index.neighbours(row) for row in range(3)]
    assert [rows.tolist() for rows, _ in found] == [[2, 1], [], [0]]
    np.testing.assert_allclose(
        np.concatenate([values for _, values in found]), cosines, atol=0.5 / COSINE_SCALE
    )


def test_text_index_without_pairs_opens(tmp_path: Path) -> None:
    write_text_index(tmp_path, np.zeros(4), np.empty(0), np.empty(0))
    rows, cosines = TextIndex(tmp_path).neighbours(2)
    assert (len(rows), len(cosines)) == (0, 0)


@pytest.mark.parametrize(
    ("indptr", "rows", "cosines"), [([0, 1], 2, 2), ([0, 2], 2, 1), ([0, 2], 1, 2), ([], 0, 0)]
)
def test_text_index_whose_files_contradict_each_other_is_refused(
    tmp_path: Path, indptr: list[int], rows: int, cosines: int
) -> None:
    write_text_index(tmp_path, np.array(indptr), np.zeros(rows), np.zeros(cosines))
    with pytest.raises(IndexBundleError, match=r"textual index .* do not match"):
        TextIndex(tmp_path)


def test_id_order_is_that_of_the_id_bytes(tiny_index: Path) -> None:
    bundle = open_index(tiny_index)
    order = np.load(bundle.folder / ID_ORDER_FILE)
    ids = [os.fsencode(bundle.product_id(row)) for row in order]
    assert ids == sorted(ids)
