"""How a cell of a catalogue becomes the text of a description."""

import itertools
import random
import unicodedata

import pytest

from retrieval_server.text.missing_values import is_missing
from retrieval_server.text.plain_text import plain_text

PLAIN = (
    "Rose balm  50 ml",
    " Two spaces,\ttab\nand line ",
    "AT&T, R&D; wash&copy",
    "< 30 ml, <3, a < b > c",
    "<NEW> balm by <info@shop.com>",
    "black\\nude",
    "Crème\u00a0brûlée ™ 修护精华",
    "if a<b and c>d",
    "S<M<L",
    "5 <",
    "R&",
    "A",
    "Test strips for pools",
    "No description can do justice to this balm",
)
MARKUP = (
    ("<p>Cr&egrave;me</p><p>50&nbsp;ml</p>", "Crème 50 ml"),
    ("<ul><li>rose</li><li>oil</li></ul>", "rose oil"),
    ("<table><tr><td>rose</td><td>oil</td></tr></table>", "rose oil"),
    ("rose<br>oil<br/>balm<BR />gel<hr>wax", "rose oil balm gel wax"),
    ("H<sub>2</sub>O <b>L</b>'Or<em>é</em>al", "H2O L'Oréal"),
    ('<span style="a:b" class=x>rose</span> oil', "rose oil"),
    ("sham&shy;poo&#8203;s &#233;&#xE9;", "shampoos éé"),
    ("&lt;p&gt;Crème&lt;/p&gt;", "Crème"),
    ("&amp;lt;p&amp;gt;A &amp;amp; B&amp;lt;/p&amp;gt;", "A & B"),
    ("L&#39;Or&Eacute;al&Reg; &euro;5", "L'OrÉal® €5"),
    ("salt &nbsp&nbsp oil", "salt oil"),
    ("<style>p { color: red }</style>rose<script>if (a<b) x();</script>", "rose"),
    ("<html><head><title>Shop</title></head><body>rose</body></html>", "rose"),
    ("<!-- <p>old</p> -->rose<!--[if mso]><xml>x</xml><![endif]-->", "rose"),
    ("<![if !supportLists]>rose<![endif]><?xml version='1.0'?>", "rose"),
    ("<![CDATA[<p>rose > oil</p>]]>", "rose > oil"),
    ("rose<o:p></o:p>s <o:p>&nbsp;</o:p>", "roses"),
    ('<my-card name="a">rose</my-card><x-b>oil</x-b>', "rose oil"),
    ("<p><NEW> balm, < 30 ml</p>", "<NEW> balm, < 30 ml"),
    ('rose oil <span style="font-si', "rose oil"),
    ("rose oil <br", "rose oil"),
    ("rose oil <spa", "rose oil"),
    ("<p>rose oil</", "rose oil"),
    ("<p>rose oil</p", "rose oil"),
    ("<p>rose oil<!-- cut", "rose oil"),
    ('<a href="x>rose</a> <b>oil</b>', "rose oil"),
    ("rose\\r\\noil\\nBalm\\n50 ml\\t", "rose oil Balm 50 ml"),
)
INVISIBLE = (
    ("mois\u00adtur\u200bis\u200cer\u2060", "moisturiser"),
    ("\ufeffrose \u200eoil\u200f", "rose oil"),
    ("rose\x0boil\x92s\x1f", "rose oil s "),
)
MISSING = (
    *("", " ", "-", "--", "—", "?", ".", "...", "n/a", "NA", "N.A.", "#N/A", "<NA>", "NaN", "null"),
    *("None", "(none)", "[nil]", "\\N", "undefined", "Unknown", "TBD", "tba.", "Coming soon!"),
    *("No description available.", "Not available", "To be announced", "#REF!", "#DIV/0!", "test"),
    *("#NAME?", "Lorem ipsum", "Lorem ipsum dolor sit amet, consectetur adipiscing elit. " * 9),
    *("Keine Beschreibung", "k.A.", "Aucune description", "à venir", "Sin descripción", "brak"),
    *("SIN DESCRIPCION", "Nessuna descrizione", "Sem descrição", "n.v.t.", "Нет описания"),
    *("暂无描述", "説明なし", "설명 없음", "غير متوفر", "Açıklama yok", "●●●", "\u200b\ufeff"),
    *("<p>&nbsp;</p>", "<p>N/A</p>", "&lt;p&gt;TBD&lt;/p&gt;", "<div><br></div>", "&mdash;"),
)


@pytest.mark.parametrize("text", PLAIN)
def test_text_without_markup_keeps_every_character(text: str) -> None:
    assert plain_text(text) == text


@pytest.mark.parametrize(("cell", "text"), MARKUP)
def test_markup_and_entities_become_text(cell: str, text: str) -> None:
    assert plain_text(cell) == text


@pytest.mark.parametrize(("cell", "text"), INVISIBLE)
def test_format_characters_are_deleted_and_control_characters_are_spaces(
    cell: str, text: str
) -> None:
    assert plain_text(cell) == text


@pytest.mark.parametrize("cell", MISSING)
def test_what_stands_for_a_missing_description_is_empty(cell: str) -> None:
    assert plain_text(cell) == ""


@pytest.mark.parametrize("text", ["Nude", "No. 5", "Unknown Pleasures", "Test kit", "Nan bread"])
def test_a_description_that_begins_like_a_missing_one_is_kept(text: str) -> None:
    assert not is_missing(text)


def test_every_format_character_of_unicode_is_deleted() -> None:
    characters = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) == "Cf"]
    assert {plain_text(f"a{character}b") for character in characters} == {"ab"}


def test_every_control_character_but_white_space_becomes_a_space() -> None:
    characters = [chr(code) for code in range(0x100) if unicodedata.category(chr(code)) == "Cc"]
    assert {
        plain_text(f"a{character}b") for character in characters if character not in "\t\n\r"
    } == {"a b"}


def test_plain_text_of_plain_text_is_the_same() -> None:
    pieces = [
        *("<p>", "</p", ">", "<", "&", "amp;", "lt;", "&gt;", "#", "x", " ", "b", "=", '"', "\\n"),
        *("<!--", "-->", "<![CDATA[", "]]>", "\u200b", "\x00", "/", "<script>", "?", "A", "N/A"),
    ]
    choose = random.Random(0)
    for text in (
        "".join(choose.choices(pieces, k=size)) for size in range(2, 12) for _ in range(300)
    ):
        once = plain_text(text)
        assert plain_text(once) == once, text


def test_a_long_cell_of_unfinished_markup_is_read_once() -> None:
    for piece in (
        "<",
        "<!--",
        "<a ",
        '<a href="',
        "&",
        "&lt;",
        "</",
        "<![",
        "<b",
        "<p>",
        "\u200b<",
    ):
        text = "".join(itertools.repeat(piece, 20_000))
        assert len(plain_text(text)) <= len(text)
