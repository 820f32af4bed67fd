"""The exact search is brute force: same rows, order and similarities, whatever the levels."""

from dataclasses import replace

import numpy as np
import pytest

from retrieval_server.exact_search.cascade import CascadeSearch, CascadeSettings
from retrieval_server.exact_search.groups import Groups
from retrieval_server.exact_search.kernels.layout import BLOCK_ROWS
from retrieval_server.exact_search.prepared_query import PreparedQuery
from retrieval_server.exact_search.row_factors import RowFactors
from retrieval_server.exact_search.scan import ScanSearch
from retrieval_server.exact_search.search import ExactWanted, SearchCounts
from retrieval_server.exact_search.shared_scan import finish
from retrieval_server.exact_search.similarity import fused_similarity
from tests.support.made_up_databases import (
    ALPHAS,
    best_of_groups,
    brute_force,
    cascade,
    clustered_vectors,
    encoded,
    exact_vectors,
    grown,
    normalised,
    random_database,
    random_factors,
    random_groups,
    random_query,
    random_rows,
    unit_vectors,
)

SEARCHES = {"scan": ScanSearch, "cascade": cascade}


@pytest.fixture(params=SEARCHES)
def search_over(request):
    return SEARCHES[request.param]


def assert_brute_force(
    search, database, query, alphas, top_k, exclude=None, allowed=None, factors=None, groups=None
):
    """Compare with float64 sums of numpy; where those are a rounding apart, either may win."""
    ranking = search.rank_all(query, alphas, top_k, exclude, allowed, factors, groups)
    cosines = np.stack(
        [
            part.astype(np.float64) @ vector.astype(np.float64)
            for part, vector in zip(database, query, strict=True)
        ],
        axis=1,
    )
    similarities = fused_similarity(cosines, alphas)
    rows = np.arange(len(similarities))
    scale = np.prod(1 + np.asarray(alphas))
    if factors is not None:
        similarities[factors.rows] *= factors.factors
        scale *= factors.largest
    if allowed is not None:
        rows = rows[allowed]
    if exclude is not None:
        rows = rows[rows != exclude]
    ordered = rows[np.lexsort((rows, -similarities[rows]))]
    best = best_of_groups(zip(similarities[ordered], ordered, strict=True), groups)[:top_k]
    expected = np.array([row for _, row in best], np.int64)
    assert len(ranking.rows) == len(expected) == len(set(ranking.rows.tolist()))
    assert set(ranking.rows.tolist()) <= set(rows.tolist())
    assert ranking.similarities == pytest.approx(similarities[expected], rel=0, abs=1e-12 * scale)
    assert ranking.similarities == pytest.approx(
        similarities[ranking.rows], rel=0, abs=1e-12 * scale
    )
    order = np.lexsort((ranking.rows, -ranking.similarities))
    assert order.tolist() == list(range(len(order)))
    same = ScanSearch(database).rank_all(query, alphas, top_k, exclude, allowed, factors, groups)
    assert ranking.rows.tolist() == same.rows.tolist()
    assert ranking.similarities.tolist() == same.similarities.tolist()
    assert ranking.cosines.tolist() == same.cosines.tolist()


def assert_floor(search, rng, wanted):
    """A search from a similarity on finds all that reach it, whether or not other rows do."""
    ranking = finish(search.ranking(wanted))
    if not len(ranking.rows):
        return
    floor = rng.choice([ranking.similarities[0] + 0.01, *ranking.similarities])
    found = finish(search.ranking(replace(wanted, floor=floor)))
    reaching = np.count_nonzero(ranking.similarities >= floor)
    assert found.rows[:reaching].tolist() == ranking.rows[:reaching].tolist()
    assert found.similarities[:reaching].tolist() == ranking.similarities[:reaching].tolist()
    assert (found.similarities[reaching:] < floor).all()


