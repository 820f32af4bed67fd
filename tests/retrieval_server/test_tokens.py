"""How descriptions become terms, by each of the named rules."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval_server.text.tokens import (
    DEFAULT_TOKENISER,
    TOKENISERS,
    literal_tokens,
    strip_accents_tokens,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("L'Oréal", ["loreal"]),
        ("L’Oréal", ["loreal"]),
        ("L‘Oreal", ["loreal"]),
        ("L`Oreal", ["loreal"]),
        ("L´Oréal", ["loreal"]),
        ("Lʼoréal", ["loreal"]),
        ("L＇Oréal", ["loreal"]),
        ("LORE\u0301AL", ["loreal"]),
        ("Kiehl's", ["kiehls"]),
        ("1.7 oz / 50ml", ["1.7", "oz", "50ml"]),
        ("1.7oz.", ["1.7oz"]),
        ("No.5", ["no", "5"]),
        ("v1.2.3", ["v1.2.3"]),
        (".5", ["5"]),
        ("2-Pack", ["2", "pack"]),
        ("1,7", ["1", "7"]),
        ("Olay® Regenerist™ ©", ["olay", "regenerist"]),
        ("Olay®Regenerist", ["olay", "regenerist"]),
        ("snake_case", ["snake", "case"]),
        ("Ｆｕｌｌ Ｗｉｄｔｈ １２", ["full", "width", "12"]),
        ("½ x²", ["1", "2", "x2"]),
        ("ﬁne", ["fine"]),
        ("A", ["a"]),
        ("修护精华 30ml", ["修护精华", "30ml"]),
        ("line\nbreak\ttab", ["line", "break", "tab"]),
        ("", []),
        ("!?… —", []),
    ],
)
def test_descriptions_are_split_into_these_terms(text: str, expected: list[str]) -> None:
    assert strip_accents_tokens(text) == expected


@given(st.text())
def test_no_term_is_empty_or_holds_what_separates_terms(text: str) -> None:
    assert all(word and not set(word) & set(" '_®™") for word in strip_accents_tokens(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("L'Oréal L’Oréal", ["loréal", "loréal"]),
        ("LORE\u0301AL", ["loréal"]),
        ("1.7 oz / 50ml", ["17", "oz", "50ml"]),
        ("2-Pack", ["2pack"]),
        ("Olay® Regenerist™", ["olay", "regenerist"]),
        ("snake_case a", ["snakecase", "a"]),
        ("!?…", []),
    ],
)
def test_literal_rule_removes_punctuation_as_the_paper_says(text: str, expected: list[str]) -> None:
    assert literal_tokens(text) == expected


def test_both_rules_agree_on_plain_words_and_the_default_keeps_brands_whole() -> None:
    assert set(TOKENISERS) == {"strip-accents-2", "literal-2"}
    for rule in TOKENISERS.values():
        assert rule("Plain WORDS 50ml") == ["plain", "words", "50ml"]
    brands = "L'Oréal Lancôme Kérastase Estée Lauder Shu Uemura"
    assert TOKENISERS[DEFAULT_TOKENISER](brands) == TOKENISERS[DEFAULT_TOKENISER](
        "LOREAL lancome kerastase estee lauder shu uemura"
    )


def test_both_rules_split_the_plain_text_of_markup() -> None:
    for rule in TOKENISERS.values():
        assert rule("<p>Cr&egrave;me<br>30&nbsp;ml</p>") == rule("Crème 30 ml")
        assert rule("sham\u00adpoo mois\u200btur\ufeffiser") == ["shampoo", "moisturiser"]
        assert rule("N/A") == []
