"""Each level's bound holds for every row, and is near for rows built to sit on it."""

import numpy as np
import pytest

from export.index.fit_search import fit_search
from retrieval_server.exact_search.cascade import CascadeSearch, CascadeSettings
from retrieval_server.exact_search.fused_bound import FusedBound
from retrieval_server.exact_search.kernels.encoders import codes_reference
from retrieval_server.exact_search.kernels.layout import COARSE_TABLE, RESIDUAL_BITS
from retrieval_server.exact_search.levels.axis_codes import AxisCodes
from retrieval_server.exact_search.levels.encoding import GrowingLevels
from retrieval_server.exact_search.levels.fitting import axes_loss
from retrieval_server.exact_search.levels.rotation import rotate_rows
from retrieval_server.exact_search.scan import ScanSearch
from retrieval_server.exact_search.similarity import fused_similarity
from tests.support.level_bounds import byte_bounds, level_bounds
from tests.support.made_up_databases import (
    ALPHAS,
    cascade,
    clustered_vectors,
    encoded,
    grown,
    random_database,
    random_query,
)


def exact_sums(database, query, weights):
    """L of every row, in float64."""
    return sum(
        weight * (part.astype(np.float64) @ vector.astype(np.float64))
        for part, vector, weight in zip(database, query, weights, strict=True)
    )


def random_levels(rng):
    """A random database, encoded; half of the time only a part of it was fitted to."""
    database = random_database(rng)
    rows = len(database[0])
    fitted = rows if rng.random() < 0.5 else int(rng.integers(1, rows + 1))
    levels = encoded(database, rng.choice([0.0, 1.0, 3.0], len(database)), fitted)
    if fitted < rows:
        levels = grown(levels, [part[fitted:] for part in database])
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
    rows, axes = rotate_rows(fit, database), len(fit.rotation)
    decoded = np.zeros(rows.coordinates.shape)
    AxisCodes(COARSE_TABLE).encode(fit, rows, decoded)
    lost_on_axes = (rows.coordinates - decoded)[:, : len(COARSE_TABLE.axis_bits)]
    weights_of_axes = 2 ** (0.85 / 2 * COARSE_TABLE.axis_bits)
    nearest = []
    for row in range(0, 300, 7):
        # |Pg / c| |c e| is ⟨Pg, e⟩ where Pg is parallel to c² e.
        lost = fit.rotation.astype(np.float64).T @ (weights_of_axes**2 * lost_on_axes[row])[:axes]
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
    ends = [(70, 71), (71, 150), (150, 200)]
    longer = grown(
        encoded([database[0][:70]], [1.0], fit=fit),
        *([database[0][first:last]] for first, last in ends),
    )
    assert longer.rows == whole.rows == 200
    query, one = [database[0][5]], np.array([1.0])
    bounds = zip(level_bounds(longer, query, one), level_bounds(whole, query, one), strict=True)
    for left, right in bounds:
        assert left == pytest.approx(right, abs=1e-3)
    assert longer.arrays["bytes"].codes.tolist() == whole.arrays["bytes"].codes.tolist()


def test_levels_that_were_read_stay_while_rows_are_appended():
    rng = np.random.default_rng(11)
    database = [clustered_vectors(rng, 200, 40)]
    levels = encoded([database[0][:70]], [1.0])
    growing, query = GrowingLevels(levels, [40]), database[0][5]
    read = []
    for first, last in ((70, 71), (71, 72), (72, 150), (150, 200)):
        growing.append([database[0][first:last]])
        search = CascadeSearch(
            [database[0][:last]], growing.levels, CascadeSettings(few_eligible=0)
        )
        read.append((last, search, search.rank_all([query], [1.0], last)))
    for last, search, ranking in read:
        assert search.levels.rows == last == len(ranking.rows)
        again = search.rank_all([query], [1.0], last)
        assert again.rows.tolist() == ranking.rows.tolist()
        assert again.similarities.tolist() == ranking.similarities.tolist()
