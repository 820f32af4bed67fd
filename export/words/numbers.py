"""Numbers instead of words: a vocabulary that grows, and the numbers of the words of texts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from export.words.lines import AsciiRule, split_lines
from retrieval_server.compilation import compiled

LINES_AT_ONCE = 4096  # their words, and so the hash table, stay in the cache
_FIRST_SLOTS = 2**14
_NO_WORD = np.int32(-1)
_SPACE, _END = ord(" "), ord("\n")
_SEED, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)  # FNV-1a
_MIX, _HALF = np.uint64(0x9E3779B97F4A7C15), np.uint64(32)  # 2**64 over the golden ratio

Lines = Callable[[Sequence[str]], list[str]]


class NumberedWords(NamedTuple):
    """The words of some texts.

    Attributes:
        numbers: (W,) int32, the words of one text after the other.
        sizes: (N,) int64, how many words each text has.
    """

    numbers: NDArray[np.int32]
    sizes: NDArray[np.int64]


class Vocabulary:
    """Words, numbered in the order in which they were first seen."""

    def __init__(self) -> None:
        self._count = 0
        self._slots = np.full(_FIRST_SLOTS, _NO_WORD)  # a hash table, half of it free
        self._hashes = np.empty(_FIRST_SLOTS, np.uint64)
        self._offsets = np.zeros(_FIRST_SLOTS + 1, np.int64)
        self._letters = np.empty(8 * _FIRST_SLOTS, np.uint8)

    def __len__(self) -> int:
        return self._count

    def words(self, first: int = 0) -> list[str]:
        """The words from a number on."""
        ends = self._offsets[first : self._count + 1].tolist()
        letters = self._letters[: self._offsets[self._count]].tobytes()
        return [letters[start:end].decode() for start, end in pairwise(ends)]

    def number(self, words: NDArray[np.uint8]) -> NumberedWords:
        """Number the words of some lines; adds those that are new.

        Args:
            words: as ``split_lines`` returns them.
        """
        is_end = words == _END
        most = int(np.count_nonzero(words == _SPACE))
        self._make_room(most, len(words))
        numbers = np.empty(most, np.int32)
        sizes = np.empty(np.count_nonzero(is_end), np.int64)
        found, self._count = _number(
            words,
            self._slots,
            self._hashes,
            self._offsets,
            self._letters,
            self._count,
            numbers,
            sizes,
        )
        return NumberedWords(numbers[:found].copy(), sizes)

    def _make_room(self, words: int, letters: int) -> None:
        """Make room for new words, so that compiled code never runs out of it."""
        self._hashes = _grown(self._hashes, self._count + words)
        self._offsets = _grown(self._offsets, self._count + words + 1)
        self._letters = _grown(self._letters, int(self._offsets[self._count]) + letters)
        if len(self._slots) < 2 * (self._count + words):
            size = 1 << (2 * (self._count + words) - 1).bit_length()
            self._slots = np.full(size, _NO_WORD)
            _fill(self._slots, self._hashes, self._count)


def number_words(
    texts: Sequence[str], lines: Lines, rule: AsciiRule, vocabulary: Vocabulary
) -> Iterator[NumberedWords]:
    """Number the words of texts, some texts at a time.

    Args:
        texts: the texts.
        lines: makes lines of some of them, see ``lines``.
        rule: how a line of ASCII characters is split.
        vocabulary: gets the words.

    Yields:
        The words of ``LINES_AT_ONCE`` texts, of fewer in the end.
    """
    for first in range(0, len(texts), LINES_AT_ONCE):
        yield vocabulary.number(split_lines(lines(texts[first : first + LINES_AT_ONCE]), rule))


def _grown(array: NDArray[Any], size: int) -> NDArray[Any]:
    """An array of at least a size, twice as large as before if it has to grow."""
    if len(array) >= size:
        return array
    larger = np.empty(max(size, 2 * len(array)), array.dtype)
    larger[: len(array)] = array
    return larger


@compiled
def _number(
    words: NDArray[np.uint8],
    slots: NDArray[np.int32],
    hashes: NDArray[np.uint64],
    offsets: NDArray[np.int64],
    letters: NDArray[np.uint8],
    count: int,
    numbers: NDArray[np.int32],
    sizes: NDArray[np.int64],
) -> tuple[int, int]:
    """Number all words; returns how many there are, and the size of the vocabulary.

    It calls no other function: a call for each word would take longer than all the rest.
    """
    found = line = line_start = start = 0
    word_hash = _SEED
    for at in range(len(words)):
        letter = words[at]
        if letter > _SPACE:
            word_hash = (word_hash ^ np.uint64(letter)) * _PRIME
            continue
        if letter == _END:
            sizes[line] = found - line_start
            line_start = found
            line += 1
        elif at > start:
            slot = int((word_hash * _MIX) >> _HALF) & (len(slots) - 1)
            size = at - start
            while slots[slot] >= 0:
                number = slots[slot]
                first = offsets[number]
                if hashes[number] == word_hash and offsets[number + 1] - first == size:
                    place = 0
                    while place < size and letters[first + place] == words[start + place]:
                        place += 1
                    if place == size:
                        break
                slot = (slot + 1) & (len(slots) - 1)
            if slots[slot] < 0:
                slots[slot] = count
                hashes[count] = word_hash
                first = offsets[count]
                for place in range(size):
                    letters[first + place] = words[start + place]
                count += 1
                offsets[count] = first + size
            numbers[found] = slots[slot]
            found += 1
        start = at + 1
        word_hash = _SEED
    return found, count


@compiled
def _fill(slots: NDArray[np.int32], hashes: NDArray[np.uint64], count: int) -> None:
    """Put distinct words into an empty table."""
    for number in range(count):
        slot = int((hashes[number] * _MIX) >> _HALF) & (len(slots) - 1)
        while slots[slot] >= 0:
            slot = (slot + 1) & (len(slots) - 1)
        slots[slot] = number
