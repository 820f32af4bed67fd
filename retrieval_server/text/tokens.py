"""How a description becomes terms; each rule has a name that the manifest records.

- ``strip-accents-1``, the default: accents are stripped and apostrophes deleted, so that L'Oréal,
  L’Oreal and LOREAL are one term; a point between digits stays (1.7 oz); any other punctuation
  separates; single characters count, as they tell sizes and shades apart.
- ``literal-1``: the paper's section 2.2 to the letter. Lowercase, punctuation and symbols removed,
  split at white space: 1.7 becomes 17, "2-Pack" becomes 2pack, accents stay.

scikit-learn's own pattern is not offered: it drops single characters and splits brands at their
apostrophes, which gives 23 % other pairs on real titles. A changed rule gets a new name.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from types import MappingProxyType

APOSTROPHES = re.compile("['’‘`´ʼ＇]")

_SYMBOLS = re.compile("[®™©℠]")  # NFKD would turn ™ into the letters TM
_TERM = re.compile(r"[^\W_]+(?:(?<=\d)\.(?=\d)[^\W_]+)*")
_REMOVED = re.compile(r"[^\w\s]|_")

Tokeniser = Callable[[str], list[str]]


def strip_accents_tokens(text: str) -> list[str]:
    """Split a description into terms, by the rule ``strip-accents-1``.

    >>> strip_accents_tokens("L’Oréal Crème-50ml, 1.7 oz")
    ['loreal', 'creme', '50ml', '1.7', 'oz']
    """
    if text.isascii():
        return _TERM.findall(text.replace("'", "").replace("`", "").lower())
    return _TERM.findall(without_accents(_SYMBOLS.sub(" ", APOSTROPHES.sub("", text))).lower())


def literal_tokens(text: str) -> list[str]:
    """Split a description into terms, by the rule ``literal-1``.

    >>> literal_tokens("L’Oréal Crème-50ml, 1.7 oz")
    ['loréal', 'crème50ml', '17', 'oz']
    """
    return _REMOVED.sub("", unicodedata.normalize("NFC", text).lower()).split()


def without_accents(text: str) -> str:
    """Compatibility-decompose a text (NFKD) and drop what combines."""
    plain = unicodedata.normalize("NFKD", text)
    if plain.isascii():
        return plain
    return "".join(letter for letter in plain if not unicodedata.combining(letter))


DEFAULT_TOKENISER = "strip-accents-1"
TOKENISERS: Mapping[str, Tokeniser] = MappingProxyType(
    {DEFAULT_TOKENISER: strip_accents_tokens, "literal-1": literal_tokens}
)