def test_a_prepared_query_serves_several_databases_with_one_fit():
    """Another fit, or other weights, are another rotation."""
    rng = np.random.default_rng(21)
    database = [clustered_vectors(rng, 300, 40) for _ in range(2)]
    query = [part[7] for part in database]
    first, second = ([part[rows] for part in database] for rows in (slice(150), slice(150, 300)))
    fit = encoded(first, [3, 1]).fit
    settings = CascadeSettings(probes=4, few_rows=0, few_eligible=0)
    searches = [
        (rows, CascadeSearch(rows, encoded(rows, [3, 1], fit=each), settings))
        for rows, each in ((first, fit), (second, fit), (second, None))
    ]
    prepared = PreparedQuery.of(query)
    assert PreparedQuery.of(prepared) is prepared
    for alphas in ((3, 1), (1, 3)):
        for rows, search in searches:
            assert_brute_force(search, rows, prepared, alphas, 5)


@pytest.mark.parametrize("batch", range(15))
def test_ranking_equals_brute_force_on_random_databases(batch):
    for number in range(100):
        rng = np.random.default_rng([batch, number])
        database = random_database(rng)
        if rng.random() < 0.25:
            database = [part.astype(np.float16) for part in database]
        rows = len(database[0])
        fitted = rows if rng.random() < 0.5 else int(rng.integers(1, rows + 1))
        levels = encoded(database, rng.choice([0.0, 1.0, 3.0], len(database)), fitted)
        if fitted < rows:
            levels = grown(levels, [part[fitted:] for part in database])
        few_rows, probes = int(rng.choice([0, 10, 4000])), int(rng.integers(1, 20))
        few_eligible = int(rng.choice([0, 10, 4000]))
        search = CascadeSearch(
            database,
            levels,
            CascadeSettings(few_rows=few_rows, few_eligible=few_eligible, probes=probes),
        )
        for _ in range(2):
            query = random_query(rng, database)
            alphas = rng.choice(ALPHAS, len(database)).tolist()
            exclude = int(rng.integers(rows)) if rng.random() < 0.5 else None
            allowed = random_rows(rng, rows) if rng.random() < 0.5 else None
            top_k = int(rng.integers(1, 12))
            factors = random_factors(rng, rows)
            for beside in (
                {},
                {"factors": factors},
                {"groups": random_groups(rng, rows), "factors": rng.choice([None, factors])},
            ):
                assert_brute_force(
                    search, database, query, alphas, top_k, exclude, allowed, **beside
                )
            wanted = ExactWanted(query, alphas, top_k, exclude, allowed, **beside)
            assert_floor(search, rng, wanted)


