"""The inverted file of a field of texts: for each n-gram, the rows whose text has it.

The weight of a gram in a text is eq. (3) with the logarithm of the count, (1 + ln TF) · IDF, with
the IDF of eq. (4); t of eq. (6) is the cosine of two texts. All logarithms are taken once, when the
file is written: a search adds, multiplies and divides float64 in one order, so t is the same number
on every machine.

==========================  =======  =============================================================
file                        dtype    content
==========================  =======  =============================================================
``<name>.codes.npy``        uint64   (V,): the grams, ascending; see grams
``<name>.idf.npy``          float64  (V,): IDF of each gram
``<name>.counts.npy``       float64  (256,): 1 + ln TF by TF; a count above 255 counts as 255
``<name>.offsets.npy``      int64    (V + 1,): gram v's list is bytes offsets[v] to offsets[v + 1]
``<name>.postings.npy``     uint8    the lists: rows ascending, each as often as its text has the
                                     gram, as the difference to the row before (-1 at first) in
                                     base 128, low digits first, 128 added to all but the last
``<name>.norms.npy``        float64  (N,): the length of each text's vector; 0 without a gram
==========================  =======  =============================================================
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval_server.compilation import compiled
from retrieval_server.errors import IndexBundleError
from retrieval_server.storage.arrays import REBUILD, open_array
from retrieval_server.text.grams import Codes

LARGEST_COUNT = 255
_DIGIT_BITS, _CONTINUED = 7, 128


@dataclass(frozen=True)
class Postings:
    """What an inverted file holds, in memory.

    Attributes:
        codes: (V,) uint64, ascending.
        terms: (P,) int32, position of each gram in ``codes``, ascending.
        rows: (P,) int32, ascending for each gram; a row once for each time that its text has it.
        texts: N, number of texts.
    """

    codes: Codes
    terms: NDArray[np.int32]
    rows: NDArray[np.int32]
    texts: int


class InvertedFile:
    """Compares the grams of a query with a field of texts.

    Args:
        folder: folder of the bundle.
        name: stem of the files' names.

    Raises:
        IndexBundleError: if a file is missing or damaged, or the files do not match.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._place = folder / name
        self._codes = open_array(folder / f"{name}.codes.npy", np.uint64, 1)
        self._idf = open_array(folder / f"{name}.idf.npy", np.float64, 1)
        self._counts = open_array(folder / f"{name}.counts.npy", np.float64, 1)
        self._offsets = open_array(folder / f"{name}.offsets.npy", np.int64, 1)
        self._postings = open_array(folder / f"{name}.postings.npy", np.uint8, 1)
        self._norms = open_array(folder / f"{name}.norms.npy", np.float64, 1)
        lists = len(self._offsets) - 1
        is_whole = (
            len(self._codes) == len(self._idf) == lists
            and len(self._counts) == LARGEST_COUNT + 1
            and self._offsets[-1] == len(self._postings)
        )
        if not is_whole:
            raise IndexBundleError(f"The files of {self._place} do not match. {REBUILD}")

    def __len__(self) -> int:
        return len(self._norms)

    def raise_to_cosines(self, codes: Codes, cosines: NDArray[np.float64]) -> None:
        """Raise values to the cosine of a query and each text, where they are below it.

        A gram that no text has says nothing: it counts neither for the texts nor for the length of
        the query's vector.

        Args:
            codes: the grams of the query, each as often as it has it.
            cosines: (N,) the values.

        Raises:
            IndexBundleError: if a list is damaged.
        """
        grams, counts = np.unique(codes, return_counts=True)
        terms = np.searchsorted(self._codes, grams)
        terms[terms == len(self._codes)] = 0
        known = self._codes[terms] == grams if len(self._codes) else np.zeros(len(grams), np.bool_)
        terms = terms[known]
        idf = self._idf[terms]
        weights = self._counts[np.minimum(counts[known], LARGEST_COUNT)] * idf
        length = math.sqrt(math.fsum((weights * weights).tolist()))
        products = np.zeros(len(self))
        is_whole = _add_lists(
            self._postings, self._offsets[terms], self._offsets[terms + 1],
            weights * idf, self._counts, products,
        )  # fmt: skip
        if not is_whole:
            raise IndexBundleError(f"A list of {self._place}.postings.npy is damaged. {REBUILD}")
        _raise_to_quotients(products, self._norms, length, cosines)


