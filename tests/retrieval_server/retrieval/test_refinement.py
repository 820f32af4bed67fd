"""Refinement, Algorithm 1, against a literal transcription of the paper."""

from itertools import chain

import numpy as np
import pytest

from retrieval_server.exact_search.similarity import Ranking
from retrieval_server.retrieval.refinement import refine, text_subset
from retrieval_server.retrieval.search_result import Stage
from retrieval_server.text.neighbours import TextIndex
from tests.support.export.text_index_files import write_text_index

PRODUCTS = 24


def algorithm_1(ranking, neighbours, similarity, k, results=7):
    """Algorithm 1 of the paper; its silent corners as design.md settles them.

    The subset is a set without the seeds, and the initial ranking fills up what is missing.
    """
    output, subset = [], []
    for n in range(min(k, len(ranking))):
        subset += neighbours[ranking[n]]
    subset = sorted(set(subset) - set(ranking[:k]), key=lambda row: (-similarity[row], row))
    for n in range(results):
        if n < k and n < len(ranking):
            output.append(ranking[n])
        elif n - k < len(subset) and n >= k:
            output.append(subset[n - k])
    output += [row for row in ranking if row not in output]
    return output[:results]


def random_index(folder, rng, products, density):
    """A textual index with empty, short, long and overlapping lists."""
    neighbours = []
    for row in range(products):
        size = int(rng.integers(0, 1 + density))
        others = [other for other in range(products) if other != row]
        neighbours.append(rng.permutation(others)[:size].tolist())
    cosines = [sorted(rng.choice([0.7, 0.8, 0.9], len(n)), reverse=True) for n in neighbours]
    write_text_index(
        folder,
        np.cumsum([0, *map(len, neighbours)]),
        np.array([*chain(*neighbours)], dtype=np.int32),
        np.array([*chain(*cosines)]),
    )
    return TextIndex(folder), neighbours


def ranking_of(rows, similarity):
    """A ranking of some rows by one backbone."""
    order = sorted(rows, key=lambda row: (-similarity[row], row))
    similarities = np.array([similarity[row] for row in order], float)
    return Ranking(np.array(order, np.int64), similarities, similarities[:, None])


def refined(similarity, index, k, results=7, exclude=None):
    """What Algorithm 1 makes of a database whose rows have these similarities to the query."""
    initial = ranking_of(set(range(len(similarity))) - {exclude}, similarity).head(results)
    return refine(
        initial,
        lambda rows, top_k: ranking_of(rows.tolist(), similarity).head(top_k),
        index,
        k,
        results,
        exclude,
    )


def rows_and_stages(refinement):
    return [(match.row, match.stage) for match in refinement.matches]


@pytest.mark.parametrize("density", [0, 1, 3, 12, 23])
@pytest.mark.parametrize("products", [1, 2, 5, 24])
def test_thousands_of_random_cases_follow_algorithm_1(tmp_path, products, density):
    rng = np.random.default_rng((products, density))
    index, neighbours = random_index(tmp_path, rng, products, density)
    for _ in range(200):
        similarity = rng.choice([1.0, 2.0, 3.0, 4.0], products).tolist()
        ranking = sorted(range(products), key=lambda row: (-similarity[row], row))
        k = int(rng.integers(1, 8))

        rows = [match.row for match in refined(similarity, index, k).matches]

        assert rows == algorithm_1(ranking, neighbours, similarity, k)
        assert len(set(rows)) == len(rows) == min(7, products)


def test_refinement_never_loses_the_best_visual_matches(tmp_path):
    rng = np.random.default_rng(1)
    index, _ = random_index(tmp_path, rng, PRODUCTS, 12)
    similarity = rng.random(PRODUCTS).tolist()
    ranking = sorted(range(PRODUCTS), key=lambda row: -similarity[row])

    for k in range(1, 8):
        result = rows_and_stages(refined(similarity, index, k))
        assert result[:k] == [(row, Stage.INITIAL) for row in ranking[:k]]


@pytest.mark.parametrize("k", [3, 4, 100])
def test_keeping_all_results_is_the_initial_ranking(small_index, k):
    assert rows_and_stages(refined([1, 4, 2, 3], small_index, k, results=3)) == [
        (1, Stage.INITIAL), (3, Stage.INITIAL), (2, Stage.INITIAL),
    ]  # fmt: skip


def test_the_initial_ranking_fills_up_a_short_subset(tmp_path):
    write_text_index(
        tmp_path,
        np.array([0, 2, 2, 2, 2, 2, 2]),
        np.array([2, 5], np.int32),
        np.array([0.9, 0.7]),
    )

    result = refined([6, 5, 4, 3, 2, 1], TextIndex(tmp_path), k=2, results=5)

    assert rows_and_stages(result) == [
        (0, Stage.INITIAL), (1, Stage.INITIAL),
        (2, Stage.REFINED), (5, Stage.REFINED),
        (3, Stage.FILLED),
    ]  # fmt: skip
    assert result.subset_size == 2


@pytest.fixture
def small_index(tmp_path):
    """0 → 1 (0.9), 2 (0.7); 3 → 2 (0.8), 0 (0.8); the others have no neighbour."""
    write_text_index(
        tmp_path,
        np.array([0, 2, 2, 2, 4]),
        np.array([1, 2, 0, 2], dtype=np.int32),
        np.array([0.9, 0.7, 0.8, 0.8]),
    )
    return TextIndex(tmp_path)


def test_evidence_is_the_seed_with_the_most_similar_description(small_index):
    subset = text_subset(np.array([0, 3]), small_index)

    assert subset.rows.tolist() == [1, 2]
    assert subset.seeds.tolist() == [0, 1]
    assert subset.cosines == pytest.approx([0.9, 0.8], abs=1 / 65535)


def test_a_refined_match_carries_its_evidence(small_index):
    match = refined([4, 1, 2, 3], small_index, k=1, results=2).matches[1]

    assert (match.row, match.stage) == (2, Stage.REFINED)
    assert (match.text.seed_row, match.text.seed_rank) == (0, 1)
    assert match.text.cosine == pytest.approx(0.7, abs=1 / 65535)


def test_of_equally_similar_seeds_the_better_ranked_is_the_evidence(tmp_path):
    write_text_index(
        tmp_path, np.array([0, 1, 2, 2]), np.array([2, 2], np.int32), np.array([0.8, 0.8])
    )

    subset = text_subset(np.array([1, 0]), TextIndex(tmp_path))

    assert subset.seeds.tolist() == [0]


def test_seeds_and_the_excluded_product_are_not_in_the_subset(small_index):
    assert text_subset(np.array([3, 0]), small_index, exclude=1).rows.tolist() == [2]
    assert 1 not in [m.row for m in refined([4, 1, 2, 3], small_index, 2, 4, exclude=1).matches]
    assert text_subset(np.array([1]), small_index).rows.tolist() == []
