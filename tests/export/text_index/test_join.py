"""The join: exactly the pairs of brute force in float64, however it is shared out."""

import csv
import gzip
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from sklearn.preprocessing import normalize
from sparse_dot_topn import sp_matmul_topn

from benchmarks.listings import listings
from export.text_index import join as join_module
from export.text_index import pair_file
from export.text_index.join import join
from export.text_index.pair_file import PAIR, PairFile
from export.text_index.posting_lists import term_frequencies
from export.text_index.tfidf import count_terms
from retrieval_server.text.neighbours import COSINE_SCALE
from retrieval_server.text.tokens import strip_accents_tokens
from tests.support.paths import SHARED

NEAR_TIE = 1e-12  # cosines this close to τ are decided by the order of additions
ROUNDING = 0.5 / COSINE_SCALE + 1e-9
REAL_TITLES = SHARED / "data" / "text" / "beauty.csv.gz"
THRESHOLDS = (0.001, 0.3, 0.6, 0.9, 0.999)

Vectors = scipy.sparse.csr_matrix


def ignore(_: int) -> None:
    """No progress to report."""


def unit_rows(matrix: NDArray[np.float64] | Vectors) -> Vectors:
    vectors = normalize(scipy.sparse.csr_matrix(matrix, dtype=np.float64))
    vectors.eliminate_zeros()
    vectors.sort_indices()
    return vectors


