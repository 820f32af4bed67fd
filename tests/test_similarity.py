"""Fused similarity, eq. (8), and the exact ranking, against brute force in float64."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval_server.similarity import ExactSearch, fused_similarity


def brute_force(database, query, alphas, top_k, exclude=None):
    """Eq. (8) and the tie rule, literally: correctly rounded sums, products in order, one sort."""
    scored = []
    for row in range(len(database[0])):
        if row == exclude:
            continue
        similarity = 1.0
        for features, q, alpha in zip(database, query, alphas, strict=True):
            cosine = math.fsum(float(a) * float(b) for a, b in zip(features[row], q, strict=True))
            similarity *= 1 + alpha * cosine
        scored.append((-similarity, row))
    best = sorted(scored)[:top_k]
    return [row for _, row in best], [-negative for negative, _ in best]


def exact_vectors(rng, count, dimension=20):
    """Unit vectors with 16 entries of ±1/4: their cosines are multiples of 1/16, without rounding.

    Such databases are full of real ties.
    """
    vectors = np.zeros((count, dimension), dtype=np.float32)
    for vector in vectors:
        vector[rng.permutation(dimension)[:16]] = rng.choice([-0.25, 0.25], 16)
    return vectors


def unit_vectors(rng, count, dimension):
    vectors = rng.normal(0.3, 1, (count, dimension))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_two_cosines_fuse_to_the_product_of_the_paper():
    # DenseNet201 with α = 3, SE-ResNet152 with α = 1: (1 + 3 · 0.5)(1 + 0.2) = 3.
    assert fused_similarity([0.5, 0.2], [3, 1]) == pytest.approx(3.0, abs=1e-15)


def test_negative_factors_are_taken_as_they_are():
    assert fused_similarity([-0.5, -0.5], [3, 3]) == 0.25
    assert fused_similarity([-0.5, 0.5], [3, 1]) == -0.75


def test_alpha_zero_switches_a_backbone_off():
    assert fused_similarity([0.9, 0.4], [0, 1]) == fused_similarity([-0.9, 0.4], [0, 1]) == 1.4


@settings(max_examples=1500, deadline=None)
@given(seed=st.integers(0, 2**32), data=st.data())
def test_ranking_equals_brute_force_among_ties_and_duplicates(seed, data):
    rng = np.random.default_rng(seed)
    count = data.draw(st.integers(1, 30))
    backbones = data.draw(st.integers(1, 5))
    database = [exact_vectors(rng, count) for _ in range(backbones)]
    copies = rng.integers(0, count, count // 2)
    for features in database:
        features[rng.permutation(count)[: len(copies)]] = features[copies]
        features[rng.random(count) < 0.1] = 0
    query = [exact_vectors(rng, 1)[0] for _ in range(backbones)]
    alphas = data.draw(
        st.lists(st.sampled_from([0, 0.5, 1, 3, 8]), min_size=backbones, max_size=backbones)
    )
    top_k = data.draw(st.integers(1, 12))
    exclude = data.draw(st.none() | st.integers(0, count - 1))

    ranking = ExactSearch(database).rank_all(query, alphas, top_k, exclude)

    rows, similarities = brute_force(database, query, alphas, top_k, exclude)
    assert ranking.rows.tolist() == rows
    assert ranking.similarities.tolist() == similarities


@pytest.mark.parametrize("alphas", [(3, 1), (0, 1), (0.01, 50), (1000, 1000)])
def test_ranking_equals_brute_force_on_descriptors_of_real_size(alphas):
    rng = np.random.default_rng(7)
    database = [unit_vectors(rng, 400, 1920), unit_vectors(rng, 400, 2048)]
    for features in database:  # near-duplicates, a float32 rounding apart
        features[200:300] = features[:100] * np.float32(1 + 1e-7)
    query = [features[3] for features in database]

    ranking = ExactSearch(database).rank_all(query, alphas, 50)

    rows, similarities = brute_force(database, query, alphas, 50)
    assert ranking.rows.tolist() == rows
    assert ranking.similarities == pytest.approx(similarities, rel=1e-14)


def test_similarities_that_float32_cannot_tell_apart_are_told_apart():
    # Cosines 1 and 1 - 2⁻³⁰ both round to 1 in float32; the better one has the larger row.
    small = np.float32(2.0**-15)
    query = np.array([1, small], dtype=np.float32)
    database = np.array([[1, -small], [1, 0]], dtype=np.float32)

    ranking = ExactSearch([database]).rank_all([query], [1.0], 1)

    assert ranking.rows.tolist() == [1]


def test_a_row_has_the_same_similarity_whatever_is_ranked_beside_it():
    rng = np.random.default_rng(8)
    database = [unit_vectors(rng, 300, 1280), unit_vectors(rng, 300, 777)]
    query = [unit_vectors(rng, 1, 1280)[0], unit_vectors(rng, 1, 777)[0]]
    search = ExactSearch(database)

    whole = search.rank_all(query, (3, 1), 300)

    by_row = dict(zip(whole.rows.tolist(), whole.similarities.tolist(), strict=True))
    for size in (1, 2, 3, 7, 64, 299):
        rows = rng.permutation(300)[:size]
        part = search.rank_rows(query, (3, 1), rows, size)
        for row, similarity in zip(part.rows, part.similarities, strict=True):
            assert similarity == by_row[row]


def test_permuting_the_database_permutes_the_answer():
    rng = np.random.default_rng(9)
    database = [unit_vectors(rng, 200, 320)]
    query = [unit_vectors(rng, 1, 320)[0]]
    order = rng.permutation(200)

    ranking = ExactSearch(database).rank_all(query, [2.0], 20)
    permuted = ExactSearch([database[0][order]]).rank_all(query, [2.0], 20)

    assert order[permuted.rows].tolist() == ranking.rows.tolist()
    assert permuted.similarities.tolist() == ranking.similarities.tolist()


def test_a_shorter_ranking_is_the_head_of_a_longer_one():
    rng = np.random.default_rng(10)
    database = [exact_vectors(rng, 100)]
    query = [exact_vectors(rng, 1)[0]]
    search = ExactSearch(database)

    longest = search.rank_all(query, [3.0], 100).rows.tolist()

    for top_k in (1, 3, 7, 50):
        assert search.rank_all(query, [3.0], top_k).rows.tolist() == longest[:top_k]


def test_an_all_zero_descriptor_counts_as_cosine_zero():
    database = [np.array([[0, 0], [-1, 0], [1, 0]], dtype=np.float32)]

    ranking = ExactSearch(database).rank_all([np.array([1, 0], np.float32)], [0.5], 3)

    assert ranking.rows.tolist() == [2, 0, 1]
    assert ranking.similarities.tolist() == [1.5, 1.0, 0.5]
