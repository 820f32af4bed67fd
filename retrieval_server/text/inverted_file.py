"""The inverted file of a field of texts: for each n-gram, the rows whose text has it.

The weight of a gram in a text is eq. (3) with the logarithm of the count, (1 + ln TF) · IDF, with
the IDF of eq. (4); t of eq. (6) is the cosine of two texts. All logarithms are taken once, when the
file is written: a search adds, multiplies and divides float64 in one order, so t is the same number
on every machine.

The catalogue is divided into *blocks* of 65,536 rows, so that a row takes two bytes, and the sums
of a block stay in the cache of a core while all grams of a query are added, however many they are.

==========================  =======  =============================================================
file                        dtype    content
==========================  =======  =============================================================
``<name>.codes.npy``        uint64   (V,): the grams, ascending; see grams
``<name>.idf.npy``          float64  (V,): IDF of each gram
``<name>.counts.npy``       float64  (256,): 1 + ln TF by TF; a count above 255 counts as 255
``<name>.offsets.npy``      int64    (2 V B + 1,): where the two lists of a gram in each of B blocks
                                     begin, gram by gram; and the end
``<name>.postings.npy``     uint16   the lists: the rows of the texts that have the gram once, as
                                     rows of the block, ascending; row and TF of each other text
``<name>.norms.npy``        float64  (N,): the length of each text's vector; 0 without a gram
==========================  =======  =============================================================
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval_server.compilation import compiled
from retrieval_server.errors import IndexBundleError
from retrieval_server.storage.arrays import REBUILD, open_array
from retrieval_server.text.grams import Codes
from retrieval_server.text.term_files import smooth_idf

PARTS = ("codes", "idf", "counts", "offsets", "postings", "norms")
LARGEST_COUNT = 255
NO_GRAMS = np.empty(0, np.uint64)
BLOCK_ROWS = 2**16


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
        self._postings = open_array(folder / f"{name}.postings.npy", np.uint16, 1)
        self._norms = open_array(folder / f"{name}.norms.npy", np.float64, 1)
        lists = 2 * len(self._codes) * _blocks(len(self))
        is_whole = (
            len(self._codes) == len(self._idf)
            and len(self._counts) == LARGEST_COUNT + 1
            and len(self._offsets) == lists + 1
            and self._offsets[0] == 0
            and (np.diff(self._offsets) >= 0).all()
            and self._offsets[-1] == len(self._postings)
        )
        if not is_whole:
            raise IndexBundleError(f"The files of {self._place} do not match. {REBUILD}")

    def __len__(self) -> int:
        return len(self._norms)

    def weights_of(self, codes: Codes) -> tuple[Codes, NDArray[np.float64]]:
        """The vector of a text under this file's IDF; DF of a gram that no text has is 0.

        Args:
            codes: the grams of the text, each as often as it has it.

        Returns:
            The grams, each once, ascending, and the weight of each.
        """
        grams, counts = np.unique(codes, return_counts=True)
        terms, known = self._terms_of(grams)
        idf = np.full(len(grams), self._new_idf)
        idf[known] = self._idf[terms]
        return grams, self._counts[np.minimum(counts, LARGEST_COUNT)] * idf

    def knows(self, grams: Codes) -> NDArray[np.bool_]:
        """Which of some grams a text has."""
        return self._terms_of(grams)[1]

    def raise_to_cosines(
        self, codes: Codes, cosines: NDArray[np.float64], elsewhere: Codes = NO_GRAMS
    ) -> float:
        """Raise values to the cosine of a query and each text, where they are below it.

        A gram that no text has says nothing: it counts neither for the texts nor for the length of
        the query's vector.

        Args:
            codes: the grams of the query, each as often as it has it.
            cosines: (N,) the values.
            elsewhere: grams that texts beside this file have, which count for the length.

        Returns:
            The length of the query's vector.

        Raises:
            IndexBundleError: if a list is damaged.
        """
        grams, weights = self.weights_of(codes)
        terms, known = self._terms_of(grams)
        counting = weights[known | np.isin(grams, elsewhere)]
        length = math.sqrt(math.fsum((counting * counting).tolist()))
        is_whole = _raise_by_blocks(
            self._postings, self._offsets, terms, weights[known] * self._idf[terms], self._counts,
            self._norms, length, cosines,
        )  # fmt: skip
        if not is_whole:
            raise IndexBundleError(f"A list of {self._place}.postings.npy is damaged. {REBUILD}")
        return length

    @cached_property
    def _new_idf(self) -> float:
        """The IDF of a gram that no text has."""
        return float(smooth_idf(np.zeros(1, np.int64), int(np.count_nonzero(self._norms)))[0])

    def _terms_of(self, grams: Codes) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The positions of those grams that a text has, and which of the grams these are."""
        terms = np.searchsorted(self._codes, grams)
        terms[terms == len(self._codes)] = 0
        known = self._codes[terms] == grams if len(self._codes) else np.zeros(len(grams), np.bool_)
        return terms[known], known


