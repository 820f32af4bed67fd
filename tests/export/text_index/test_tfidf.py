"""TF-IDF of eq. (3)-(5): scikit-learn's, and what later descriptions are weighted by."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer

from export.text_index.tfidf import (
    TermCounts,
    append_counts,
    count_terms,
    read_term_counts,
    write_term_counts,
)
from retrieval_server.errors import IndexBundleError
from retrieval_server.text.tokens import TOKENISERS, strip_accents_tokens

TEXTS = [
    "L'Oréal Paris Elvive Shampoo 250ml",
    "loreal elvive shampoo, 250 ml; shampoo",
    "",
    "Estée Lauder 1.7 oz",
    "?!",
]
WORDS = ("a", "b", "c", "d", "red", "red-hot", "1.7", "l'été")


def dense(counted: TermCounts) -> NDArray[np.float64]:
    return counted.vectors().toarray()


@pytest.mark.parametrize("rule", TOKENISERS)
@given(
    st.lists(
        st.lists(st.sampled_from(WORDS), max_size=7).map(" ".join),
        min_size=1,
        max_size=12,
    )
)
def test_vectors_are_those_of_scikit_learn_over_the_same_terms(rule: str, texts: list[str]) -> None:
    tokeniser = TOKENISERS[rule]
    counted = count_terms(texts, tokeniser)
    covered = [text for text in texts if tokeniser(text)]
    expected = np.zeros((len(texts), len(counted.terms)))
    if covered:
        reference = TfidfVectorizer(analyzer=tokeniser, smooth_idf=True, norm="l2")
        rows = [bool(tokeniser(text)) for text in texts]
        expected[rows] = reference.fit_transform(covered).toarray()
        assert counted.terms == tuple(reference.get_feature_names_out())
    np.testing.assert_allclose(dense(counted), expected, atol=1e-12)
    assert counted.documents == len(covered)


def test_rows_are_of_length_1_or_empty() -> None:
    norms = np.linalg.norm(dense(count_terms(TEXTS, strip_accents_tokens)), axis=1)
    np.testing.assert_allclose(norms, [1, 1, 0, 1, 0], atol=1e-12)


@pytest.mark.parametrize("texts", [[], [""], ["", "?!"]])
def test_texts_without_terms_have_an_empty_vocabulary(texts: list[str]) -> None:
    counted = count_terms(texts, strip_accents_tokens)
    assert (counted.terms, counted.documents, len(counted.idf)) == ((), 0, 0)
    assert counted.vectors().shape == (len(texts), 0)


@pytest.mark.parametrize("texts", [TEXTS, [""]])
def test_counts_come_back_from_disk(tmp_path: Path, texts: Sequence[str]) -> None:
    counted = count_terms(texts, strip_accents_tokens)
    write_term_counts(tmp_path, counted)
    back = read_term_counts(tmp_path, counted.documents)
    assert back.terms == counted.terms
    np.testing.assert_array_equal(back.idf, counted.idf)
    np.testing.assert_array_equal(dense(back), dense(counted))


@pytest.mark.parametrize("name", ["terms.documents", "terms.bytes", "text_terms.counts"])
def test_damaged_counts_are_refused_by_name(tmp_path: Path, name: str) -> None:
    write_term_counts(tmp_path, count_terms(TEXTS, strip_accents_tokens))
    path = tmp_path / f"{name}.npy"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(IndexBundleError, match=rf"{name}\.npy is damaged"):
        read_term_counts(tmp_path, 3)


def test_appended_descriptions_are_weighted_by_the_frozen_idf() -> None:
    known = count_terms(["red serum", "red oil"], strip_accents_tokens)
    union = append_counts(known, ["oil of roses", "", "red red"], strip_accents_tokens)
    assert union.terms == ("oil", "red", "serum", "of", "roses")
    assert (union.documents, union.counts.shape) == (2, (5, 5))
    unseen = np.log(3) + 1  # (1 + N) / (1 + 0), N = 2
    oil = np.log(3 / 2) + 1
    expected = np.array([oil, 0, 0, unseen, unseen])
    vectors = dense(union)
    np.testing.assert_allclose(vectors[2], expected / np.linalg.norm(expected), atol=1e-12)
    np.testing.assert_array_equal(vectors[3], 0)
    np.testing.assert_allclose(vectors[4], [0, 1, 0, 0, 0], atol=1e-12)
    np.testing.assert_allclose(vectors[:2, :3], dense(known), atol=1e-12)
