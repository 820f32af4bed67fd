"""The rows of one posting list, copied together with postings of their own.

A join of the list reads its rows again and again; their copy fits the processor's cache.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from export.text_index.posting_lists import PostingLists

RARER_WEIGHT = np.float32(10)  # its square outweighs any cosine
LANES = 32  # rows whose bounds are scanned together


class Block(NamedTuple):
    """The rows of one posting list without the list's own term, and buffers for one row.

    Attributes:
        own: by row of the block, weight of the list's own term.
        start: spans of the rows in ``terms`` and ``weights``.
        middle: by row, where the terms begin that are commoner than the list's own.
        terms: terms of the rows, rarest first in a row.
        weights: weights of these terms.
        begin: by term, where its postings begin.
        end: by term, one behind the end of its postings; 0 for a term without postings.
        posted_row: postings of each term, by ascending row.
        posted_weight: ``RARER_WEIGHT`` for a term that is rarer than the list's.
        bound: buffer, by row: bound on its cosine with the current row.
        hits: buffer: rows whose bound exceeds the threshold.
        query: buffer, by term: weights of the current row.
    """

    own: NDArray[np.float64]
    start: NDArray[np.uint32]
    middle: NDArray[np.uint32]
    terms: NDArray[np.int32]
    weights: NDArray[np.float64]
    begin: NDArray[np.uint32]
    end: NDArray[np.uint32]
    posted_row: NDArray[np.uint32]
    posted_weight: NDArray[np.float32]
    bound: NDArray[np.float32]
    hits: NDArray[np.int32]
    query: NDArray[np.float64]


@njit(cache=True, nogil=True)
def new_block(lists: PostingLists, chosen: NDArray[np.int64]) -> Block:
    """Allocate a block for the largest of the lists."""
    rows, entries, terms = 0, 0, len(lists.offsets) - 1
    for index in range(len(chosen)):
        offset, after = lists.offsets[chosen[index]], lists.offsets[chosen[index] + 1]
        here = 0
        for member in range(offset, after):
            here += lists.indptr[lists.rows[member] + 1] - lists.indptr[lists.rows[member]]
        rows, entries = max(rows, after - offset), max(entries, here)
    return Block(
        own=np.empty(rows, np.float64),
        start=np.empty(rows + 1, np.uint32),
        middle=np.empty(rows, np.uint32),
        terms=np.empty(entries, np.int32),
        weights=np.empty(entries, np.float64),
        begin=np.zeros(terms, np.uint32),
        end=np.zeros(terms, np.uint32),
        posted_row=np.empty(entries, np.uint32),
        posted_weight=np.empty(entries, np.float32),
        bound=np.empty(rows + LANES, np.float32),
        hits=np.empty(rows + LANES, np.int32),
        query=np.zeros(terms, np.float64),
    )


@njit(cache=True, nogil=True)
def copy_rows(lists: PostingLists, offset: int, size: int, first_left: int, block: Block) -> None:
    """Copy the rows of a list to the block, and count in ``begin`` the terms that are posted.

    Rows from ``first_left`` on get no postings.
    """
    entries = np.uint32(0)
    for row in range(size):
        source = lists.indptr[lists.rows[offset + row]]
        own_position = source + lists.positions[offset + row]
        block.start[row] = entries
        is_posted = lists.rows[offset + row] < first_left
        for position in range(source, lists.indptr[lists.rows[offset + row] + 1]):
            if position == own_position:
                block.own[row] = lists.weights[position]
                block.middle[row] = entries
                continue
            block.terms[entries] = lists.terms[position]
            block.weights[entries] = lists.weights[position]
            block.begin[lists.terms[position]] += np.uint32(is_posted)
            entries += np.uint32(1)
    block.start[size] = entries


@njit(cache=True, nogil=True)
def post_rows(lists: PostingLists, offset: int, size: int, first_left: int, block: Block) -> None:
    """Build the postings of the block, without rows from ``first_left`` on."""
    used = np.uint32(0)
    for row in range(size):
        if lists.rows[offset + row] >= first_left:
            continue
        for entry in range(block.start[row], block.start[row + 1]):
            term = block.terms[entry]
            target = block.end[term]
            if target == 0:
                length = block.begin[term]
                block.begin[term] = used
                target = used + np.uint32(1)
                used += length
            is_rarer = entry < block.middle[row]
            block.posted_row[target - 1] = row
            block.posted_weight[target - 1] = (
                RARER_WEIGHT if is_rarer else np.float32(block.weights[entry])
            )
            block.end[term] = target + np.uint32(1)


@njit(cache=True, nogil=True)
def clear_terms(size: int, block: Block) -> None:
    """Reset the terms of the block."""
    for entry in range(block.start[size]):
        block.begin[block.terms[entry]] = 0
        block.end[block.terms[entry]] = 0
