"""English descriptions stay, others are left out; measured on titles made for it."""

import subprocess

import pytest

from benchmarks.language_filter import ENGLISH_NAME, HAND_LABELLED, kept_by_language
from retrieval_server.text.language_filter import ENGLISH, LanguageFilter, is_latin, left_out
from retrieval_server.text.language_filter import OTHER_SCRIPT as SCRIPT
from tests.support.export.labelled_titles import (
    LATIN_SCRIPT,
    OTHER_SCRIPT,
    english_titles,
    foreign_titles,
)
from tests.support.programs.command import command
from tests.support.programs.offline_language import name_language_offline

ENGLISH_KEPT = 0.995
FOREIGN_LEFT_OUT = 0.85
FEWEST_TITLES = 2_000


@pytest.fixture(scope="module")
def language_filter() -> LanguageFilter:
    return LanguageFilter()


def test_english_titles_stay(language_filter: LanguageFilter) -> None:
    titles = english_titles()
    kept = [title for title in titles if language_filter.language(title) == ENGLISH]
    assert len(kept) / len(titles) >= ENGLISH_KEPT, set(titles) - set(kept)


def test_titles_in_other_languages_are_left_out(language_filter: LanguageFilter) -> None:
    titles = [title for made in foreign_titles().values() for title in made]
    assert len(titles) + len(english_titles()) >= FEWEST_TITLES
    gone = [title for title in titles if language_filter.language(title) != ENGLISH]
    assert len(gone) / len(titles) >= FOREIGN_LEFT_OUT


@pytest.mark.parametrize("language", LATIN_SCRIPT)
def test_no_language_in_latin_letters_passes_as_english(
    language_filter: LanguageFilter, language: str
) -> None:
    titles = foreign_titles()[language]
    gone = [title for title in titles if language_filter.language(title) != ENGLISH]
    assert len(gone) / len(titles) >= 0.8  # the fewest: French and Spanish


def test_titles_that_somebody_else_labelled_are_told_apart(
    language_filter: LanguageFilter,
) -> None:
    found = kept_by_language(HAND_LABELLED, language_filter)
    english = found.pop(ENGLISH_NAME)
    foreign = [is_english for language in found.values() for is_english in language]
    # Many of the English ones are nothing but names, French and Italian ones among them.
    assert (len(english), len(foreign)) == (885, 1280)
    assert sum(english) / len(english) >= 0.99
    assert foreign.count(False) / len(foreign) >= FOREIGN_LEFT_OUT
    for language, kept in found.items():
        assert kept.count(False) / len(kept) >= 0.75, language


@pytest.mark.parametrize("language", OTHER_SCRIPT)
def test_every_title_in_another_script_is_left_out(
    language_filter: LanguageFilter, language: str
) -> None:
    for title in foreign_titles()[language]:
        assert language_filter.language(title) == SCRIPT, title


@pytest.mark.parametrize(
    "text",
    [
        "",
        "50 ml",
        "!?",
        "L'Oréal",
        "L’Oréal Paris Elvive",
        "LOREAL",
        "Lancôme",
        "Lancome Hypnose Mascara",
        "Kérastase",
        "Kérastase Elixir Ultime Hair Oil 100ml",
        "Estée Lauder",
        "Estee Lauder Double Wear 1.7 oz",
        "Shu Uemura",
        "Shu Uemura Eyelash Curler",
        "Chanel No 5 Eau de Parfum",
        "Crème de la Mer Moisturizing Cream",
        "Yves Saint Laurent Pour Homme",
        "Giorgio Armani Acqua di Gio Profondo",
        "Hermès Un Jardin Sur Le Nil 3.3 oz",
        "The Ordinary",
    ],
)
def test_brands_and_the_french_of_perfumery_are_not_foreign(
    language_filter: LanguageFilter, text: str
) -> None:
    assert language_filter.language(text) == ENGLISH


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("兰蔻 小黑瓶 精华肌底液 50ml", SCRIPT),
        ("ランコム 化粧水 200ml", SCRIPT),
        ("설화수 윤조에센스 60ml", SCRIPT),
        ("Крем для рук Garnier", SCRIPT),
        ("Lancôme crème hydratante visage pour peaux sèches", "fr"),
        ("Garnier champú para cabello dañado", "es"),
        ("L'Oréal Paris Haarshampoo für trockenes Haar", "de"),
        ("GARNIER CREMA IDRATANTE PER PELLI SECCHE", "it"),
        ("Rossmann krem nawilżający do twarzy", "pl"),
        ("Summer Fridays Lippenstift matt", "de"),
        ("THE ORDINARY DESMAQUILLANTE DE OJOS SPF30", "es"),
        ("Avec", "fr"),  # no other language has any probability
    ],
)
def test_language_of_a_description_is_named(
    language_filter: LanguageFilter, text: str, language: str
) -> None:
    assert language_filter.language(text) == language


def test_composed_and_decomposed_accents_and_any_apostrophe_are_the_same_text(
    language_filter: LanguageFilter,
) -> None:
    for title in ("L'Oréal Sérum für trockene Haut", "Crème à l'huile d'argan, cheveux abîmés"):
        forms = {title, title.replace("'", "’"), title.replace("é", "e\u0301")}
        assert len({language_filter.language(form) for form in forms}) == 1


def test_counts_of_what_is_left_out_are_by_language() -> None:
    assert left_out(["es", ENGLISH, SCRIPT, SCRIPT]) == {SCRIPT: 2, "es": 1}


def test_filter_opens_no_connection_and_imports_no_downloader() -> None:
    done = subprocess.run(
        command(name_language_offline), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "es False\n"), done.stderr


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", True),
        ("Plain ASCII, 30 ml", True),
        ("L'Oréal Crème Brûlée Œuvre Straße", True),
        ("Krem nawilżający, żel pod prysznic", True),
        ("Olay® Regenerist™ ½ 30℃", True),
        ("Ｆｕｌｌ width", True),
        ("α-Arbutin serum", True),
        ("Kiehlʼs and Palmerʼs", True),
        ("★★ 50% off ♥", True),
        ("修护精华液", False),
        ("L'Oréal 修护 serum", False),
        ("крем для рук", False),
        ("κρέμα", False),
        ("クリーム", False),
        ("수분 크림", False),
        ("كريم", False),
        ("kem dưỡng ẩm trắng", False),
    ],
)
def test_latin_descriptions_are_told_from_others(text: str, expected: bool) -> None:
    assert is_latin(text) is expected