def zipf_vectors(rows: int, terms: int, length: int, seed: int) -> Vectors:
    """Rows as descriptions are: few common terms, many rare ones, families of similar rows."""
    rng = np.random.default_rng(seed)
    rarity = 1 / np.arange(40, terms + 40)
    family = rng.choice(terms, (rows // 5 + 1, length), p=rarity / rarity.sum())
    own = rng.choice(terms, (rows, 2), p=rarity / rarity.sum())
    columns = np.hstack([family[rng.integers(0, len(family), rows)], own])
    weights = np.log(terms / (1 + np.arange(terms))) + 1
    matrix = scipy.sparse.csr_matrix(
        (weights[columns].ravel(), (np.repeat(np.arange(rows), columns.shape[1]), columns.ravel())),
        (rows, terms),
    )
    return unit_rows(matrix)


def joined(vectors: Vectors, threshold: float, **options: Any) -> dict[tuple[int, int], float]:
    """Pairs (smaller row, larger row) with their cosines."""
    with tempfile.TemporaryDirectory() as folder, PairFile(Path(folder)) as found:
        join(vectors, threshold, found, ignore, **options)
        pairs = np.concatenate([np.empty(0, PAIR), *found.chunks()])
        first, second = pairs["first"].astype(int), pairs["second"].astype(int)
        rows = zip(np.minimum(first, second), np.maximum(first, second), strict=True)
        result = dict(zip(rows, (pairs["cosine"] / COSINE_SCALE).tolist(), strict=True))
        assert len(result) == len(pairs), "a pair was found twice"
    return result


def check_against_brute_force(vectors: Vectors, threshold: float) -> None:
    found = joined(vectors, threshold)
    dense = vectors.toarray()
    cosines = dense @ dense.T
    upper = np.triu(np.ones_like(cosines, dtype=bool), 1)
    certain = upper & (cosines > threshold + NEAR_TIE)
    possible = upper & (cosines > threshold - NEAR_TIE)
    assert set(map(tuple, np.argwhere(certain))) <= set(found)
    assert set(found) <= set(map(tuple, np.argwhere(possible)))
    for pair, cosine in found.items():
        assert cosine == pytest.approx(cosines[pair], abs=ROUNDING)


WEIGHTS = st.sampled_from([0.0, 0.0, 0.0, 1.0, 1.0, 2.0, 0.1, 1e-3, 37.5])


@given(
    hnp.arrays(np.float64, st.tuples(st.integers(1, 12), st.integers(1, 6)), elements=WEIGHTS),
    st.sampled_from(THRESHOLDS),
)
def test_pairs_are_those_of_brute_force_for_any_rows(
    matrix: NDArray[np.float64], threshold: float
) -> None:
    check_against_brute_force(unit_rows(matrix), threshold)


@given(
    st.lists(st.integers(0, 3), min_size=2, max_size=10),
    st.integers(1, 3),
    st.integers(1, 3),
)
def test_duplicates_empty_rows_and_cosines_at_the_threshold_are_treated_alike(
    kinds: list[int], left: int, right: int
) -> None:
    # By kind: empty, (1, 0), (left, right) / norm, (0, 1): their cosines are known in closed form.
    rows = np.array([[0, 0], [1, 0], [left, right], [0, 1]], float)[kinds]
    threshold = left / np.hypot(left, right)
    check_against_brute_force(unit_rows(rows), threshold)
    check_against_brute_force(unit_rows(rows), np.nextafter(threshold, 0))


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_pairs_of_a_catalogue_are_those_of_brute_force(threshold: float) -> None:
    check_against_brute_force(zipf_vectors(600, 300, 8, seed=1), threshold)


@pytest.fixture(scope="module")
def large() -> tuple[Vectors, NDArray[np.int64]]:
    """20,000 rows, and the keys of their pairs above 0.6."""
    vectors = zipf_vectors(20_000, 20_000, 9, seed=2)
    return vectors, joined_keys(vectors, 0.6)


def brute_force_keys(
    vectors: Vectors, thresholds: tuple[float, ...]
) -> dict[float, NDArray[np.int64]]:
    """Keys of all pairs above each threshold, by scipy's float64 product in blocks of rows."""
    transposed = vectors.T.tocsr()
    keys: dict[float, list[NDArray[np.int64]]] = {threshold: [] for threshold in thresholds}
    for start in range(0, vectors.shape[0], 2_000):
        block = (vectors[start : start + 2_000] @ transposed).tocsr()
        block.data[block.data <= min(thresholds) - NEAR_TIE] = 0
        block.eliminate_zeros()
        entries = block.tocoo()
        rows, columns = entries.row.astype(np.int64) + start, entries.col.astype(np.int64)
        for threshold in thresholds:
            assert np.abs(entries.data - threshold).min() > NEAR_TIE
            above = (entries.data > threshold) & (rows < columns)
            keys[threshold].append((rows * vectors.shape[0] + columns)[above])
    return {threshold: np.sort(np.concatenate(found)) for threshold, found in keys.items()}


def joined_keys(vectors: Vectors, threshold: float) -> NDArray[np.int64]:
    with tempfile.TemporaryDirectory() as folder, PairFile(Path(folder)) as found:
        join(vectors, threshold, found, ignore)
        pairs = np.concatenate([np.empty(0, PAIR), *found.chunks()])
    rows = np.sort(np.stack([pairs["first"], pairs["second"]]).astype(np.int64), axis=0)
    return np.sort(rows[0] * vectors.shape[0] + rows[1])


def test_pairs_of_twenty_thousand_rows_are_those_of_brute_force(
    large: tuple[Vectors, NDArray[np.int64]],
) -> None:
    vectors, found = large
    assert len(found) > 20_000
    np.testing.assert_array_equal(found, brute_force_keys(vectors, (0.6,))[0.6])


def check_texts_against_brute_force(texts: list[str]) -> None:
    vectors = count_terms(texts, strip_accents_tokens).vectors()
    for threshold, expected in brute_force_keys(vectors, (0.4, 0.6, 0.8)).items():
        assert len(expected) > 1_000
        np.testing.assert_array_equal(joined_keys(vectors, threshold), expected)


def test_pairs_of_twenty_thousand_made_up_listings_are_those_of_brute_force() -> None:
    check_texts_against_brute_force(list(listings(20_000, seed=1)))


def test_pairs_of_twenty_thousand_real_titles_are_those_of_brute_force() -> None:
    if not REAL_TITLES.exists():
        pytest.skip(f"no real titles at {REAL_TITLES}")
    with gzip.open(REAL_TITLES, "rt", encoding="utf-8", newline="") as file:
        texts = [row["description"] for row in csv.DictReader(file)]
    check_texts_against_brute_force(texts[:20_000])


def test_pairs_are_those_of_sparse_dot_topn(large: tuple[Vectors, NDArray[np.int64]]) -> None:
    vectors, found = large
    theirs = sp_matmul_topn(
        vectors, vectors.T.tocsr(), top_n=1_000, threshold=0.6, n_threads=1
    ).tocoo()
    assert np.bincount(theirs.row).max() < 1_000
    rows, columns = theirs.row.astype(np.int64), theirs.col.astype(np.int64)
    keys = (rows * vectors.shape[0] + columns)[rows < columns]
    np.testing.assert_array_equal(found, np.sort(keys))


@pytest.mark.parametrize("threads", [2, 3])
def test_result_does_not_depend_on_threads(threads: int) -> None:
    vectors = zipf_vectors(3_000, 900, 8, seed=4)
    assert joined(vectors, 0.5, threads=threads) == joined(vectors, 0.5, threads=1)


def test_full_buffer_is_written_and_the_join_goes_on_where_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    vectors = zipf_vectors(1_000, 200, 6, seed=5)
    whole = joined(vectors, 0.3)
    appended: list[int] = []
    append = PairFile.append

    def counting(self: PairFile, pairs: NDArray[np.void]) -> None:
        appended.append(len(pairs))
        append(self, pairs)

    monkeypatch.setattr(PairFile, "append", counting)
    monkeypatch.setattr(join_module, "BUFFER_PAIRS", 1)  # then it holds one row's pairs at the most
    assert joined(vectors, 0.3) == whole
    assert len(appended) > 3 * join_module.PARTS


def test_pairs_of_two_old_rows_are_left_out() -> None:
    vectors = zipf_vectors(1_500, 400, 7, seed=6)
    whole = joined(vectors, 0.5)
    for first_new in (1, 700, 1_499):
        expected = {pair: cosine for pair, cosine in whole.items() if pair[1] >= first_new}
        assert joined(vectors, 0.5, first_new=first_new) == pytest.approx(expected, abs=0)
    assert joined(vectors, 0.5, first_new=1_500) == {}


def test_pairs_across_two_parts_are_those_of_the_whole_with_the_same_cosines() -> None:
    vectors = zipf_vectors(1_500, 400, 7, seed=6)
    whole = joined(vectors, 0.5)
    for cut in (0, 1, 700, 1_499, 1_500):
        expected = {pair: cosine for pair, cosine in whole.items() if pair[0] < cut <= pair[1]}
        assert joined(vectors, 0.5, first_new=cut, only_across=True) == expected


def test_part_of_a_matrix_has_the_cosines_of_the_whole_under_its_frequencies() -> None:
    vectors = zipf_vectors(1_500, 400, 7, seed=6)
    whole = joined(vectors, 0.5)
    part = joined(vectors[:700], 0.5, frequencies=term_frequencies(vectors))
    assert part == {pair: cosine for pair, cosine in whole.items() if pair[1] < 700}


def test_long_descriptions_are_joined_exactly() -> None:
    rng = np.random.default_rng(7)
    matrix = rng.random((40, 2_000)) ** 8
    matrix[20:] = matrix[:20] + rng.random((20, 2_000)) / 50
    check_against_brute_force(unit_rows(matrix), 0.999)
    check_against_brute_force(unit_rows(matrix), 0.6)


def test_word_in_every_row_costs_next_to_nothing() -> None:
    vectors = zipf_vectors(5_000, 2_000, 8, seed=8)
    common = scipy.sparse.csr_matrix(np.full((vectors.shape[0], 1), 0.3))
    with_common = unit_rows(scipy.sparse.hstack([vectors, common]))
    assert compared(with_common, 0.6) < 1.2 * compared(vectors, 0.6)
    assert compared(with_common, 0.6) < vectors.shape[0] ** 2 / 2 / 10


def compared(vectors: Vectors, threshold: float) -> int:
    with tempfile.TemporaryDirectory() as folder, PairFile(Path(folder)) as found:
        return join(vectors, threshold, found, ignore)


@pytest.mark.parametrize(
    "vectors",
    [
        scipy.sparse.csr_matrix((0, 0)),
        scipy.sparse.csr_matrix((3, 0)),
        scipy.sparse.csr_matrix((3, 5)),
        scipy.sparse.csr_matrix(np.eye(1)),
        scipy.sparse.csr_matrix(np.eye(4)),
    ],
    ids=["nothing", "no terms", "empty rows", "one row", "nothing shared"],
)
def test_vectors_without_pairs_give_none(vectors: Vectors) -> None:
    assert joined(vectors, 0.1) == {}


@pytest.mark.parametrize(
    "make", [lambda: zipf_vectors(500, 100, 5, seed=9), lambda: Vectors((7, 3))]
)
def test_progress_ends_at_the_number_of_rows(make: Callable[[], Vectors]) -> None:
    vectors, finished = make(), list[int]()
    with tempfile.TemporaryDirectory() as folder, PairFile(Path(folder)) as found:
        join(vectors, 0.5, found, finished.append)
    assert sum(finished) == vectors.shape[0]
    assert min(finished) >= 0


def test_failure_in_a_thread_comes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(PairFile, "append", full)
    with pytest.raises(OSError, match="No space left"):
        joined(zipf_vectors(500, 100, 5, seed=10), 0.5)


def test_pairs_come_back_whole_from_several_chunks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(pair_file, "CHUNK_PAIRS", 7)
    pairs = np.zeros(20, PAIR)
    pairs["first"] = np.arange(20)
    with PairFile(tmp_path) as found:
        found.append(pairs[:9])
        found.append(pairs[9:])
        for _ in range(2):
            chunks = list(found.chunks())
            assert [len(chunk) for chunk in chunks] == [7, 7, 6]
            np.testing.assert_array_equal(np.concatenate(chunks), pairs)


def test_scratch_file_leaves_nothing_in_its_folder(tmp_path: Path) -> None:
    with PairFile(tmp_path) as found:
        join(zipf_vectors(500, 100, 5, seed=11), 0.5, found, ignore)
        assert len(found) > 0
        assert list(tmp_path.iterdir()) == []


def test_a_description_of_many_distinct_words_is_joined_as_any_other() -> None:
    rng = np.random.default_rng(8)
    words = rng.permutation(120_000)
    long = scipy.sparse.csr_matrix(
        (np.ones(120_000), (np.zeros(120_000, int), words)), (1, 120_000)
    )
    short = scipy.sparse.csr_matrix(np.eye(3, 120_000) + np.eye(3, 120_000, 1))
    vectors = unit_rows(scipy.sparse.vstack([short, long]))
    assert joined(vectors, 0.4).keys() == {(0, 1), (1, 2)}


@pytest.mark.parametrize("copies", [2, 3])
def test_near_copies_of_a_long_description_are_neighbours(copies: int) -> None:
    words = 30_000
    rows = np.repeat(np.arange(copies), words)
    columns = np.concatenate([np.arange(words) + 10 * copy for copy in range(copies)])
    vectors = unit_rows(scipy.sparse.csr_matrix((np.ones(len(rows)), (rows, columns))))
    expected = {(first, second) for second in range(copies) for first in range(second)}
    assert joined(vectors, 0.6).keys() == expected
