"""The counts of compiled code are those of scikit-learn over Python's own rules."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer

from export.words.counts import count_words
from export.words.numbers import LINES_AT_ONCE
from retrieval_server.text.tokens import TOKENISERS, strip_accents_tokens

PIECES = (
    *(
        "a",
        "B",
        "red",
        "Red-Hot",
        "l'été",
        "L’Oréal",
        "Crème",
        "™",
        "®",
        "ﬁ",
        "ß",
        "İ",
        "口红",
        "крем",
    ),
    *(
        "1",
        "1.7",
        ".5",
        "1.",
        "'",
        "`",
        ".",
        "..",
        "_",
        "-",
        " ",
        "\n",
        "\t",
        "\r\n",
        "\x00",
        "\x7f",
    ),
    *(
        "١.٢",
        "١",
        "１．５",
        "\u0301",
        "\u200b",
        "\ud800",
        "😀",
        "<b>",
        "&amp;",
        "N/A",
        "none",
        "\\n",
    ),
)
TEXTS = st.lists(st.text() | st.lists(st.sampled_from(PIECES)).map("".join), max_size=8)


def assert_counts_are_those_of_scikit_learn(texts: list[str], rule: str) -> None:
    tokeniser = TOKENISERS[rule]
    terms, counts = count_words(texts, tokeniser)
    if any(map(tokeniser, texts)):  # scikit-learn refuses an empty vocabulary
        reference = CountVectorizer(analyzer=tokeniser, dtype=np.int32)
        expected = reference.fit_transform(texts).tocsr()
        expected.sort_indices()
        assert terms == tuple(reference.get_feature_names_out())
        for name in ("indptr", "indices", "data"):
            found, wanted = getattr(counts, name), getattr(expected, name)
            assert (found.dtype, found.tolist()) == (wanted.dtype, wanted.tolist())
    else:
        assert (terms, counts.shape, counts.nnz) == ((), (len(texts), 0), 0)


@pytest.mark.parametrize("rule", TOKENISERS)
@given(TEXTS)
def test_counts_of_any_text_are_those_of_scikit_learn(rule: str, texts: list[str]) -> None:
    assert_counts_are_those_of_scikit_learn(texts, rule)


@pytest.mark.parametrize("rule", TOKENISERS)
def test_counts_of_more_texts_and_words_than_one_pass_takes(rule: str) -> None:
    choose = random.Random(0)
    texts = [f"word{choose.randrange(30_000)} {number % 7}" for number in range(LINES_AT_ONCE + 9)]
    assert_counts_are_those_of_scikit_learn(texts, rule)


def test_a_long_text_is_counted_as_fast_as_many_short_ones() -> None:
    words = [f"w{number}" for number in range(250_000)]
    terms, counts = count_words([" ".join(words), "x" * 2**20], strip_accents_tokens)
    assert terms == (*sorted(words), "x" * 2**20)
    assert np.diff(counts.indptr).tolist() == [250_000, 1]
    assert (counts.data == 1).all()
