"""The n-grams of a text, by which the words of a query are compared with the texts of products.

A text becomes words by the rule of ``words_of``: lower case, without accents and apostrophes. The
*grams* of a text that somebody wrote are

- the runs of three characters of each word with a space before and behind it, so that the ends of
  words count: ``oil`` has `` oi``, ``oil`` and ``il ``, ``3`` has `` 3 ``;
- in scripts that put no spaces between words, each pair of neighbours as well, since most words of
  these have one or two characters.

No gram spans two words. A text that was read from an image has its spaces in doubtful places, and
single characters that are none. There, a line without its spaces takes the place of a word, and no
space is added: ``BODY OIL`` has ``bod``, ``ody``, ``dyo``, ``yoi`` and ``oil``.

A gram is stored as its *code*, the code points side by side in 63 bits, so
a vocabulary is a sorted array of integers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval_server.text.plain_text import resolved_text
from retrieval_server.text.tokens import words_of

GRAMS = "strip-accents-2 trigrams-1"  # tokeniser and n-grams; a changed rule gets a new name
CODE_BITS = 21  # of a code point
_END = "\n"  # between two texts; no word has it
_SPACE = ord(" ")
_UNSPACED = (  # first and last code point
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x3040, 0x30FF),  # kana
    (0x3400, 0x9FFF),  # Han
    (0x20000, 0x3FFFF),  # Han, further planes
)

Codes = NDArray[np.uint64]


def words_in(text: str) -> list[str]:
    """The words of a text, folded; markup and invisible characters are resolved first.

    >>> words_in("L’Oréal Crème-50ml")
    ['loreal', 'creme', '50ml']
    """
    return words_of(resolved_text(text))


def lines_in(text: str) -> list[str]:
    """The lines of a text that was read from an image, folded and without spaces.

    >>> lines_in("BODY OIL" + chr(10) + "50 ml")
    ['bodyoil', '50ml']
    """
    lines = ("".join(words_in(line)) for line in text.split("\n"))
    return [line for line in lines if line]


class GramRule(NamedTuple):
    """How a text gives grams.

    Attributes:
        split: splits it into words, or what takes their place.
        has_ends: whether a space is added before and behind each.
    """

    split: Callable[[str], list[str]]
    has_ends: bool


WRITTEN = GramRule(words_in, has_ends=True)
READ = GramRule(lines_in, has_ends=False)


def grams_of(texts: Sequence[str], rule: GramRule) -> tuple[NDArray[np.int32], Codes]:
    """Find the grams of some texts; see ``gram_codes``."""
    return gram_codes([rule.split(text) for text in texts], has_ends=rule.has_ends)


def gram_codes(
    texts: Sequence[Sequence[str]], *, has_ends: bool = True
) -> tuple[NDArray[np.int32], Codes]:
    """Find the grams of some texts.

    Args:
        texts: the words of each, folded.
        has_ends: whether the ends of words count.

    Returns:
        The number of the text of each gram, ascending, and its code; a gram that a text has several
        times is there as often.
    """
    joined = _END.join(f" {' '.join(words)} " if words else "" for words in texts)
    points = np.frombuffer(joined.encode("utf-32-le"), np.uint32).astype(np.uint64)
    numbers = np.cumsum(points == ord(_END)).astype(np.int32)
    triples = _triples(points, has_ends=has_ends)
    pairs = _pairs(points)
    positions = np.concatenate([triples, pairs])
    codes = np.concatenate([_codes(points, triples, 3), _codes(points, pairs, 2)])
    order = np.argsort(positions, kind="stable")
    return numbers[positions[order]], codes[order]


def gram_text(code: int) -> str:
    """The characters of a code."""
    mask = (1 << CODE_BITS) - 1
    points = (code >> (2 * CODE_BITS), code >> CODE_BITS & mask, code & mask)
    return "".join(chr(point) for point in points if point)


def _triples(points: Codes, *, has_ends: bool) -> NDArray[np.int64]:
    """Where three characters of one word begin, with the spaces at its ends or without."""
    if len(points) < 3:
        return np.empty(0, np.int64)
    is_inside = (points != _SPACE) & (points != ord(_END))
    if has_ends:
        return np.flatnonzero(is_inside[1:-1])
    return np.flatnonzero(is_inside[:-2] & is_inside[1:-1] & is_inside[2:])


def _pairs(points: Codes) -> NDArray[np.int64]:
    """Where two characters of scripts without spaces begin."""
    is_unspaced = np.zeros(len(points), np.bool_)
    for first, last in _UNSPACED:
        is_unspaced |= (points >= first) & (points <= last)
    return np.flatnonzero(is_unspaced[:-1] & is_unspaced[1:])


def _codes(points: Codes, positions: NDArray[np.int64], length: int) -> Codes:
    """The codes of the grams of a length that begin at some positions."""
    codes = np.zeros(len(positions), np.uint64)
    for offset in range(length):
        codes = codes << np.uint64(CODE_BITS) | points[positions + offset]
    return codes
