"""Whenever the certificate says that a ranking is proved, brute force agrees.

``pytest -s`` prints how often it says so, and at how many candidates.
"""

import sys
from collections import Counter

import numpy as np
import pytest

from retrieval_server.exact_search.groups import Groups
from retrieval_server.exact_search.proof import Guarantee
from retrieval_server.exact_search.row_factors import RowFactors
from retrieval_server.stores import store_search
from retrieval_server.stores.candidate_store import Selection, StoredRows
from retrieval_server.stores.store_search import StoreSearch
from retrieval_server.stores.stored_groups import StoredGroups
from tests.support.array_store import ArrayStore
from tests.support.made_up_databases import (
    ALPHAS,
    brute_force,
    clustered_vectors,
    normalised,
    random_database,
    random_factors,
    random_groups,
    random_query,
)


def search_of(store, budget_s=60.0):
    return StoreSearch(store, len(store.vectors), store.vectors.nbytes, budget_s)


def rows_of(store, excluded):
    return StoredRows(store, Selection(excluded=excluded))


def made_up(seed, rows=3000):
    """Two backbones as the paper's: the first may have negative cosines, the second not."""
    rng = np.random.default_rng(seed)
    database = [clustered_vectors(rng, rows, 60), clustered_vectors(rng, rows, 40, rectified=True)]
    query = [
        normalised(part[rng.integers(rows)][None] + 0.05 * rng.random((1, part.shape[1])))[0]
        for part in database
    ]
    return database, query


@pytest.fixture
def short_lists(monkeypatch):
    """Lists that are shorter than the small databases of the tests."""
    monkeypatch.setattr(store_search, "SHORTEST_LIST", 1)


COLUMN = "product"


def grouped(rng, rows):
    """Random groups, as numbers and as a column; groups of one row have no value now and then."""
    groups = random_groups(rng, rows)
    sizes = np.bincount(groups.numbers, minlength=groups.count)
    is_missing = (sizes == 1) & (rng.random(groups.count) < 0.5)
    values = [None if is_missing[n] else f"product {n}" for n in groups.numbers.tolist()]
    return groups, values


@pytest.mark.parametrize("has_groups", [False, True], ids=["rows", "groups"])
@pytest.mark.parametrize("has_factors", [False, True], ids=["photo", "words"])
@pytest.mark.parametrize("batch", range(2))
def test_a_proved_ranking_is_that_of_brute_force(batch, has_factors, has_groups, short_lists):
    """Random, copied and tied vectors, one to five backbones, any α, negative cosines."""
    verdicts, candidates = Counter(), []
    for number in range(60):
        rng = np.random.default_rng([17, batch, has_factors, has_groups, number])
        database = random_database(rng)
        query = random_query(rng, database)
        alphas = rng.choice(ALPHAS, len(database)).tolist()
        top_k = int(rng.integers(1, 12))
        excluded = frozenset(rng.integers(0, len(database[0]), rng.integers(0, 3)).tolist())
        factors = random_factors(rng, len(database[0])) if has_factors else None
        groups, values = grouped(rng, len(database[0])) if has_groups else (None, [])
        store = ArrayStore(database, columns={COLUMN: values})
        store.longest_list = int(rng.choice([20, 80, 400]))  # so that some are not proved
        of_store = StoredGroups(store, COLUMN, groups.count) if groups else None

        ranking = search_of(store).rank_all(
            query, alphas, top_k, None, rows_of(store, excluded), factors, of_store
        )

        verdicts[ranking.proof.guarantee] += 1
        allowed = ~np.isin(np.arange(len(database[0])), list(excluded))
        if ranking.proof.guarantee is Guarantee.EXACT:
            candidates.append(ranking.proof.candidates / max(1, allowed.sum()))
            rows, similarities = brute_force(
                database, query, alphas, top_k, None, allowed, factors, groups
            )
            assert ranking.rows.tolist() == rows
            np.testing.assert_allclose(ranking.similarities, similarities, rtol=1e-12, atol=1e-12)
        else:
            assert ranking.proof.reason
    sys.stdout.write(
        f"{verdicts[Guarantee.EXACT]} of {verdicts.total()} proved, at a median of "
        f"{np.median(candidates):.0%} of the rows\n"
    )
    assert verdicts[Guarantee.EXACT] > verdicts[Guarantee.NONE] > 0


def test_most_queries_need_one_short_list():
    lengths = []
    for seed in range(20):
        database, query = made_up(seed)
        store = ArrayStore(database)
        ranking = search_of(store).rank_all(query, (3.0, 1.0), 7)
        assert ranking.rows.tolist() == brute_force(database, query, (3.0, 1.0), 7)[0]
        if ranking.proof.guarantee is Guarantee.EXACT:
            lengths.append(ranking.proof.candidates)
    sys.stdout.write(f"{len(lengths)} of 20 proved, at a median of {np.median(lengths)} rows\n")
    assert len(lengths) == 20
    assert np.median(lengths) == store_search.SHORTEST_LIST


