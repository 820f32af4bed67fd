"""Each level's bound holds for every row, is near for rows built to sit on it, and is stored."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from export.index import search_levels
from export.index.fit_search import fit_search
from retrieval_server.errors import IndexBundleError
from retrieval_server.exact_search.cascade import CascadeSettings, stages_of
from retrieval_server.exact_search.fused_bound import FusedBound
from retrieval_server.exact_search.kernels.encoders import codes_reference
from retrieval_server.exact_search.kernels.layout import BLOCK_ROWS, COARSE_BITS, RESIDUAL_BITS
from retrieval_server.exact_search.kernels.vector_instructions import HAS_VNNI
from retrieval_server.exact_search.levels import byte
from retrieval_server.exact_search.levels.encoding import append_rows
from retrieval_server.exact_search.levels.files import open_levels
from retrieval_server.exact_search.levels.fitting import axes_loss
from retrieval_server.exact_search.levels.rotation import RotatedQuery, rotate_rows
from retrieval_server.exact_search.levels.stage import Candidates, Scratch
from retrieval_server.exact_search.open_search import open_search
from retrieval_server.exact_search.parallelism import IntraQueryParallelism
from retrieval_server.exact_search.row_file import RowFile
from retrieval_server.exact_search.scan import ScanSearch
from retrieval_server.exact_search.similarity import fused_similarity
from retrieval_server.index.descriptors import create_descriptors, open_descriptors
from tests.support.made_up_databases import (
    ALPHAS,
    cascade,
    clustered_vectors,
    encoded,
    random_database,
    random_query,
    unit_vectors,
)
from tests.support.paths import ROOT


def exact_sums(database, query, weights):
    """L of every row, in float64."""
    return sum(
        weight * (part.astype(np.float64) @ vector.astype(np.float64))
        for part, vector, weight in zip(database, query, weights, strict=True)
    )


def level_bounds(levels, query, weights):
    """Upper bounds of every row by the coarse, the middle and the residual level."""
    rotated = RotatedQuery(levels.fit, query, weights)
    rows = levels.rows
    candidates, found = Candidates(Scratch(rows), rows), []
    for stage in stages_of(levels):
        stage.bound(rotated, candidates, IntraQueryParallelism())
        if stage.name == "coarse":
            found.append(candidates.coarse_upper_bounds[:rows])
            whole = rows // BLOCK_ROWS
            largest = found[0][: BLOCK_ROWS * whole].reshape(-1, BLOCK_ROWS).max(axis=1)
            assert candidates.block_maxima[:whole].tolist() == largest.tolist()
        else:
            found.append(candidates.upper_bounds[:rows].copy())
        candidates.keep(np.float32(-np.inf))
        assert candidates.rows.tolist() == list(range(rows))
    return found


def byte_bounds(levels, query, alphas):
    """Upper bounds of eq. (8) of every row by the byte level."""
    offsets = levels.fit.parameters.code_offsets
    queries = [byte.byte_query(q, o) for q, o in zip(query, offsets, strict=True)]
    rows = levels.arrays["bytes"].rows(np.arange(levels.rows, dtype=np.int32))
    cosines, radii = byte.estimates(*rows, queries)
    return byte.similarity_upper_bounds(cosines, radii, alphas)


def random_levels(rng):
    """A random database, encoded; half of the time only a part of it was fitted to."""
    database = random_database(rng)
    rows = len(database[0])
    fitted = rows if rng.random() < 0.5 else int(rng.integers(1, rows + 1))
    levels = encoded(database, rng.choice([0.0, 1.0, 3.0], len(database)), fitted)
    if fitted < rows:
        levels = append_rows(levels, [part[fitted:] for part in database])
    return database, levels


@pytest.mark.parametrize("batch", range(5))
def test_no_level_bounds_a_row_below_what_it_is(batch):
    for number in range(60):
        rng = np.random.default_rng([99, batch, number])
        database, levels = random_levels(rng)
        query = random_query(rng, database)
        alphas = rng.choice(ALPHAS, len(database)).tolist()
        weights = FusedBound(alphas, levels.rectified).weights

        exact = exact_sums(database, query, weights)
        is_held = ~np.isin(np.arange(levels.rows), levels.outliers)
        coarse, middle, residual = level_bounds(levels, query, weights)

        assert (coarse >= exact)[is_held].all()
        assert (middle >= exact)[is_held].all()
        assert (residual >= exact)[is_held].all()
        cosines = np.stack(
            [
                part.astype(np.float64) @ vector.astype(np.float64)
                for part, vector in zip(database, query, strict=True)
            ],
            axis=1,
        )
        assert (byte_bounds(levels, query, alphas) >= fused_similarity(cosines, alphas)).all()


def test_rows_built_to_sit_on_a_bound_are_not_below_it():
    """Queries along what the coarse codes lost of a row: Cauchy-Schwarz is an equality there."""
    rng = np.random.default_rng(5)
    database = [clustered_vectors(rng, 300, 200)]
    levels = encoded(database, [1.0])
    fit = levels.fit
    scaling = np.float32(fit.parameters.scalings[0])
    weights = np.array([1.0])
    nearest = []
    for row in range(0, 300, 7):
        y = (database[0][row].astype(np.float64) - fit.means) * scaling
        axes = fit.rotation.astype(np.float64)
        coordinates = axes @ y
        _, decoded = codes_reference(coordinates, fit.steps[: len(axes)], COARSE_BITS)
        lost = axes.T @ (coordinates - decoded)
        # g is parallel to what was lost: q = μ + β g / w, as long as a unit vector may be.
        direction = lost / np.linalg.norm(lost) * scaling
        mean = fit.means.astype(np.float64)
        b = mean @ direction
        length = -b + np.sqrt(b * b + direction @ direction * (1 - mean @ mean))
        query = [(mean + length / (direction @ direction) * direction).astype(np.float32)]
        exact = exact_sums(database, query, weights)
        coarse, middle, residual = level_bounds(levels, query, weights)
        assert (coarse >= exact).all()
        assert (middle >= exact).all()
        assert (residual >= exact).all()
        nearest.append(coarse[row] - exact[row])
    spread = np.abs(level_bounds(levels, query, weights)[0] - exact).mean()
    assert np.median(nearest) < spread  # they do sit nearer than others


def test_rows_built_to_sit_on_the_residual_bound_are_not_below_it():
    """Queries along what every code up to the residual level lost of a row."""
    rng = np.random.default_rng(15)
    database = [clustered_vectors(rng, 300, 700)]
    levels = encoded(database, [1.0])
    fit, weights = levels.fit, np.array([1.0])
    scaling = np.float32(fit.parameters.scalings[0])
    rotated = rotate_rows(fit, database)
    remainder = axes_loss(fit, rotated).remainder.astype(np.float64)
    lost = remainder - codes_reference(remainder, fit.residual_steps, RESIDUAL_BITS)[1]
    mean = fit.means.astype(np.float64)
    nearest, spreads = [], []
    for row in range(0, 300, 7):
        direction = lost[row] / np.linalg.norm(lost[row]) * scaling
        b = mean @ direction
        length = -b + np.sqrt(b * b + direction @ direction * (1 - mean @ mean))
        query = [(mean + length / (direction @ direction) * direction).astype(np.float32)]
        room = level_bounds(levels, query, weights)[2] - exact_sums(database, query, weights)
        assert (room >= 0).all()
        nearest.append(room[row])
        spreads.append(room.mean())
    assert np.median(nearest) < np.median(spreads)


def test_queries_that_hit_the_inequality_of_the_means_exactly_keep_their_rows():
    """All u_n f_n equal: the fused bound has no room left, and ties must survive."""
    rng = np.random.default_rng(6)
    part = clustered_vectors(rng, 200, 60, rectified=True)
    part[100:] = part[:100]
    database = [part, part.copy()]
    search = cascade(database, (1.0, 1.0))

    for row in range(100):
        query = [vectors[row] for vectors in database]
        ranking = search.rank_all(query, (1.0, 1.0), 2)
        expected = ScanSearch(database).rank_all(query, (1.0, 1.0), 2)
        assert ranking.rows.tolist() == expected.rows.tolist()


def test_threshold_is_what_the_inequality_says():
    bound = FusedBound((3.0, 1.0), (True, True))
    rng = np.random.default_rng(7)
    for cosines in rng.uniform(0, 1, (2000, 2)):
        similarity = fused_similarity(cosines, (3.0, 1.0))
        assert float(bound.weights @ cosines) >= bound.threshold(similarity)
    tight = fused_similarity([0.72, 0.72], (3.0, 1.0))
    exact = float(bound.weights.sum()) * 0.72
    assert bound.threshold(tight) == pytest.approx(exact, abs=1e-6)


def test_negative_factors_are_covered_only_where_they_cannot_win():
    paper = FusedBound((3.0, 1.0), (False, True))  # one backbone alone can be negative
    assert paper.covers(0.1)
    assert not paper.covers(0.0)
    both = FusedBound((3.0, 3.0), (False, False))  # (3 - 1)² = 4 is possible
    assert both.covers(4.1)
    assert not both.covers(3.9)
    assert FusedBound((1e6, 1e6), (True, True)).covers(1e-9)
    assert not FusedBound((1e6, 1e6), (False, False)).covers(0.9e12)


def test_fit_and_levels_do_not_depend_on_the_number_of_threads():
    rng = np.random.default_rng(8)
    database = [clustered_vectors(rng, 9000, 50), clustered_vectors(rng, 9000, 70, True)]
    first, second = (encoded(database, (3, 1), threads=threads) for threads in (1, 3))
    assert first.record == second.record
    assert first.fit.rotation.tobytes() == second.fit.rotation.tobytes()
    for name, arrays in first.arrays.items():
        assert arrays.codes.tobytes() == second.arrays[name].codes.tobytes()
        assert arrays.bounds.tobytes() == second.arrays[name].bounds.tobytes()


def test_descriptor_longer_than_a_unit_vector_is_refused_by_row():
    database = [clustered_vectors(np.random.default_rng(9), 100, 30)]
    database[0][41] = 0.3
    with pytest.raises(ValueError, match=r"Row 41 has L2 norm 1\.6"):
        encoded(database, [1.0])


def test_appended_rows_have_the_codes_of_a_whole_build():
    rng = np.random.default_rng(10)
    database = [clustered_vectors(rng, 200, 40)]
    fit = fit_search(database, [1.0])
    whole = encoded(database, [1.0], fit=fit)
    grown = encoded([database[0][:70]], [1.0], fit=fit)
    for first in (70, 71, 150):
        last = {70: 71, 71: 150, 150: 200}[first]
        grown = append_rows(grown, [database[0][first:last]])
    assert grown.rows == whole.rows == 200
    query, one = [database[0][5]], np.array([1.0])
    bounds = zip(level_bounds(grown, query, one), level_bounds(whole, query, one), strict=True)
    for left, right in bounds:
        assert left == pytest.approx(right, abs=1e-3)
    assert grown.arrays["bytes"].codes.tolist() == whole.arrays["bytes"].codes.tolist()


# On disk


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
        "coarse": (5 * (32 + 1) * 256, True),
        "middle": (300 * 332, True),
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
    rows = np.array([299, 0, 17, 17], np.int32)
    codes, bounds = search.levels.arrays["bytes"].rows(rows)
    assert codes.tolist() == levels.arrays["bytes"].codes[rows].tolist()
    assert bounds.tolist() == levels.arrays["bytes"].bounds[rows].tolist()

    os.truncate(folder / "bytes.codes.npy", 300 * 192)
    with pytest.raises(IndexBundleError, match=r"bytes\.codes\.npy cannot be read at row 299"):
        search.levels.arrays["bytes"].rows(rows)


# Without the wide instruction

PRINT_BOUNDS = """
import hashlib, sys
import numpy as np
sys.path.insert(0, {root!r})
from retrieval_server.exact_search.cascade import SearchCounts
from retrieval_server.exact_search.kernels.vector_instructions import HAS_VNNI
from tests.retrieval_server.exact_search.test_levels import byte_bounds, level_bounds
from tests.support.made_up_databases import cascade, clustered_vectors

