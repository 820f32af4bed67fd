"""Markup of a shop's editor: HTML, with its entities, becomes text.

Python's own ``html.parser`` reads the markup. This module decides what the parser leaves open:
which ``<...>`` is markup, which elements separate words, and which content nobody reads.
"""

from __future__ import annotations

import re
from html.entities import html5
from html.parser import HTMLParser

_HIDDEN_NAMES = "script style template title"  # of elements whose content is no text
# Elements that may begin and end inside a word.
_INLINE_NAMES = """
    a abbr acronym b bdi bdo big cite code data del dfn em font i ins kbd label mark nobr q rb s
    samp small span strike strong sub sup time tt u var wbr
"""
_SEPARATING_NAMES = """
    address applet area article aside audio base basefont blockquote body br button canvas caption
    center col colgroup datalist dd details dialog dir div dl dt embed fieldset figcaption figure
    footer form frame frameset h1 h2 h3 h4 h5 h6 head header hgroup hr html iframe img input legend
    li link main map marquee math menu meta meter nav noframes noscript object ol optgroup option
    output p param picture pre progress rp rt ruby search section select slot source summary svg
    table tbody td textarea tfoot th thead tr track ul video
"""
_HIDDEN = frozenset(_HIDDEN_NAMES.split())
_INLINE = frozenset(_INLINE_NAMES.split())
_ELEMENTS = _HIDDEN | _INLINE | frozenset(_SEPARATING_NAMES.split())
_OFFICE = re.compile(r"(?:[movwx]|st\d):\w+")  # elements of Microsoft Office, as in <o:p></o:p>
_AMPERSAND = re.compile(r"&(#\d+;|#[xX][0-9a-fA-F]+;|nbsp\b;?|\w+;)?")
_TRUNCATED = re.compile(r"</?([a-zA-Z][\w:-]*)(.*)", re.DOTALL)


def without_markup(text: str) -> str:
    """Resolve one level of tags, comments and entities.

    A tag of an element that separates words becomes a space, any other tag nothing. A ``<`` that
    begins no tag stays, and so does an ``&`` that begins no complete entity. A tag that the end of
    the text cuts is removed.

    Returns:
        The text, which is the same if it has no markup; escaped markup becomes markup.
    """
    text = text.replace("<![CDATA[", "").replace("]]>", "").replace("<![", "<!")
    parser = _MarkupReader(text)
    parser.feed(_AMPERSAND.sub(_escaped, text))
    return "".join([*parser.parts, parser.end_of_text()])


def _escaped(found: re.Match[str]) -> str:
    """Write an entity in full, so that the parser resolves it; escape any other ampersand."""
    entity = found[1] or ""
    if entity.startswith("nbsp"):
        return "&nbsp;"
    names = (entity, entity.lower())  # shops that capitalise titles write &Reg; for &reg;
    known = entity if entity.startswith("#") else next((n for n in names if n in html5), None)
    return f"&{known}" if known else f"&amp;{entity}"


class _MarkupReader(HTMLParser):
    """Collects the text of one description in ``parts``."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._closed = frozenset(re.findall(r"</([\w:-]+)", text.lower()))
        self._hidden_in = ""  # the element whose content is being skipped

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        raw = self.get_starttag_text() or ""
        if not self._is_markup(tag, attrs, raw):
            self.handle_data(raw.replace("&amp;", "&"))
            return
        self._separate(tag)
        if tag in _HIDDEN and not self._hidden_in:
            self._hidden_in = tag

    def handle_endtag(self, tag: str) -> None:
        if tag == self._hidden_in:
            self._hidden_in = ""
        self._separate(tag)

    def handle_data(self, data: str) -> None:
        if not self._hidden_in:
            self.parts.append(data)

    def end_of_text(self) -> str:
        """What follows the last complete piece of markup: text, or a tag that was cut."""
        rest = self.rawdata
        if self._hidden_in or rest.startswith("<!--") or rest == "</":
            return ""
        cut = _TRUNCATED.fullmatch(rest)
        if cut and self._is_cut_tag(cut[1].lower(), cut[2]):
            return " " + rest.partition(">")[2]  # a quote that does not end hides the tag's end
        return rest.replace("&amp;", "&")

    def _separate(self, tag: str) -> None:
        if tag not in _INLINE and not _OFFICE.fullmatch(tag) and not self._hidden_in:
            self.parts.append(" ")

    def _is_markup(self, tag: str, attrs: list[tuple[str, str | None]], raw: str) -> bool:
        """Tell a tag from words in angle brackets, as in "<NEW> balm" or "a <b or c> d"."""
        if tag in self._closed or any(value is not None for _, value in attrs):
            return True
        return not attrs and (_is_element(tag) or raw.endswith("/>"))

    def _is_cut_tag(self, tag: str, rest: str) -> bool:
        if "=" in rest:
            return True
        is_known = not rest and any(name.startswith(tag) for name in _ELEMENTS)
        return is_known or (_is_element(tag) and len(rest.split()) < 2)


def _is_element(tag: str) -> bool:
    return tag in _ELEMENTS or _OFFICE.fullmatch(tag) is not None
