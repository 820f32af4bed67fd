"""The rules that split a description into terms; each has a name that the manifest records.

- ``strip-accents-2``, the default: removes accents and apostrophes, so that L'Oréal, L’Oreal and
  LOREAL are one term; keeps a point between digits (1.7 oz); any other punctuation separates terms;
  a single character is a term, because it can distinguish sizes and shades.
- ``literal-2``: section 2.2 of the paper, literally. Lowercase, remove punctuation and symbols,
  split at white space: 1.7 becomes 17, "2-Pack" becomes 2pack, accents are kept.

Both split the plain text of a description (see plain_text), whether or not the reader of the
catalogue has made it plain already. ``strip-accents-1`` and ``literal-1`` did not.

scikit-learn's default pattern is not available here: it drops single characters and splits brands
at their apostrophes, which gives 23 % other pairs on real titles. A changed rule gets a new name.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from types import MappingProxyType

from retrieval_server.text.accents import APOSTROPHES, without_accents
from retrieval_server.text.plain_text import plain_text

_SYMBOLS = re.compile("[®™©℠]")  # NFKD would turn ™ into the letters TM
_TERM = re.compile(r"[^\W_]+(?:(?<=\d)\.(?=\d)[^\W_]+)*")
_REMOVED = re.compile(r"[^\w\s]|_")

Tokeniser = Callable[[str], list[str]]


def strip_accents_tokens(text: str) -> list[str]:
    """Split a description into terms, by the rule ``strip-accents-2``.

    >>> strip_accents_tokens("L’Oréal Crème-50ml, 1.7 oz")
    ['loreal', 'creme', '50ml', '1.7', 'oz']
    """
    return words_of(plain_text(text))


def words_of(plain: str) -> list[str]:
    """Split a text without markup into terms, by the rule ``strip-accents-2``."""
    if plain.isascii():
        return _TERM.findall(plain.replace("'", "").replace("`", "").lower())
    return _TERM.findall(without_accents(_SYMBOLS.sub(" ", APOSTROPHES.sub("", plain))).lower())


def literal_tokens(text: str) -> list[str]:
    """Split a description into terms, by the rule ``literal-2``.

    >>> literal_tokens("L’Oréal Crème-50ml, 1.7 oz")
    ['loréal', 'crème50ml', '17', 'oz']
    """
    return _REMOVED.sub("", unicodedata.normalize("NFC", plain_text(text)).lower()).split()


DEFAULT_TOKENISER = "strip-accents-2"
TOKENISERS: Mapping[str, Tokeniser] = MappingProxyType(
    {DEFAULT_TOKENISER: strip_accents_tokens, "literal-2": literal_tokens}
)
REPLACED_TOKENISERS: Mapping[str, str] = MappingProxyType(
    {"strip-accents-1": DEFAULT_TOKENISER, "literal-1": "literal-2"}
)
