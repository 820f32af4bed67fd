"""Sets of values that a column is compared with: the time does not depend on their number.

A set of numbers is found by *cuckoo hashing*. It has two tables, each with its own hash function. A
number of the set is at its place in one of the tables, so two comparisons tell whether a number is
in the set. A hash function multiplies the 64 bits of a number, as an integer, by a constant; the
highest bits of the product are the place.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retrieval_server.compilation import compiled

Mask = NDArray[np.bool_]

_PLACES = 2  # of each table, at least, for a number; with fewer than one most trials fail
_LONGEST_CHAIN = 64  # numbers that make room for each other; a longer chain rarely ends
_BITS = 2 ** np.arange(8, dtype=np.uint8)
_FREE = np.float64(np.nan).view(np.uint64)  # equal to no number


class CodeSet:
    """Some codes: a bit for each code, since a filter may have 100 sets of half a million codes.

    Args:
        codes: (M,) codes from 0 to the largest.
        largest: the largest code that a column can have.
    """

    def __init__(self, codes: NDArray[np.integer], largest: int) -> None:
        self._bits, self._largest = np.zeros(largest // 8 + 1, np.uint8), np.uint32(largest)
        np.bitwise_or.at(self._bits, codes >> 3, _BITS[codes & 7])

    def holds(self, codes: NDArray[np.unsignedinteger]) -> Mask:
        """Which of some codes are in the set.

        Args:
            codes: (m,) of a column. In a damaged file, a code beyond the largest counts as the
                largest.
        """
        mask = np.empty(len(codes), np.bool_)
        _look_up_codes(codes, self._bits, self._largest, mask)
        return mask


class NumberSet:
    """Some numbers; 0 and -0 are one number.

    Args:
        numbers: (M,), none of them NaN; M ≥ 1.
    """

    def __init__(self, numbers: NDArray[np.float64]) -> None:
        both_zeros = [0.0, -0.0] if 0 in numbers else []  # which have different bits
        bits = np.unique(np.concatenate([numbers, both_zeros]).view(np.uint64))
        self._tables, self._multipliers = _tables_of(bits)

    def holds(self, numbers: NDArray[np.float64]) -> Mask:
        """Which of some numbers are in the set; NaN never is.

        Args:
            numbers: (m,).
        """
        mask = np.empty(len(numbers), np.bool_)
        bits = numbers.view(np.uint64)
        _look_up_numbers(numbers, bits, self._tables, self._multipliers, mask)
        return mask


def _tables_of(numbers: NDArray[np.uint64]) -> tuple[NDArray[np.float64], NDArray[np.uint64]]:
    """Put distinct numbers, given by their bits, into two tables.

    Each trial has more places than the one before, and other hash functions: there is no choice of
    numbers for which many trials fail.

    Returns:
        (2, 2^b) the tables, and (2,) the multiplier of each hash function.
    """
    size = 1 << (_PLACES * len(numbers) - 1).bit_length()
    while True:
        tables = np.full((2, size), _FREE)
        multipliers = np.random.default_rng(size).integers(2**64, size=2, dtype=np.uint64)
        if _are_placed(numbers, multipliers, tables):
            return tables.view(np.float64), multipliers
        size *= 2


@compiled
def _look_up_codes(
    codes: NDArray[np.unsignedinteger],
    bits: NDArray[np.uint8],
    largest: np.uint32,
    mask: Mask,
) -> None:
    for row in range(codes.size):
        code = min(np.uint32(codes[row]), largest)
        mask[row] = (bits[code >> np.uint32(3)] >> (code & np.uint32(7))) & 1


@compiled
def _shift_of(size: int) -> np.uint64:
    """The shift that leaves the highest b bits of 64, for a table of 2^b places, b > 0."""
    shift = 64
    while size > 1:
        shift, size = shift - 1, size // 2
    return np.uint64(shift)


@compiled
def _are_placed(
    numbers: NDArray[np.uint64], multipliers: NDArray[np.uint64], tables: NDArray[np.uint64]
) -> bool:
    """Put numbers into the tables; False if there is no room for one of them.

    A number takes its place in the first table. The number that was there moves to its place in the
    second table, and so on.
    """
    shift = _shift_of(tables.shape[1])
    for number in numbers:
        moving = number
        for move in range(_LONGEST_CHAIN):
            table = move % 2
            place = (moving * multipliers[table]) >> shift
            moving, tables[table, place] = tables[table, place], moving
            if moving == _FREE:
                break
        if moving != _FREE:
            return False
    return True


@compiled
def _look_up_numbers(
    numbers: NDArray[np.float64],
    bits: NDArray[np.uint64],
    tables: NDArray[np.float64],
    multipliers: NDArray[np.uint64],
    mask: Mask,
) -> None:
    shift, first, second = _shift_of(tables.shape[1]), tables[0], tables[1]
    first_multiplier, second_multiplier = multipliers[0], multipliers[1]
    for row in range(numbers.size):
        in_first = first[(bits[row] * first_multiplier) >> shift]
        in_second = second[(bits[row] * second_multiplier) >> shift]
        mask[row] = (in_first == numbers[row]) | (in_second == numbers[row])
