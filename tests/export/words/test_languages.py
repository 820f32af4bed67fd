"""The languages that compiled code finds at first sight are those of the filter itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.words.languages import languages, languages_by
from retrieval_server.text.language_filter import (
    DEFAULT_LANGUAGE_FILTER,
    ENGLISH,
    KEEP_ALL,
    OTHER_SCRIPT,
    LanguageFilter,
)
from retrieval_server.text.neutral_words import ENGLISH_BRANDS, PERFUME_HOUSES
from tests.support.export.labelled_titles import english_titles, foreign_titles

WORDS = (
    *ENGLISH_BRANDS,
    *sorted(PERFUME_HOUSES)[::4],
    *(
        "the",
        "The Body",
        "shop",
        "cream",
        "for dry skin",
        "with",
        "shampoo",
        "oil",
        "50ml",
        "loreal",
    ),
    *("pour", "pour homme", "pour lui", "Pour Femme", "avec", "für", "crema", "cabello", "peau"),
    *("Crème", "l'huile", "L’Oréal", "Öl", "口红", "крем", "ẹ", "zorg", "x", "\n", "_", "-", "28"),
)


@pytest.fixture(scope="module")
def language_filter() -> LanguageFilter:
    return LanguageFilter()


def test_languages_of_titles_are_those_of_the_filter(language_filter: LanguageFilter) -> None:
    titles = [*english_titles(), *(title for made in foreign_titles().values() for title in made)]
    found = languages_by(language_filter, titles)
    assert found == [language_filter.language(title) for title in titles]
    assert len(set(found)) > 2


@given(st.lists(st.lists(st.sampled_from(WORDS)).map(" ".join) | st.text(), max_size=12))
def test_languages_of_any_texts_are_those_of_the_filter(
    language_filter: LanguageFilter, texts: list[str]
) -> None:
    expected = [language_filter.language(text) for text in texts]
    assert languages_by(language_filter, texts) == expected


def test_keeping_all_keeps_all() -> None:
    texts = ["Garnier champú para cabello dañado", "Lip Balm", "口红", "口红 持久"]
    assert languages(texts, KEEP_ALL) == [ENGLISH] * 4
    assert languages(texts, DEFAULT_LANGUAGE_FILTER) == ["es", ENGLISH, OTHER_SCRIPT, OTHER_SCRIPT]
