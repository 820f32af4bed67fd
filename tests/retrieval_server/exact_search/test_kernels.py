"""Each compiled loop of the exact search computes what its reference by numpy says."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import retrieval_server
from retrieval_server.exact_search.cascade import stages_of
from retrieval_server.exact_search.kernels import encoders, inner_products, layout
from retrieval_server.exact_search.kernels.byte import (
    LARGEST_HIGH,
    byte_bounds,
    byte_bounds_reference,
)
from retrieval_server.exact_search.kernels.coarse import coarse_bounds_reference
from retrieval_server.exact_search.kernels.digits import digits_reference, round_to_digits
from retrieval_server.exact_search.kernels.inner_products import dots, dots_reference
from retrieval_server.exact_search.kernels.layout import HIGH_DIGIT
from retrieval_server.exact_search.kernels.row_kernel import row_bounds_reference
from retrieval_server.exact_search.levels import byte, coarse, middle, residual
from retrieval_server.exact_search.levels.axis_codes import AxisCodes
from retrieval_server.exact_search.levels.candidates import Candidates, Scratch
from retrieval_server.exact_search.levels.rotation import LONGEST, RotatedQuery, rotate_rows
from retrieval_server.exact_search.parallelism import IntraQueryParallelism
from tests.support.made_up_databases import clustered_vectors, encoded, unit_vectors
from tests.support.paths import ROOT

FLOAT32_ROUNDING = 2e-6  # of sums of some hundred terms below 1
WEIGHTS = np.array([0.9, 0.5])


@pytest.fixture(scope="module", params=[(60, 80), (600, 700)], ids=["few axes", "all axes"])
def database(request):
    """Two backbones, one of them rectified; 500 rows do not fill the last block."""
    rng = np.random.default_rng(31)
    first, second = request.param
    return [clustered_vectors(rng, 500, first), clustered_vectors(rng, 500, second, True)]


@pytest.fixture(scope="module")
def levels(database):
    return encoded(database, (3, 1))


@pytest.fixture(scope="module")
def rotated(database, levels):
    return RotatedQuery(levels.fit, [part[3] for part in database], WEIGHTS)


@pytest.fixture
def written(levels, rotated):
    """What the stages write for every row: estimates and upper bounds by level."""
    candidates, found = Candidates(Scratch(levels.rows), levels.rows), {}
    for stage in stages_of(levels):
        stage.bound(rotated, candidates, IntraQueryParallelism())
        if stage.name == "coarse":
            estimates, upper_bounds = candidates.coarse_estimates, candidates.coarse_upper_bounds
        else:
            estimates, upper_bounds = candidates.estimates, candidates.upper_bounds
        found[stage.name] = estimates[: levels.rows].copy(), upper_bounds[: levels.rows].copy()
        candidates.keep(np.float32(-np.inf))
    return found, candidates.block_maxima


def test_coarse_kernel_is_its_reference_to_the_last_bit(levels, rotated, written):
    query = coarse.coarse_query(levels.fit, rotated)
    estimates, upper_bounds = coarse_bounds_reference(
        levels.arrays["coarse"].codes, levels.arrays["coarse"].bounds,
        query.digits, coarse.SEGMENTS.starts, query.scales, query.weights,
    )  # fmt: skip
    found, block_maxima = written
    assert found["coarse"][0].tolist() == estimates[: levels.rows].tolist()
    assert found["coarse"][1].tolist() == upper_bounds[: levels.rows].tolist()
    by_block = upper_bounds.reshape(-1, layout.BLOCK_ROWS)
    assert block_maxima.tolist() == by_block.max(axis=1).tolist()


@pytest.mark.parametrize("first", [0, 3, 100, 490, 499])
@pytest.mark.parametrize("step", [1, 2, 7, 40, 500], ids="every {}".format)
def test_coarse_kernel_leaves_out_the_rows_that_may_not_be_found(
    levels, rotated, written, first, step
):
    allowed = np.zeros(levels.rows, np.bool_)
    allowed[first::step] = True
    candidates = Candidates(Scratch(levels.rows), levels.rows, allowed=allowed)
    candidates.coarse_estimates[:] = candidates.coarse_upper_bounds[:] = (
        np.inf
    )  # of a search before

    stages_of(levels)[0].bound(rotated, candidates, IntraQueryParallelism())

    estimates, upper_bounds = written[0]["coarse"]
    found = candidates.coarse_upper_bounds[: levels.rows]
    assert found.tolist() == np.where(allowed, upper_bounds, -np.inf).tolist()
    found = candidates.coarse_estimates[: levels.rows]
    assert found.tolist() == np.where(allowed, estimates, -np.inf).tolist()
    by_block = candidates.coarse_upper_bounds.reshape(-1, layout.BLOCK_ROWS)
    assert candidates.block_maxima.tolist() == by_block.max(axis=1).tolist()


@pytest.mark.parametrize("count", [2, 3, 4])
def test_coarse_kernel_writes_for_each_of_several_queries_what_it_writes_for_one(
    database, levels, count
):
    stage = stages_of(levels)[0]
    masks = [None, np.arange(levels.rows) % 3 > 0, np.arange(levels.rows) > 200, None]
    queries = [
        RotatedQuery(levels.fit, [part[row] for part in database], WEIGHTS) for row in range(count)
    ]

    def candidates(scratch):
        return [Candidates(scratch, levels.rows, 7, allowed) for allowed in masks[:count]]

    together = candidates(Scratch(levels.rows))
    stage.bound_together(list(zip(queries, together, strict=True)), IntraQueryParallelism())

    for query, found, alone in zip(
        queries, together, candidates(Scratch(levels.rows)), strict=True
    ):
        stage.bound(query, alone, IntraQueryParallelism())
        assert found.coarse_estimates.tolist() == alone.coarse_estimates.tolist()
        assert found.coarse_upper_bounds.tolist() == alone.coarse_upper_bounds.tolist()
        assert found.block_maxima.tolist() == alone.block_maxima.tolist()


@pytest.mark.parametrize(
    ("level", "before", "rounded", "unpacked", "size"),
    [
        ("middle", "coarse", middle.middle_query, layout.MIDDLE_TABLE.unpacked, None),
        ("residual", "middle", residual.residual_query, layout.unpacked_residual, layout.LINE),
    ],
)
def test_middle_and_residual_kernels_are_their_reference(
    levels, rotated, written, level, before, rounded, unpacked, size
):
    query, (found, _) = rounded(levels.fit, rotated), written
    arrays = levels.arrays[level]
    starts = middle.SEGMENTS.starts if size is None else np.arange(0, len(query.digits), size)
    estimates, upper_bounds = row_bounds_reference(
        unpacked(arrays.codes), arrays.bounds,
        found[before][0], query.digits, query.scales, query.terms, starts,
    )  # fmt: skip
    assert found[level][0] == pytest.approx(estimates, rel=0, abs=FLOAT32_ROUNDING)
    assert found[level][1] == pytest.approx(upper_bounds, rel=0, abs=FLOAT32_ROUNDING)


@pytest.mark.parametrize("alphas", [(3.0, 1.0), (0.0, 2.0), (1e6, 1e6)])
def test_byte_kernel_is_its_reference_to_the_last_bit(database, levels, alphas):
    offsets = levels.fit.parameters.code_offsets
    descriptors, level = [part[3] for part in database], levels.arrays["bytes"]
    query = byte.byte_query(descriptors, offsets)
    rows = np.array([499, 0, 3, 3, 128], np.int32)
    found = np.empty((2, len(rows)))
    assert byte_bounds(
        -1, 0, level.codes, level.bounds, rows,
        query.high, query.low, query.starts, query.terms, np.array(alphas), LONGEST, *found,
    ) == -1  # fmt: skip
    expected = byte_bounds_reference(
        level.codes[rows], level.bounds[rows],
        query.high, query.low, query.starts, query.terms, np.array(alphas), LONGEST,
    )  # fmt: skip
    assert found[0].tolist() == expected[0].tolist()
    assert found[1].tolist() == expected[1].tolist()


def test_byte_query_is_the_nearest_in_whole_digits():
    rng, offsets = np.random.default_rng(35), (0, 128)
    descriptors = [unit_vectors(rng, 1, size)[0] for size in (60, 700)]
    query = byte.byte_query(descriptors, offsets)
    whole = HIGH_DIGIT * query.high.astype(np.int64) + query.low
    for backbone, (descriptor, offset) in enumerate(zip(descriptors, offsets, strict=True)):
        own = whole[query.starts[backbone] :][: len(descriptor)]
        exact = descriptor.astype(np.float64)
        unit, shift, norm, lost = query.terms[backbone]
        assert np.abs(own).max() == LARGEST_HIGH * HIGH_DIGIT
        assert own.tolist() == np.rint(exact / unit).tolist()
        assert shift == offset * own.sum()
        assert norm == pytest.approx(np.linalg.norm(exact), rel=1e-8)
        assert norm >= np.linalg.norm(exact)
        assert lost == pytest.approx(np.linalg.norm(exact - own * unit), rel=1e-6)


@pytest.mark.parametrize("columns", [1, 31, 32, 100])
def test_inner_products_are_numpys(columns):
    rng = np.random.default_rng(columns)
    matrix, vector = unit_vectors(rng, 50, columns), rng.normal(size=columns)
    found = np.empty(50)
    dots(matrix, vector, found)
    assert found == pytest.approx(dots_reference(matrix, vector), rel=0, abs=1e-13)


@pytest.mark.parametrize("table", [layout.COARSE_TABLE, layout.MIDDLE_TABLE])
def test_no_two_codes_of_a_level_share_a_bit_and_none_is_unused(table):
    taken = np.zeros(8 * table.width, np.int64)
    for place, shift, bits in zip(table.byte_places, table.shifts, table.bits, strict=True):
        assert shift + bits <= 8
        taken[8 * place + shift : 8 * place + shift + bits] += 1
    assert taken.tolist() == [1] * len(taken)


def test_leading_axes_have_the_most_bits():
    bits = layout.COARSE_TABLE.axis_bits.tolist()
    assert bits == [8] * 16 + [6] * 48 + [4] * 64 + [2] * 192
    assert layout.MIDDLE_TABLE.axis_bits.tolist() == [8] * 16 + [6] * 176 + [6] * 64 + [4] * 512


def test_codes_lie_where_the_tables_say_and_stand_for_what_was_decoded(database, levels):
    fit = levels.fit
    with threadpool_limits(1, user_api="blas"):  # as the build of an index
        rows = rotate_rows(fit, database)
    exact, stored = rows.coordinates.astype(np.float64), np.zeros(rows.coordinates.shape)
    decoded = np.zeros_like(stored)
    written = {
        "coarse": layout.row_words(levels.arrays["coarse"].codes)[: levels.rows],
        "middle": levels.arrays["middle"].codes,
    }
    for level, table in (("coarse", layout.COARSE_TABLE), ("middle", layout.MIDDLE_TABLE)):
        codes, norms, _ = AxisCodes(table).encode(fit, rows, decoded)
        assert codes.tolist() == written[level].tolist()
        unpacked = table.unpacked(codes)
        for code, (axis, bits, step) in enumerate(
            zip(table.axes, table.bits, table.steps(fit.ranges), strict=True)
        ):
            left = exact[:, axis : axis + 1] - stored[:, axis : axis + 1]
            expected, values = encoders.codes_reference(left, np.array([step]), int(bits))
            assert unpacked[:, code].tolist() == expected[:, 0].tolist()
            stored[:, axis] += values[:, 0]
        assert decoded == pytest.approx(stored, rel=1e-12, abs=1e-15)
        axes = len(table.axis_bits)
        weights = 2 ** (0.85 / 2 * table.axis_bits)
        lost = np.linalg.norm((exact - stored)[:, :axes] * weights, axis=1)
        assert (norms >= lost).all()
        assert norms == pytest.approx(lost, rel=0.05, abs=1e-2)


def test_digits_are_those_of_the_reference():
    rng = np.random.default_rng(34)
    sizes, largest = np.array([32, 1, 64, 200]), np.array([16128, 127, 127, 127])
    coefficients = rng.normal(size=297) * np.repeat([1e3, 0, 1e-6, 1], sizes)
    middles = (2.0 ** rng.integers(1, 5, 297) - 1) / 2
    numbers, scales = np.empty(297), np.empty(4, np.float32)
    found = round_to_digits(coefficients, sizes, middles, largest, numbers, scales)
    expected = digits_reference(coefficients, sizes, middles, largest)
    assert numbers.tolist() == expected[0].tolist()
    assert scales.tolist() == expected[1].tolist()
    assert found == pytest.approx(expected[2], rel=1e-12)


def test_residual_codes_lie_where_the_layout_says():
    rng = np.random.default_rng(32)
    residuals, steps = rng.normal(size=(70, 1100)).astype(np.float32), rng.random(1100)
    steps = np.where(rng.random(1100) < 0.1, 0, steps).astype(np.float32)
    expected, stored = encoders.codes_reference(residuals, steps, layout.RESIDUAL_BITS)
    lost, codes = residuals.copy(), np.zeros((70, layout.residual_bytes(1100)), np.uint8)
    encoders.encode_residuals(lost, steps, codes)
    assert (layout.unpacked_residual(codes)[:, :1100] == expected).all()
    assert lost == pytest.approx(residuals - stored, rel=0, abs=1e-6)


def test_byte_codes_are_those_of_the_reference(database, levels):
    level, column = levels.arrays["bytes"], 0
    for backbone, part in enumerate(database):
        offset = levels.fit.parameters.code_offsets[backbone]
        codes, scales, lost = encoders.byte_codes_reference(part, offset)
        scale, residual_norm = level.bounds[:, 2 * backbone : 2 * backbone + 2].T
        assert (level.codes[:, column : column + part.shape[1]] == codes).all()
        assert scale.tolist() == scales.tolist()
        assert residual_norm == pytest.approx(np.linalg.norm(lost, axis=1), rel=1e-5, abs=1e-12)
        column += layout.byte_width(part.shape[1])


def test_words_of_rows_come_back_from_the_blocks_they_were_stored_in():
    rng = np.random.default_rng(33)
    blocks = np.zeros((3, 2, layout.STRIPE), np.uint8)
    stored = rng.integers(0, 256, (100, 8)).astype(np.uint8)
    layout.store_row_words(blocks, 70, stored)
    assert layout.row_words(blocks)[70:170].tolist() == stored.tolist()
    word = blocks[70 // 64, 1, 4 * (70 % 64) :][:4]
    assert word.tolist() == stored[0, 4:].tolist()


COMPUTE_ONE = f"""
import numpy as np
from {inner_products.__name__} import {dots.__name__} as dots
dots(np.zeros((1, 32), np.float32), np.zeros(32), np.zeros(1))
"""


def test_change_of_a_module_that_kernels_share_is_compiled_again(tmp_path: Path):
    """numba's cache by itself notices a change of a function's own file only."""
    package = tmp_path / retrieval_server.__name__
    shutil.copytree(
        ROOT / retrieval_server.__name__,
        package,
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    cache = tmp_path / "cache"

    def compiled_versions() -> int:
        variables = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
        command = [sys.executable, "-c", COMPUTE_ONE]
        subprocess.run(command, cwd=tmp_path, env=variables, check=True)
        return len(list(cache.rglob("*.nbi")))

    assert compiled_versions() == compiled_versions() == 1
    for shared in ("kernels/layout.py", "kernels/vector_instructions.py"):
        with (package / "exact_search" / shared).open("a") as file:
            file.write("# changed\n")
    assert compiled_versions() == 2
