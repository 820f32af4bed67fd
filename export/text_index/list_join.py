"""The join of one posting list with itself: compiled, and limited by the processor's cache.

The rows of the list are copied to a block, see list_block. For one row at a time an accumulator
holds a float32 bound on the cosines with the rows behind it. The bound is the cosine up to
rounding, or a number far below zero for a pair that shares a rarer term, since that pair belongs to
the list of that term. Where the bound exceeds the threshold, the cosine is computed in float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from export.text_index.list_block import (
    LANES,
    RARER_WEIGHT,
    Block,
    clear_terms,
    copy_rows,
    new_block,
    post_rows,
)
from export.text_index.posting_lists import BUCKET_WIDTH, PostingLists
from retrieval_server.text.neighbours import COSINE_SCALE

_FEW_ROWS = 8  # a list of so few rows is compared term by term before its rows are copied


@njit(cache=True, nogil=True)
def join_lists(
    lists: PostingLists,
    chosen: NDArray[np.int64],
    index: int,
    first_row: int,
    threshold: float,
    slack: np.float32,
    first_new: int,
    only_across: bool,
    pairs: NDArray[Any],
) -> tuple[int, int, int, int]:
    """Join several lists, from a row of one of them on, until the buffer of pairs is full.

    Returns the number of pairs found, the list and the row at which the next call continues, and
    the number of pairs compared.
    """
    lower = np.float32(threshold) - slack
    first_left = first_new if only_across else len(lists.indptr)
    block = new_block(lists, chosen[index:])
    count = compared = 0
    while index < len(chosen):
        offset = lists.offsets[chosen[index]]
        size = lists.offsets[chosen[index] + 1] - offset
        if _may_match(lists, offset, size, lower, first_new) and not (
            size <= _FEW_ROWS and _share_rarer_terms(lists, offset, size)
        ):
            copy_rows(lists, offset, size, first_left, block)
            post_rows(lists, offset, size, first_left, block)
            count, first_row, looked_at = _join_list(
                lists,
                offset,
                size,
                first_row,
                threshold,
                lower,
                first_new,
                only_across,
                block,
                pairs,
                count,
            )
            clear_terms(size, block)
            compared += looked_at
            if first_row < size:
                return count, index, first_row, compared
        index, first_row = index + 1, 0
    return count, index, first_row, compared


@njit(cache=True, nogil=True)
def _join_list(
    lists: PostingLists,
    offset: int,
    size: int,
    first_row: int,
    threshold: float,
    lower: np.float32,
    first_new: int,
    only_across: bool,
    block: Block,
    pairs: NDArray[Any],
    count: int,
) -> tuple[int, int, int]:
    """Join one list; returns the pairs so far, the row to continue at, the pairs compared."""
    is_full = first_new == 0  # then every partner of a row comes behind it in the list
    if is_full:
        for entry in range(block.start[first_row]):
            block.begin[block.terms[entry]] += np.uint32(1)
    last = size  # end of the partners of a row; it only falls, as the norms do
    compared = 0
    for row in range(first_row, size):
        if is_full:
            for entry in range(block.start[row], block.start[row + 1]):
                block.begin[block.terms[entry]] += np.uint32(1)
        elif lists.rows[offset + row] < first_new:
            continue
        limit = lower / lists.norms[offset + row] - np.float32(2) * BUCKET_WIDTH
        while last > 0 and lists.norms[offset + last - 1] <= limit:
            last -= 1
        first = row + 1 if is_full else 0
        if last <= first:
            break
        if count + last - first > len(pairs):
            return count, row, compared
        compared += last - first
        _bound_cosines(block, row, first, last)
        hits = _scan(block.bound, first, last, lower, block.hits)
        if hits:
            count = _add_pairs(
                lists, offset, row, hits, threshold, first_new, only_across, block, pairs, count
            )
    return count, size, compared


@njit(cache=True, nogil=True)
def _bound_cosines(block: Block, row: int, first: int, last: int) -> None:
    """Bound the cosines of one row with a range of rows."""
    own = np.float32(block.own[row])
    bound = block.bound
    for partner in range(first, last):
        bound[partner] = own * np.float32(block.own[partner])
    for entry in range(block.start[row], block.start[row + 1]):
        term = block.terms[entry]
        if block.end[term] == 0:
            continue  # no row that is posted has this term
        run, run_end = block.begin[term], block.end[term] - np.uint32(1)
        while run_end > run and block.posted_row[run_end - 1] >= last:
            run_end -= np.uint32(1)
        block.end[term] = run_end + np.uint32(1)  # rows behind `last` never come back
        weight = -RARER_WEIGHT if entry < block.middle[row] else np.float32(block.weights[entry])
        for posting in range(run, run_end):
            bound[block.posted_row[posting]] += weight * block.posted_weight[posting]


@njit(cache=True, nogil=True)
def _add_pairs(
    lists: PostingLists,
    offset: int,
    row: int,
    hits: int,
    threshold: float,
    first_new: int,
    only_across: bool,
    block: Block,
    pairs: NDArray[Any],
    count: int,
) -> int:
    """Compute the cosines of one row with its hits in float64; keep those above the threshold."""
    for entry in range(block.middle[row], block.start[row + 1]):
        block.query[block.terms[entry]] = block.weights[entry]
    for hit in range(hits):
        partner = block.hits[hit]
        is_new = lists.rows[offset + partner] >= first_new
        if first_new and is_new and (only_across or partner <= row):
            continue  # the other row finds this pair, or nobody is to find it
        cosine = block.own[row] * block.own[partner]
        for entry in range(block.middle[partner], block.start[partner + 1]):
            cosine += block.query[block.terms[entry]] * block.weights[entry]
        if cosine > threshold:
            pairs[count].first = lists.rows[offset + row]
            pairs[count].second = lists.rows[offset + partner]
            pairs[count].cosine = np.rint(min(cosine, 1.0) * COSINE_SCALE)
            count += 1
    for entry in range(block.middle[row], block.start[row + 1]):
        block.query[block.terms[entry]] = 0
    return count


@njit(cache=True, nogil=True)
def _may_match(
    lists: PostingLists, offset: int, size: int, lower: np.float32, first_new: int
) -> bool:
    """Tell whether the largest norms of a list allow a pair, and whether it has a new row."""
    largest = lists.norms[offset] * lists.norms[offset + 1]
    if largest <= lower - np.float32(4) * BUCKET_WIDTH:
        return False
    newest = 0
    for member in range(offset, offset + size):
        newest = max(newest, lists.rows[member])
    return newest >= first_new


@njit(cache=True, nogil=True)
def _share_rarer_terms(lists: PostingLists, offset: int, size: int) -> bool:
    """Tell whether every two rows of a list share a rarer term, whose list has the pair.

    Near copies of one long description would otherwise be copied for each of their words.
    """
    for member in range(offset, offset + size - 1):
        start = lists.indptr[lists.rows[member]]
        end = start + lists.positions[member]
        for other in range(member + 1, offset + size):
            mine, theirs = start, lists.indptr[lists.rows[other]]
            last = theirs + lists.positions[other]
            while mine < end and theirs < last and lists.terms[mine] != lists.terms[theirs]:
                if lists.terms[mine] > lists.terms[theirs]:
                    mine += 1
                else:
                    theirs += 1
            if mine == end or theirs == last:
                return False
    return True


@njit(cache=True, nogil=True, fastmath=True)
def _scan(
    bound: NDArray[np.float32], first: int, last: int, lower: np.float32, hits: NDArray[np.int32]
) -> int:
    """List the rows whose bound exceeds ``lower``; most groups of lanes have none."""
    count = 0
    while first + LANES <= last:
        largest = bound[first]
        for lane in range(1, LANES):
            largest = max(largest, bound[first + lane])
        if largest > lower:
            for position in range(first, first + LANES):
                hits[count] = position
                count += bound[position] > lower
        first += LANES
    while first < last:
        hits[count] = first
        count += bound[first] > lower
        first += 1
    return count