@pytest.mark.parametrize(("noise", "is_proved"), [(0.2, True), (0.02, False)])
def test_thousands_of_images_of_one_product_do_not_fill_the_lists(noise, is_proved):
    """2,000 of 3,000 images are of one product, and more similar than all others.

    Where they are nearly the same image, the best of them is not proved to be the best.
    """
    rng = np.random.default_rng(8)
    database, query = made_up(8)
    near = rng.permutation(3000)[:2000]
    for part, wanted in zip(database, query, strict=True):
        part[near] = normalised(wanted + noise * rng.random((2000, len(wanted))))
    numbers = (np.arange(3000) // 4).astype(np.int32)
    numbers[near] = 750
    store = ArrayStore(database, columns={COLUMN: numbers.tolist()})
    store.longest_list = 512

    ranking = search_of(store).rank_all(
        query, (3.0, 1.0), 7, groups=StoredGroups(store, COLUMN, 751)
    )

    expected = brute_force(database, query, (3.0, 1.0), 7, groups=Groups(numbers, 751))
    assert ranking.rows.tolist() == expected[0]
    assert (ranking.proof.guarantee is Guarantee.EXACT) == is_proved
    assert ranking.proof.candidates < 1100


def test_a_row_that_only_its_factor_brings_among_the_best_is_found():
    database, query = made_up(9)
    plain = search_of(ArrayStore(database)).rank_all(query, (3.0, 1.0), 3000)
    far = plain.rows[2000]
    factor = 1.5 * plain.similarities[0] / plain.similarities[2000]
    factors = RowFactors(np.array([far], np.int32), np.array([factor]))
    store = ArrayStore(database)

    ranking = search_of(store).rank_all(query, (3.0, 1.0), 7, factors=factors)

    assert ranking.rows.tolist() == [far, *plain.rows[:6]]
    assert (ranking.proof.guarantee, store.lists) == (Guarantee.EXACT, [128])


def test_two_negative_factors_prove_nothing():
    """The opposite of the query has the largest product, and the smallest sum of all."""
    rng = np.random.default_rng(3)
    database = [normalised(rng.normal(size=(400, 20))) for _ in range(2)]
    query = [-part[9] for part in database]
    store = ArrayStore(database)
    store.longest_list = 300

    missed = search_of(store).rank_all(query, (30.0, 30.0), 1)
    store.longest_list = 401
    found = search_of(store).rank_all(query, (30.0, 30.0), 1)

    assert missed.proof.guarantee is Guarantee.NONE
    assert "negative factors" in missed.proof.reason
    assert (found.rows.tolist(), found.proof.guarantee) == ([9], Guarantee.EXACT)


def test_an_approximate_index_is_proved_for_its_list_only():
    database, query = made_up(1)
    best = brute_force(database, query, (3.0, 1.0), 7)[0]
    store = ArrayStore(database, missing=best[:2])

    ranking = search_of(store).rank_all(query, (3.0, 1.0), 5)

    assert ranking.rows.tolist() == best[2:]
    assert ranking.proof.guarantee is Guarantee.EXACT_FOR_LIST
    assert ranking.proof.reason.startswith("The engine's index is HNSW, which may miss products")


def test_a_short_list_of_an_approximate_index_is_not_taken_for_everything():
    database, query = made_up(2, rows=100)
    store = ArrayStore(database, missing=range(5, 95))

    ranking = search_of(store).rank_all(query, (3.0, 1.0), 20)

    assert len(ranking.rows) == 10
    assert ranking.proof.guarantee is Guarantee.NONE


def test_compressed_vectors_prove_nothing_and_the_similarities_are_exact():
    database, query = made_up(4)
    ranking = search_of(ArrayStore(database, digits=2)).rank_all(query, (3.0, 1.0), 5)

    assert ranking.proof.guarantee is Guarantee.NONE
    assert "holds compressed vectors" in ranking.proof.reason
    exact = search_of(ArrayStore(database)).rank_rows(query, (3.0, 1.0), ranking.rows, 5)
    assert exact.similarities.tolist() == ranking.similarities.tolist()


@pytest.mark.parametrize("alphas", [(0.0, 0.0), (3.0, 1.0)], ids=["no alpha", "empty query"])
def test_where_all_are_equally_similar_the_first_rows_are_found(alphas):
    database, query = made_up(5)
    if any(alphas):
        query = [np.zeros_like(part) for part in query]
    store = ArrayStore(database)
    allowed = rows_of(store, frozenset(range(1, 2000)))

    ranking = search_of(store).rank_all(query, alphas, 3, allowed=allowed)

    assert ranking.rows.tolist() == [0, 2000, 2001]
    assert ranking.similarities.tolist() == [1.0] * 3
    assert ranking.proof.guarantee is Guarantee.EXACT


def test_without_time_the_first_list_is_ranked_and_says_so(short_lists):
    database, query = made_up(6)
    copies = [np.repeat(part[:1], 100, axis=0) for part in database]
    ranking = search_of(ArrayStore(copies), budget_s=0.0).rank_all(query, (3.0, 1.0), 7)

    assert len(ranking.rows) == 7
    assert ranking.proof.guarantee is Guarantee.NONE
    assert ranking.proof.reason.startswith("14 candidates do not show")
    assert ranking.proof.reason.endswith("there was no time for more.")