rng = np.random.default_rng(12)
database = [clustered_vectors(rng, 500, 80), clustered_vectors(rng, 500, 90, True)]
search = cascade(database, (3, 1))
digest = hashlib.sha256()
for row in range(0, 500, 25):
    query = [part[row] for part in database]
    for bounds in level_bounds(search.levels, query, np.array([0.9, 0.5])):
        digest.update(bounds)
    digest.update(byte_bounds(search.levels, query, (3.0, 1.0)))
    counts = SearchCounts()
    ranking = search.rank_all(query, (3.0, 1.0), 7, counts=counts)
    digest.update(ranking.rows)
    digest.update(repr(counts).encode())
print(HAS_VNNI, digest.hexdigest())
"""


def test_processor_without_the_wide_instruction_gives_the_same_bounds(tmp_path):
    """Bit for bit where both can be run; the integer sums are the same everywhere."""

    def printed(**environment: str) -> list[str]:
        code = PRINT_BOUNDS.format(root=str(ROOT))
        variables = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), **environment}
        run = subprocess.run(
            [sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True
        )
        return run.stdout.split()

    has_it, here = printed()
    without, there = printed(NUMBA_CPU_NAME="x86-64-v3", NUMBA_CPU_FEATURES="+avx2,+fma")
    assert without == "False"
    assert has_it == str(HAS_VNNI)
    assert there == here


def test_search_without_a_place_for_a_cache_still_compiles(tmp_path):
    code = "import retrieval_server.exact_search.warm_up as w; w.compile_kernels(); print('done')"
    variables = {**os.environ, "NUMBA_CACHE_DIR": "/proc/no/such/place"}
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=variables,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == "done\n"


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
