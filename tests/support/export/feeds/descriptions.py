"""Descriptions as editors and pipelines leave them: markup, entities, characters without width."""

import unicodedata
from collections.abc import Callable, Mapping
from html import escape

from tests.support.export.feeds.dialect import PLAIN, Cell, Dialect, Row, csv_file, written

SOFT_HYPHEN, ZERO_WIDTH_SPACE, NO_BREAK_SPACE = "\u00ad", "\u200b", "\u00a0"


def escaped(row: Row) -> str:
    return escape(row["description"])


def named(row: Row) -> str:
    return escaped(row).replace("É", "&Eacute;").replace("é", "&eacute;").replace("'", "&#x27;")


def around(before: str, after: str) -> Cell:
    return lambda row: f"{before}{escaped(row)}{after}"


def inside_words(character: str) -> Cell:
    """The character in the middle of each word of more than four letters."""
    return lambda row: " ".join(
        word[:3] + character + word[3:] if word.isalpha() and len(word) > 4 else word
        for word in row["description"].split(" ")
    )


def bold_words(row: Row) -> str:
    return " ".join(f"<b>{word[:1]}</b>{word[1:]}" for word in escaped(row).split(" "))


def decomposed(row: Row) -> str:
    return unicodedata.normalize("NFD", row["description"])


def dialect(name: str, cell: Cell, stored: Callable[[Row], Row] = dict) -> Dialect:
    content = csv_file({**PLAIN, "description": cell})
    return Dialect(name=f"descriptions, {name}", content=content, stored=stored)


PAGE = (
    "<html><head><title>Shop</title><style>p {color: red}</style></head><body><p>",
    "</p></body>",
)
RESOLVED: Mapping[str, Cell] = {  # the index holds the plain catalogue's descriptions
    "a paragraph": around("<p>", "</p>"),
    "entities": named,
    "escaped twice": lambda row: escape(escaped(row)),
    "escaped markup": lambda row: escape(f"<p>{escaped(row)}</p>"),
    "a list": around("<ul>\n<li>", "</li>\n</ul>"),
    "CDATA": lambda row: f"<![CDATA[{row['description']}]]>",
    "Word's own tags": around('<p class="MsoNormal"><span lang="EN-US">', "<o:p></o:p></span></p>"),
    "a whole page": around(*PAGE),
    "inline tags in words": bold_words,
    "line breaks": lambda row: escaped(row).replace(". ", ".<br/>\r\n"),
    "a comment and a script": around("<!-- seo --><script>var a = 1 < 2;</script>", "<br>"),
    "soft hyphens": inside_words(SOFT_HYPHEN),
    "characters without width": inside_words(ZERO_WIDTH_SPACE),
    "byte-order marks": inside_words("\ufeff"),
    "blocks of WordPress": around("<!-- wp:paragraph -->\n<p>", "</p>\n<!-- /wp:paragraph -->"),
    "cut markup": around("<p>", '</p><p class="mo'),
    "a table": around("<table><tr><td>", "</td></tr></table>"),
    "no-break spaces of the editor": lambda row: escaped(row).replace(" ", "&nbsp;"),
    "an empty paragraph where there is none": lambda row: escaped(row) or "<p>&nbsp;</p>",
}
KEPT: Mapping[str, Cell] = {  # the index holds them as they are; the words are the same
    "decomposed accents": decomposed,
    "no-break spaces": lambda row: row["description"].replace(" ", NO_BREAK_SPACE),
}
DIALECTS = (
    *(dialect(name, cell) for name, cell in RESOLVED.items()),
    *(dialect(name, cell, written({**PLAIN, "description": cell})) for name, cell in KEPT.items()),
)
