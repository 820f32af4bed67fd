"""Texts as lines of words: ASCII letters are split by compiled code, other texts by Python.

A text of ASCII characters becomes a line as it is, with spaces for its line ends. Of any other
text Python's own rule gives the words, and the line has them with spaces between. So a line with a
byte above 127 is split at its spaces only, and a line without by the rule. Words that are in ASCII
once they are folded stay what they are under the rule: splitting them again changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from retrieval_server.compilation import compiled
from retrieval_server.text.tokens import words_of

_SPACE, _END = ord(" "), ord("\n")
_LOWER = ord("a") - ord("A")


class AsciiRule(IntEnum):
    """How a line of ASCII characters is split.

    Attributes:
        SPACES: at its spaces; it has words that somebody else split.
        TERMS: as ``words_of`` does.
        LETTERS: into its runs of letters, in lower case.
    """

    SPACES = 0
    TERMS = 1
    LETTERS = 2


def plain_lines(plain_texts: Iterable[str]) -> list[str]:
    """The lines of texts without markup, for the rule ``TERMS``."""
    return [
        ascii_line(text) if text.isascii() else " ".join(words_of(text)) for text in plain_texts
    ]


def word_lines(texts: Iterable[str], split: Callable[[str], list[str]]) -> list[str]:
    """The lines of texts that a function splits, for the rule ``SPACES``."""
    return [" ".join(split(text)) for text in texts]


def ascii_line(text: str) -> str:
    """The line of a text of ASCII characters."""
    return text.replace("\n", " ") if "\n" in text else text


def split_lines(lines: Sequence[str], rule: AsciiRule) -> NDArray[np.uint8]:
    """Split lines into words.

    Args:
        lines: without line ends.
        rule: for lines of ASCII characters.

    Returns:
        UTF-8: each word with a space behind it, each line with a line end.
    """
    joined = "".join(f"{line}\n" for line in lines).encode()
    letters = np.frombuffer(joined, np.uint8)
    words = np.empty(2 * len(letters), np.uint8)
    return words[: _split(letters, int(rule), words)]


@compiled
def _split(letters: NDArray[np.uint8], rule: int, words: NDArray[np.uint8]) -> int:
    """Split all lines; returns the end of what was written to ``words``."""
    written = start = 0
    while start < len(letters):
        end, highest = start, 0
        while letters[end] != _END:
            highest |= letters[end]
            end += 1
        if rule == 0 or highest > 127:
            written = _split_at_spaces(letters, start, end, words, written)
        elif rule == 1:
            written = _split_terms(letters, start, end, words, written)
        else:
            written = _split_letters(letters, start, end, words, written)
        words[written] = _END
        written += 1
        start = end + 1
    return written


@compiled
def _split_at_spaces(
    letters: NDArray[np.uint8], start: int, end: int, words: NDArray[np.uint8], written: int
) -> int:
    for at in range(start, end):
        words[written] = letters[at]
        written += 1
    words[written] = _SPACE
    return written + 1


@compiled
def _split_letters(
    letters: NDArray[np.uint8], start: int, end: int, words: NDArray[np.uint8], written: int
) -> int:
    for at in range(start, end):
        lower = letters[at] | _LOWER
        words[written] = lower if ord("a") <= lower <= ord("z") else _SPACE
        written += 1
    words[written] = _SPACE
    return written + 1


@compiled
def _split_terms(
    letters: NDArray[np.uint8], start: int, end: int, words: NDArray[np.uint8], written: int
) -> int:
    """Apostrophes go, a point between two digits stays; letters in lower case."""
    was_digit = False
    for at in range(start, end):
        letter = letters[at]
        if letter == ord("'") or letter == ord("`"):
            continue
        lower = letter | _LOWER
        is_digit = ord("0") <= letter <= ord("9")
        if ord("a") <= lower <= ord("z"):
            words[written] = lower
        elif is_digit or (letter == ord(".") and was_digit and _is_digit_next(letters, at, end)):
            words[written] = letter
        else:
            words[written] = _SPACE
        written += 1
        was_digit = is_digit
    words[written] = _SPACE
    return written + 1


@compiled
def _is_digit_next(letters: NDArray[np.uint8], at: int, end: int) -> bool:
    """Tell whether a digit comes next, apostrophes aside."""
    at += 1
    while at < end and (letters[at] == ord("'") or letters[at] == ord("`")):
        at += 1
    return at < end and ord("0") <= letters[at] <= ord("9")