def write_inverted_file(folder: Path, name: str, postings: Postings) -> None:
    """Write the files of a field; overwrites.

    Args:
        folder: folder of the bundle.
        name: stem of the files' names.
        postings: the grams of the texts.

    Raises:
        OSError: if the disk is full.
    """
    terms, rows, runs = _without_excess(postings)
    documents = np.bincount(terms[runs[:-1]], minlength=len(postings.codes))
    filled = len(np.unique(rows))
    idf = np.log((1 + filled) / (1 + documents.astype(np.float64))) + 1
    counts = np.concatenate([[0.0], 1 + np.log(np.arange(1, LARGEST_COUNT + 1))])
    weights = counts[np.diff(runs)] * idf[terms[runs[:-1]]]
    squares = np.bincount(rows[runs[:-1]], weights * weights, minlength=postings.texts)
    starts = np.searchsorted(terms, np.arange(len(postings.codes) + 1))
    gaps = np.diff(rows, prepend=np.int32(-1)).astype(np.int64)
    gaps[starts[:-1]] = rows[starts[:-1]] + 1
    lists, ends = _in_base_128(gaps)
    for part, array in (
        ("codes", postings.codes),
        ("idf", idf),
        ("counts", counts),
        ("offsets", np.concatenate([[0], ends])[starts]),
        ("postings", lists),
        ("norms", np.sqrt(squares)),
    ):
        np.save(folder / f"{name}.{part}.npy", array)


def _without_excess(
    postings: Postings,
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]]:
    """Terms and rows, no more than 255 of a kind, and where each kind begins, and the end."""
    terms, rows = postings.terms, postings.rows
    is_new = (np.diff(terms, prepend=-1) != 0) | (np.diff(rows, prepend=-1) != 0)
    runs = np.append(np.flatnonzero(is_new), len(rows))
    lengths = np.diff(runs)
    if lengths.max(initial=0) > LARGEST_COUNT:
        kept = np.minimum(lengths, LARGEST_COUNT)
        terms, rows = np.repeat(terms[runs[:-1]], kept), np.repeat(rows[runs[:-1]], kept)
        runs = np.concatenate([[0], np.cumsum(kept)])
    return terms, rows, runs


def _in_base_128(numbers: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The digits of numbers ≥ 0, low ones first, and one past the last digit of each."""
    digits = np.ones(len(numbers), np.int64)
    for power in range(1, 5):
        digits += numbers >= 1 << _DIGIT_BITS * power
    ends = np.cumsum(digits)
    found = np.empty(int(digits.sum()), np.uint8)
    for place in range(int(digits.max(initial=0))):
        has_it = digits > place
        digit = numbers[has_it] >> _DIGIT_BITS * place & (_CONTINUED - 1)
        digit += _CONTINUED * (digits[has_it] > place + 1)
        found[ends[has_it] - digits[has_it] + place] = digit
    return found, ends


@compiled
def _add_lists(
    postings: NDArray[np.uint8],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    weights: NDArray[np.float64],
    counts: NDArray[np.float64],
    products: NDArray[np.float64],
) -> bool:
    """Add the inner products of a query with the texts, gram by gram; False if a list is damaged.

    Args:
        postings: the lists.
        starts: (T,) where the list of each gram of the query begins.
        ends: (T,) where it ends.
        weights: (T,) weight of the gram in the query, times its IDF.
        counts: (256,) 1 + ln TF by TF.
        products: (N,) gets them added.
    """
    for term in range(starts.size):
        row, position, end, weight = np.int64(-1), starts[term], ends[term], weights[term]
        while position < end:
            gap, shift = np.int64(postings[position]), 7
            position += 1
            if gap >= 128:
                gap -= 128
                while position < end and shift < 35:
                    digit = np.int64(postings[position])
                    position += 1
                    gap += (digit & 127) << shift
                    shift += 7
                    if digit < 128:
                        break
            row += gap
            if gap == 0 or row >= products.size:
                return False
            count = 1  # of the same row: each further one is a difference of 0
            while position < end and postings[position] == 0 and count < 255:
                position += 1
                count += 1
            products[row] += weight * counts[count]
    return True


@compiled
def _raise_to_quotients(
    products: NDArray[np.float64],
    norms: NDArray[np.float64],
    length: float,
    cosines: NDArray[np.float64],
) -> None:
    """Raise values to the cosines, which are 1 at most, rounding or not."""
    for row in range(products.size):
        if products[row] > 0:
            cosine = min(1.0, products[row] / (length * norms[row]))
            cosines[row] = max(cosines[row], cosine)


@compiled
def nonzero(values: NDArray[np.float64]) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """The rows of values ≥ 0 that are above 0, ascending, and these values."""
    total = 0
    for row in range(values.size):
        total += values[row] > 0
    rows, found = np.empty(total + 1, np.int32), np.empty(total + 1)  # writes one beyond
    count = 0
    for row in range(values.size):  # no branch: a third of the rows is above 0, in no order
        rows[count], found[count] = row, values[row]
        count += values[row] > 0
    return rows[:total], found[:total]
