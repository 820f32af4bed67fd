"""The languages of many descriptions: those that are English at first sight, by compiled code.

The rule is that of ``language_filter``, whose ``LanguageFilter`` decides each description whose
words alone do not show that it is English. They show it if they vote for English and none of them
may belong to a set phrase or a brand, which would be left out. The names of perfume houses need no
look here: they only take away votes against English.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from export.words.lines import AsciiRule, ascii_line
from export.words.numbers import LINES_AT_ONCE, NumberedWords, Vocabulary, number_words
from retrieval_server.compilation import compiled
from retrieval_server.text.language_filter import (
    ENGLISH,
    ENGLISH_OF_A_SHOP,
    ENGLISH_VOTE,
    KEEP_ALL,
    PHRASE_WORD,
    TELLING_VOTE,
    LanguageFilter,
    distinct_words,
    is_latin,
)

_BITS = 63  # of the marks of brands; brands that share a bit only cost a further look
_ALWAYS = 2**64 - 1  # the mark of a word that asks for a look wherever it stands


def languages(texts: Sequence[str], language_filter: str) -> list[str]:
    """Name the language of every description.

    Args:
        texts: descriptions.
        language_filter: one of ``LANGUAGE_FILTERS``; by ``none`` every description is English.

    Returns:
        A language for every description, as ``LanguageFilter.language`` names it.
    """
    if language_filter == KEEP_ALL:
        return [ENGLISH] * len(texts)
    return languages_by(LanguageFilter(), texts)


def languages_by(judge: LanguageFilter, texts: Sequence[str]) -> list[str]:
    """Name the language of every description, as ``judge`` does one by one."""
    found = [ENGLISH] * len(texts)
    vocabulary, marks = Vocabulary(), _Marks(judge)
    first = 0
    for words in number_words(texts, _lines, AsciiRule.LETTERS, vocabulary):
        marks.add(vocabulary.words(len(marks)))
        for row in marks.doubtful(words).tolist():
            found[first + row] = judge.language(texts[first + row])
        first += LINES_AT_ONCE
    return found


def _lines(texts: Sequence[str]) -> list[str]:
    """The lines of the distinct words; one that is doubtful for a text of another script."""
    return [
        ascii_line(text)
        if text.isascii()
        else " ".join(distinct_words(text))
        if is_latin(text)
        else PHRASE_WORD
        for text in texts
    ]


class _Marks:
    """What is known of the words of a vocabulary, by which texts are doubted.

    Args:
        judge: knows the votes of words, and the brands.
    """

    def __init__(self, judge: LanguageFilter) -> None:
        self._judge = judge
        self._begins = {PHRASE_WORD: _ALWAYS}
        self._follows: dict[str, int] = {}
        for number, (first, *further) in enumerate(judge.brands):
            bit = 1 << number % _BITS
            self._begins[first] = self._begins.get(first, 0) | (bit if further else _ALWAYS)
            for second in further[:1]:
                self._follows[second] = self._follows.get(second, 0) | bit
        self._votes = np.empty(0, np.int64)  # (V,)
        self._begun = np.empty(0, np.uint64)  # (V,) a bit for a brand that the word begins
        self._followed = np.empty(0, np.uint64)  # (V,) the bits of those whose second word it is

    def __len__(self) -> int:
        return len(self._votes)

    def add(self, words: Sequence[str]) -> None:
        """Mark the next words of the vocabulary."""
        votes = np.array([self._judge.vote(word) for word in words], np.int64)
        self._votes = np.concatenate([self._votes, votes])
        self._begun = _longer(self._begun, self._begins, words)
        self._followed = _longer(self._followed, self._follows, words)

    def doubtful(self, texts: NumberedWords) -> NDArray[np.int64]:
        """The texts that may be in another language than English."""
        is_doubtful = np.empty(len(texts.sizes), np.bool_)
        _doubt(texts.numbers, texts.sizes, self._votes, self._begun, self._followed, is_doubtful)
        return np.flatnonzero(is_doubtful)


def warm_up() -> None:
    """Compile the look at texts, or load it from numba's cache."""
    nothing = np.empty(0, np.uint64)
    _doubt(
        np.empty(0, np.int32),
        np.empty(0, np.int64),
        np.empty(0, np.int64),
        nothing,
        nothing,
        np.empty(0, np.bool_),
    )


def _longer(
    marks: NDArray[np.uint64], by_word: Mapping[str, int], words: Sequence[str]
) -> NDArray[np.uint64]:
    """Marks, and those of further words."""
    return np.concatenate([marks, np.array([by_word.get(word, 0) for word in words], np.uint64)])


@compiled
def _doubt(
    numbers: NDArray[np.int32],
    sizes: NDArray[np.int64],
    votes: NDArray[np.int64],
    begins: NDArray[np.uint64],
    follows: NDArray[np.uint64],
    doubtful: NDArray[np.bool_],
) -> None:
    """Tell which texts may be in another language than English."""
    seen_in = np.full(len(votes), -1, np.int64)  # by word, the text that had it last
    start = 0
    for row in range(len(sizes)):
        vote, is_of_a_shop, has_votes, may_be_left_out = 0, False, False, False
        brands = np.uint64(0)  # that the word before begins
        for at in range(start, start + sizes[row]):
            word = numbers[at]
            if seen_in[word] == row:
                continue
            seen_in[word] = row
            vote += votes[word]
            is_of_a_shop |= votes[word] == TELLING_VOTE
            has_votes |= votes[word] != 0
            may_be_left_out |= begins[word] == np.uint64(_ALWAYS) or (brands & follows[word]) != 0
            brands = begins[word]
        start += sizes[row]
        is_english = vote < (ENGLISH_OF_A_SHOP if is_of_a_shop else ENGLISH_VOTE) or not has_votes
        doubtful[row] = may_be_left_out or not is_english