def write_inverted_file(folder: Path, name: str, postings: Postings) -> None:
    """Write the files of a field; overwrites.

    Args:
        folder: folder of the bundle.
        name: stem of the files' names.
        postings: the grams of the texts.

    Raises:
        OSError: if the disk is full.
    """
    terms, rows, counts = _counted(postings)
    documents = np.bincount(terms, minlength=len(postings.codes))
    filled = len(np.unique(rows))
    idf = smooth_idf(documents, filled)
    weights_by_count = np.concatenate([[0.0], 1 + np.log(np.arange(1, LARGEST_COUNT + 1))])
    weights = weights_by_count[counts] * idf[terms]
    squares = np.bincount(rows, weights * weights, minlength=postings.texts)
    blocks = _blocks(postings.texts)
    lists, offsets = _lists(
        terms.astype(np.int64) * blocks + rows // BLOCK_ROWS, rows % BLOCK_ROWS, counts,
        len(postings.codes) * blocks,
    )  # fmt: skip
    for part, array in (
        ("codes", postings.codes),
        ("idf", idf),
        ("counts", weights_by_count),
        ("offsets", offsets),
        ("postings", lists),
        ("norms", np.sqrt(squares)),
    ):
        np.save(folder / f"{name}.{part}.npy", array)


def _blocks(rows: int) -> int:
    """The number of blocks of a catalogue."""
    return -(-rows // BLOCK_ROWS)


def _counted(
    postings: Postings,
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]]:
    """Terms and rows, each pair once, and how often it is there, 255 at most."""
    terms, rows = postings.terms, postings.rows
    is_new = (np.diff(terms, prepend=-1) != 0) | (np.diff(rows, prepend=-1) != 0)
    firsts = np.flatnonzero(is_new)
    counts = np.diff(firsts, append=len(rows))
    return terms[firsts], rows[firsts], np.minimum(counts, LARGEST_COUNT)


def _lists(
    pairs: NDArray[np.int64], rows: NDArray[np.int32], counts: NDArray[np.int64], number: int
) -> tuple[NDArray[np.uint16], NDArray[np.int64]]:
    """The content of the postings and of the offsets.

    Args:
        pairs: (P,) the gram and the block of each posting as one number, ascending.
        rows: (P,) its row in the block.
        counts: (P,) how often the text has the gram.
        number: of different pairs.
    """
    is_single = counts == 1
    lengths = np.empty(2 * number, np.int64)
    lengths[::2] = np.bincount(pairs[is_single], minlength=number)
    lengths[1::2] = 2 * np.bincount(pairs[~is_single], minlength=number)
    lists = np.empty(int(lengths.sum()), np.uint16)
    takes_singles = np.repeat(np.arange(2 * number) % 2 == 0, lengths)
    lists[takes_singles] = rows[is_single]
    lists[~takes_singles] = np.stack([rows[~is_single], counts[~is_single]], axis=1).ravel()
    return lists, np.concatenate([[0], np.cumsum(lengths)])


@compiled
def _raise_by_blocks(
    postings: NDArray[np.uint16],
    offsets: NDArray[np.int64],
    terms: NDArray[np.int64],
    weights: NDArray[np.float64],
    counts: NDArray[np.float64],
    norms: NDArray[np.float64],
    length: float,
    cosines: NDArray[np.float64],
) -> bool:
    """Raise values to the cosines of a query and the texts; False if a list is damaged.

    Args:
        postings: the lists.
        offsets: (2 V B + 1,) where they begin, and the end.
        terms: (T,) the grams of the query.
        weights: (T,) weight of the gram in the query, times its IDF.
        counts: (256,) 1 + ln TF by TF.
        norms: (N,) length of each text's vector.
        length: of the query's vector.
        cosines: (N,) the values.
    """
    blocks = -(-norms.size // BLOCK_ROWS)
    products = np.empty(BLOCK_ROWS)  # with each text, added gram by gram
    for block in range(blocks):
        products[:] = 0
        for position in range(terms.size):
            place, weight = 2 * (terms[position] * blocks + block), weights[position]
            first, middle, last = offsets[place], offsets[place + 1], offsets[place + 2]
            once = weight * counts[1]
            for single in range(first, middle):
                products[postings[single]] += once
            for pair in range(middle, last - 1, 2):
                count = postings[pair + 1]
                if count > LARGEST_COUNT:
                    return False
                products[postings[pair]] += weight * counts[count]
        start = block * BLOCK_ROWS
        rows = min(BLOCK_ROWS, norms.size - start)
        for row in range(rows):  # no branch: a product of 0 gives 0, or 0 / 0, which raises nothing
            cosine = products[row] / (length * norms[start + row])
            cosine = 1.0 if cosine > 1.0 else cosine  # by rounding
            current = cosines[start + row]
            cosines[start + row] = cosine if cosine > current else current
        for row in range(rows, BLOCK_ROWS):
            if products[row] > 0:
                return False
    return True


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
