"""The levels on disk: the search in memory, and damage refused by name."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from export.index import search_levels
from retrieval_server.errors import IndexBundleError
from retrieval_server.exact_search.cascade import CascadeSettings
from retrieval_server.exact_search.levels.byte import ByteSearch, byte_query
from retrieval_server.exact_search.levels.files import open_levels
from retrieval_server.exact_search.open_search import open_search
from retrieval_server.exact_search.row_file import RowFile
from retrieval_server.exact_search.scan import ScanSearch
from retrieval_server.index.descriptors import create_descriptors, open_descriptors
from tests.support.made_up_databases import clustered_vectors, encoded, unit_vectors


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A folder with descriptors and their levels."""
    monkeypatch.setattr(search_levels, "SCANNED_ROWS", 50)
    rng = np.random.default_rng(11)
    database = {
        "one": clustered_vectors(rng, 300, 40),
        "two": clustered_vectors(rng, 300, 70, True),
    }
    for model, part in database.items():
        create_descriptors(tmp_path, model, *part.shape)[:] = part
    record = search_levels.build_search_levels(tmp_path, {"one": 3.0, "two": 1.0})
    return tmp_path, record, {model: part.shape[1] for model, part in database.items()}


# On disk


def test_search_from_disk_is_the_search_in_memory(written):
    folder, record, dimensions = written
    database = tuple(open_descriptors(folder, model) for model in dimensions)
    levels = open_levels(folder, record, list(dimensions.values()), 300)
    search = open_search(database, levels, CascadeSettings(probes=4, few_rows=0))
    reference = ScanSearch(database)
    for row in range(300):
        query = [np.array(part[row]) for part in database]
        ranking = search.rank_all(query, (3.0, 1.0), 7)
        assert ranking.rows.tolist() == reference.rank_all(query, (3.0, 1.0), 7).rows.tolist()


def test_two_builds_give_the_same_bytes(written):
    folder, record, _ = written
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    again = search_levels.build_search_levels(folder, {"one": 3.0, "two": 1.0})
    assert again == record
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_record_survives_the_manifest_to_the_last_bit(written):
    _, record, _ = written
    assert type(record).from_json(json.loads(json.dumps(record.to_json()))) == record


def test_level_of_another_shape_is_refused_by_name(written):
    folder, record, dimensions = written
    np.save(folder / "middle.codes.npy", np.zeros((299, 320), np.uint8))
    with pytest.raises(IndexBundleError, match=r"middle\.codes\.npy is \(299, 320\) instead of"):
        open_levels(folder, record, list(dimensions.values()), 300)


def test_outlier_beyond_the_database_is_refused(written):
    folder, record, dimensions = written
    np.save(folder / "coarse.outliers.npy", np.array([300], np.int32))
    with pytest.raises(IndexBundleError, match=r"coarse\.outliers\.npy is damaged"):
        open_levels(folder, record, list(dimensions.values()), 300)


def test_levels_say_what_they_take(written):
    folder, record, dimensions = written
    database = tuple(open_descriptors(folder, model) for model in dimensions)
    search = open_search(database, open_levels(folder, record, list(dimensions.values()), 300))
    sizes = {level.name: (level.bytes, level.is_resident) for level in search.level_sizes()}
    assert sizes == {
        "coarse": (5 * (33 + 1) * 256, True),
        "middle": (300 * 328, True),
        "residual": (300 * (192 + 8), True),
        "rotation": (110 * 110 * 4, True),
        "bytes": (300 * (64 + 128 + 16), False),
        "originals": (300 * 110 * 4, False),
    }


def test_byte_rows_come_from_the_file_and_a_short_one_is_named(written):
    folder, record, dimensions = written
    database = tuple(open_descriptors(folder, model) for model in dimensions)
    levels = open_levels(folder, record, list(dimensions.values()), 300)
    search = open_search(database, levels)
    rows, query = np.array([299, 0, 17, 17], np.int32), [part[17] for part in database]
    arguments = byte_query(query, record.fit.code_offsets), (3.0, 1.0)
    from_file = ByteSearch(search.levels.arrays["bytes"], *arguments)
    in_memory = ByteSearch(levels.arrays["bytes"], *arguments)
    assert search.levels.arrays["bytes"].file is not None
    assert np.array_equal(from_file.bounds(rows), in_memory.bounds(rows))

    os.truncate(folder / "bytes.codes.npy", 300 * 192)
    with pytest.raises(IndexBundleError, match=r"bytes\.codes\.npy cannot be read at row 299"):
        from_file.bounds(rows)


# Without the wide instruction


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_originals_are_read_from_their_files_as_they_are(tmp_path, dtype):
    rng = np.random.default_rng(5)
    database = [unit_vectors(rng, 500, size).astype(dtype) for size in (48, 64)]
    levels = encoded(database, (3.0, 1.0), 500)
    mapped = []
    for number, part in enumerate(database):
        np.save(tmp_path / f"{number}.npy", part)
        mapped.append(np.load(tmp_path / f"{number}.npy", mmap_mode="r"))
    search = open_search(tuple(mapped), levels)
    query = [part[7].astype(np.float32) for part in database]

    ranking = search.rank_all(query, (3.0, 1.0), 7)

    assert ranking.rows.tolist() == ScanSearch(database).rank_all(query, (3, 1), 7).rows.tolist()
    for source, part in zip(search.originals, database, strict=True):
        assert isinstance(source, RowFile)
        rows = np.array([499, 0, 7])
        assert source[rows].dtype == dtype
        assert np.array_equal(source[rows], part[rows])
    with (tmp_path / "0.npy").open("r+b") as file:
        file.truncate(file.seek(0, 2) - 1)
    with pytest.raises(IndexBundleError, match=r"0\.npy cannot be read at row 499"):
        search.originals[0][np.array([0, 499])]
