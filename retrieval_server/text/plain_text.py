r"""The one place that turns a cell of a catalogue into the text of a description.

- Markup and entities are resolved, also escaped markup and what was escaped twice (see markup).
  White space that is left is one space; a text without markup keeps its own.
- Line breaks and tabs that an export wrote as ``\n``, ``\r`` or ``\t`` are white space. A
  backslash before a longer word is not: "black\nude" keeps it.
- Format characters (category Cf: soft hyphens, zero-width and bidirectional marks) are deleted, so
  that a word with them is the word without them. This holds for the zero-width space too, which
  shops' editors leave inside words, and for the joiners of Persian and Indic scripts, which many
  shops omit. Control characters become spaces.
- What stands for a missing description is empty (see missing_values).

Any other text keeps every character. ``plain_text`` of its own result is that result.
"""

from __future__ import annotations

import re

from retrieval_server.text.markup import without_markup
from retrieval_server.text.missing_values import is_missing

LEVELS = 8  # of escaping that are resolved; feeds have two or three

_FORMAT = (
    "\u00ad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u202a-\u202e"
    "\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0001\U000e0020-\U000e007f"
)
_CONTROL = "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"  # all but tab, line feed, carriage return
_ESCAPE = r"\\r\\n|(?<=>)\\[nrt]|\\[nrt](?![a-z])"
_MARKUP = rf"<[a-zA-Z/!?]|&(?:#?\w+;|nbsp\b)|{_ESCAPE}"

_format = re.compile(f"[{_FORMAT}]")
_control = re.compile(f"[{_CONTROL}]")
_escape = re.compile(_ESCAPE)
_unusual = re.compile(f"{_MARKUP}|[{_FORMAT}{_CONTROL}]")  # only to skip the work on most texts


def plain_text(text: str) -> str:
    """Turn a cell into the text of a description.

    >>> plain_text("<p>Cr&egrave;me for <b>dry</b> skin</p><ul><li>50 ml</li></ul>")
    'Crème for dry skin 50 ml'
    >>> plain_text("N/A")
    ''

    Returns:
        The text; empty if the cell says nothing or stands for a missing value.
    """
    plain = resolved_text(text)
    return "" if is_missing(plain) else plain


def resolved_text(text: str) -> str:
    """Resolve markup level by level, and remove characters that nobody sees.

    Other than ``plain_text``, it keeps a text that stands for a missing one.
    """
    if _is_ordinary(text) or not _unusual.search(text):
        return text
    plain = _without_unseen(text)
    for _ in range(LEVELS):
        resolved = _without_unseen(without_markup(_escape.sub(" ", plain)))
        if resolved == plain:
            break
        plain = " ".join(resolved.split())
    return plain


def _is_ordinary(text: str) -> bool:
    """Tell at once of most texts that they have nothing to resolve; no format character prints."""
    return text.isprintable() and "&" not in text and "<" not in text and "\\" not in text


def _without_unseen(text: str) -> str:
    return _control.sub(" ", _format.sub("", text))