@pytest.mark.parametrize("seed", range(150))
def test_ranking_equals_brute_force_among_ties_and_duplicates(search_over, seed):
    rng = np.random.default_rng(seed)
    rows, backbones = int(rng.integers(1, 30)), int(rng.integers(1, 6))
    database = [exact_vectors(rng, rows) for _ in range(backbones)]
    copies = rng.integers(0, rows, rows // 2)
    for part in database:
        part[rng.permutation(rows)[: len(copies)]] = part[copies]
        part[rng.random(rows) < 0.1] = 0
    query = [exact_vectors(rng, 1)[0] for _ in range(backbones)]
    alphas = rng.choice([0.0, 0.5, 1.0, 3.0, 8.0], backbones).tolist()
    top_k, exclude = int(rng.integers(1, 12)), rng.choice([None, int(rng.integers(rows))])
    beside = {"factors": random_factors(rng, rows), "groups": random_groups(rng, rows)}
    if rng.random() < 0.5:
        del beside["groups"]

    ranking = search_over(database).rank_all(query, alphas, top_k, exclude, **beside)

    expected, similarities = brute_force(database, query, alphas, top_k, exclude, **beside)
    assert ranking.rows.tolist() == expected
    assert ranking.similarities.tolist() == similarities


def test_ranking_equals_brute_force_on_descriptors_of_real_size_for_any_alpha():
    rng = np.random.default_rng(7)
    database = [
        clustered_vectors(rng, 400, 1280),
        clustered_vectors(rng, 400, 1000, rectified=True),
    ]
    for part in database:  # near-duplicates, a float32 rounding apart
        part[200:300] = part[:100] * np.float32(1 + 1e-7)
    query = [part[3] for part in database]
    search = cascade(database, (3, 1))

    for alphas in [(3, 1), (0, 1), (0.01, 50), (1000, 1000), (1e6, 1e6)]:
        rows, similarities = brute_force(database, query, alphas, 50)
        for exact in (search, ScanSearch(database)):
            ranking = exact.rank_all(query, alphas, 50)
            assert ranking.rows.tolist() == rows
            assert ranking.similarities == pytest.approx(similarities, rel=1e-12)


@pytest.mark.parametrize("alphas", [(3.0, 3.0), (30.0, 30.0), (1e6, 1e6)])
def test_two_very_unlike_backbones_win_by_the_product_of_negative_factors(search_over, alphas):
    rng = np.random.default_rng(11)
    database = [unit_vectors(rng, 300, 40), unit_vectors(rng, 300, 50)]
    query = [-part[123] for part in database]
    for part, vector in zip(database, query, strict=True):
        part[7] = normalised(part[7] + 2 * vector[None])[0]

    ranking = search_over(database).rank_all(query, alphas, 5)

    assert ranking.rows.tolist() == brute_force(database, query, alphas, 5)[0]
    assert 123 in ranking.rows


@pytest.mark.parametrize("count", [0, 1, 5, 6, 7, 100, 300])
def test_ranking_of_allowed_rows_is_that_of_a_database_of_these_rows(search_over, count):
    rng = np.random.default_rng([16, count])
    database = [clustered_vectors(rng, 300, 60, True), clustered_vectors(rng, 300, 50)]
    search = search_over(database)
    for _ in range(5):
        query, rows = random_query(rng, database), np.sort(rng.permutation(300)[:count])
        allowed = np.isin(np.arange(300), rows)
        ranking = search.rank_all(query, (3, 1), 6, allowed=allowed)
        alone = ScanSearch([part[rows] for part in database]).rank_all(query, (3, 1), 6)
        assert ranking.rows.tolist() == rows[alone.rows].tolist()
        assert ranking.similarities.tolist() == alone.similarities.tolist()
        assert ranking.cosines.tolist() == alone.cosines.tolist()


@pytest.mark.parametrize("blocks", [4, 12], ids=["few lines are read", "many lines are read"])
def test_codes_of_blocks_without_an_allowed_row_are_not_read(blocks):
    rng = np.random.default_rng(17)
    database = [clustered_vectors(rng, 1000, 60)]
    search = cascade(database)
    search.levels.arrays["coarse"].codes[blocks:] = 255  # what a wrong read would find
    allowed = np.zeros(1000, np.bool_)
    allowed[: blocks * BLOCK_ROWS : 3] = True

    assert_brute_force(search, database, [database[0][9]], (3,), 7, allowed=allowed)


def test_factors_of_one_change_no_bit(search_over):
    rng = np.random.default_rng(14)
    database = [clustered_vectors(rng, 300, 60, True), clustered_vectors(rng, 300, 50)]
    search = search_over(database)

    for row in range(20):
        query, rows = [part[row] for part in database], rng.permutation(300)[:100]
        nothing = RowFactors(np.empty(0, np.int32), np.empty(0))
        ones = RowFactors(np.arange(0, 300, 3, dtype=np.int32), np.ones(100))
        for factors in (nothing, ones):
            for plain, factored in (
                (
                    search.rank_all(query, (3, 1), 7),
                    search.rank_all(query, (3, 1), 7, factors=factors),
                ),
                (
                    search.rank_rows(query, (3, 1), rows, 7),
                    search.rank_rows(query, (3, 1), rows, 7, factors),
                ),
            ):
                assert factored.rows.tolist() == plain.rows.tolist()
                assert factored.similarities.tolist() == plain.similarities.tolist()
                assert factored.cosines.tolist() == plain.cosines.tolist()


def test_a_factor_lowers_a_negative_similarity(search_over):
    database = [np.array([[-1, 0], [-0.6, -0.8], [0, 1]], np.float32)]
    query = [np.array([1, 0], np.float32)]
    factors = RowFactors(np.array([1], np.int32), np.array([3.0]))

    ranking = search_over(database).rank_all(query, [3.0], 3, factors=factors)

    assert ranking.rows.tolist() == [2, 0, 1]  # -0.8 is more than -2, but three times -0.8 is not
    assert ranking.similarities == pytest.approx([1.0, -2.0, -2.4])


def test_subset_with_factors_and_groups_is_ranked_as_the_whole_is(search_over):
    rng = np.random.default_rng(15)
    database = [unit_vectors(rng, 300, 640), unit_vectors(rng, 300, 77)]
    search = search_over(database)

    for size in (0, 1, 7, 64, 299):
        query, rows = random_query(rng, database), rng.permutation(300)[:size]
        factors = random_factors(rng, 300)
        allowed = np.isin(np.arange(300), rows)
        for groups in (None, random_groups(rng, 300)):
            part = search.rank_rows(query, (3, 1), rows, 20, factors, groups)
            whole = search.rank_all(query, (3, 1), 20, None, allowed, factors, groups)
            assert part.rows.tolist() == whole.rows.tolist()
            assert part.similarities.tolist() == whole.similarities.tolist()


def test_no_alpha_at_all_makes_every_similarity_one_and_takes_the_first_rows(search_over):
    database = [unit_vectors(np.random.default_rng(1), 200, 30)]
    allowed = np.ones(200, np.bool_)
    allowed[[0, 3]] = False

    groups = Groups((np.arange(200) // 5).astype(np.int32), 40)

    search = search_over(database)
    ranking = search.rank_all([database[0][9]], [0.0], 4, 1, allowed)
    grouped = search.rank_all([database[0][9]], [0.0], 4, 1, allowed, groups=groups)

    assert ranking.rows.tolist() == [2, 4, 5, 6]
    assert ranking.similarities.tolist() == [1, 1, 1, 1]
    assert grouped.rows.tolist() == [2, 5, 10, 15]


def test_many_rows_of_few_groups_are_neither_bounded_nor_read_one_by_one():
    rng = np.random.default_rng(3)
    database = [clustered_vectors(rng, 6000, 300, rectified=True)]
    groups = Groups(rng.integers(0, 4, 6000).astype(np.int32), 4)
    query, counts = [database[0][17]], SearchCounts()

    ranking = cascade(database).rank_all(query, [3.0], 7, groups=groups, counts=counts)

    assert_brute_force(cascade(database), database, query, [3.0], 7, groups=groups)
    assert len(ranking.rows) == 4
    assert counts["originals"] < 300, counts
    assert counts["bytes"] < 3000, counts


def test_equal_rows_come_in_their_order(search_over):
    database = [np.repeat(unit_vectors(np.random.default_rng(2), 1, 70), 5000, axis=0)]

    ranking = search_over(database).rank_all([database[0][0]], [3.0], 7, exclude=2)

    assert ranking.rows.tolist() == [0, 1, 3, 4, 5, 6, 7]


def test_rows_appended_far_from_the_fit_are_found(search_over):
    rng = np.random.default_rng(3)
    fitted = [clustered_vectors(rng, 500, 60, rectified=True) for _ in range(2)]
    strange = [normalised(rng.normal(size=(100, 60))) for _ in range(2)]
    database = [np.concatenate(parts) for parts in zip(fitted, strange, strict=True)]
    levels = grown(encoded(fitted, [3, 1]), strange)
    search = CascadeSearch(database, levels, CascadeSettings(probes=4, few_rows=0))

    assert len(levels.outliers)
    assert levels.rectified == (False, False)
    for row in range(500, 600):
        query = [part[row] for part in database]
        assert search.rank_all(query, (3, 1), 1).rows.tolist() == [row]
        assert_brute_force(search, database, query, (3, 1), 7)


def test_subset_is_ranked_as_the_whole_is(search_over):
    rng = np.random.default_rng(8)
    database = [unit_vectors(rng, 300, 1280), unit_vectors(rng, 300, 777)]
    query = [unit_vectors(rng, 1, 1280)[0], unit_vectors(rng, 1, 777)[0]]
    search = search_over(database)
    whole = search.rank_all(query, (3, 1), 300)
    by_row = dict(zip(whole.rows.tolist(), whole.similarities.tolist(), strict=True))

    for size in (0, 1, 2, 3, 7, 64, 299):
        rows = rng.permutation(300)[:size]
        part = search.rank_rows(query, (3, 1), rows, 20)

        expected = [row for row in whole.rows.tolist() if row in set(rows.tolist())][:20]
        assert part.rows.tolist() == expected
        assert part.similarities.tolist() == [by_row[row] for row in expected]


def test_similarities_that_float32_cannot_tell_apart_are_told_apart(search_over):
    # Cosines 1 and 1 - 2⁻³⁰ both round to 1 in float32; the better one has the larger row.
    small = np.float32(2.0**-15)
    query = np.array([1, small], dtype=np.float32)
    database = np.array([[1, -small], [1, 0]], dtype=np.float32)

    assert search_over([database]).rank_all([query], [1.0], 1).rows.tolist() == [1]


def test_permuting_the_database_permutes_the_answer(search_over):
    rng = np.random.default_rng(9)
    database = [unit_vectors(rng, 200, 320)]
    query = [unit_vectors(rng, 1, 320)[0]]
    order = rng.permutation(200)

    ranking = search_over(database).rank_all(query, [2.0], 20)
    permuted = search_over([database[0][order]]).rank_all(query, [2.0], 20)

    assert order[permuted.rows].tolist() == ranking.rows.tolist()
    assert permuted.similarities.tolist() == ranking.similarities.tolist()


def test_a_shorter_ranking_is_the_head_of_a_longer_one(search_over):
    rng = np.random.default_rng(10)
    database = [exact_vectors(rng, 100)]
    query = [exact_vectors(rng, 1)[0]]
    search = search_over(database)

    longest = search.rank_all(query, [3.0], 100).rows.tolist()

    for top_k in (1, 3, 7, 50):
        assert search.rank_all(query, [3.0], top_k).rows.tolist() == longest[:top_k]


def test_an_all_zero_descriptor_counts_as_cosine_zero(search_over):
    database = [np.array([[0, 0], [-1, 0], [1, 0]], dtype=np.float32)]

    ranking = search_over(database).rank_all([np.array([1, 0], np.float32)], [0.5], 3)

    assert ranking.rows.tolist() == [2, 0, 1]
    assert ranking.similarities.tolist() == [1.5, 1.0, 0.5]


def test_half_precision_originals_are_the_database_to_be_exact_about(search_over):
    rng = np.random.default_rng(12)
    database = [unit_vectors(rng, 300, 100).astype(np.float16) for _ in range(2)]

    for row in range(0, 300, 10):
        query = [part[row].astype(np.float32) for part in database]
        ranking = search_over(database).rank_all(query, (3, 1), 7)
        rows, similarities = brute_force(database, query, (3, 1), 7)
        assert ranking.rows.tolist() == rows
        assert ranking.similarities == pytest.approx(similarities, rel=1e-13)


def test_each_level_leaves_fewer_rows_to_the_next():
    rng = np.random.default_rng(13)
    database = [clustered_vectors(rng, 6000, 300, True), clustered_vectors(rng, 6000, 400, True)]
    search = CascadeSearch(database, encoded(database, (3, 1)), CascadeSettings(few_rows=0))
    query = [normalised(part[:1] + 0.01 * rng.random(part[:1].shape))[0] for part in database]
    counts = SearchCounts()

    ranking = search.rank_all(query, (3, 1), 7, counts=counts)

    assert ranking.rows[0] == 0
    assert counts["coarse"] == 6000 > counts["middle"] >= counts["residual"]
    assert counts["originals"] <= 40
