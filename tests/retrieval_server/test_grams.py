"""The n-grams by which words and texts are compared."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval_server.text.grams import READ, gram_codes, gram_text, grams_of, words_in


def grams(text: str) -> list[str]:
    """The n-grams of one text, in the order of the text."""
    numbers, codes = gram_codes([words_in(text)])
    assert set(numbers.tolist()) <= {0}
    return [gram_text(int(code)) for code in codes]


def test_a_line_that_was_read_is_one_word_without_ends() -> None:
    _, codes = grams_of(["BODY OIL\nI\n50 ml"], READ)
    read = [gram_text(int(code)) for code in codes]
    assert read == ["bod", "ody", "dyo", "yoi", "oil", "50m", "0ml"]


def literal_grams(text: str) -> list[str]:
    """The rule, word by word; scripts without spaces apart."""
    padded = [f" {word} " for word in words_in(text)]
    return [word[start : start + 3] for word in padded for start in range(len(word) - 2)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("oil", [" oi", "oil", "il "]),
        ("3 ml", [" 3 ", " ml", "ml "]),
        ("L’Oréal", [" lo", "lor", "ore", "rea", "eal", "al "]),
        ("化粧水", [" 化粧", "化粧水", "化粧", "粧水 ", "粧水"]),
        ("שמן", [" שמ", "שמן", "מן "]),
        ("nu\u200bxe", [" nu", "nux", "uxe", "xe "]),
        ("R&amp;B", [" r ", " b "]),
        ("💄 !?", []),
        ("", []),
    ],
)
def test_grams_are_runs_of_three_characters_of_each_word(text: str, expected: list[str]) -> None:
    assert grams(text) == expected


@given(st.text(st.characters(max_codepoint=0x0DFF), max_size=60))
def test_grams_of_any_text_are_those_of_its_words(text: str) -> None:
    assert grams(text) == literal_grams(text)


@given(st.lists(st.text(max_size=20), max_size=8))
def test_texts_at_once_have_the_grams_that_each_has_alone(texts: list[str]) -> None:
    numbers, codes = gram_codes([words_in(text) for text in texts])
    assert numbers.dtype == np.int32
    for number, text in enumerate(texts):
        alone = [gram_text(int(code)) for code in codes[numbers == number]]
        assert alone == grams(text)


def test_words_differ_in_case_and_accents_alone_are_the_same() -> None:
    assert grams("CRÈME") == grams("crème") == grams("creme")
