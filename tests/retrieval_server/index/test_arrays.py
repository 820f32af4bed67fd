"""The files of a bundle by themselves: descriptors, string tables, the textual index."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval_server.errors import IndexBundleError
from retrieval_server.index.descriptors import create_descriptors, open_descriptors
from retrieval_server.index.publish import open_index
from retrieval_server.storage.arrays import open_array
from retrieval_server.storage.string_table import StringTable, write_string_table
from retrieval_server.text.neighbours import COSINE_SCALE, TextIndex
from tests.support.export.text_index_files import write_text_index
from tests.support.manifest_edit import change_manifest

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


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
