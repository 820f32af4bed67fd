"""The neighbour lists of all products, written from pairs of distinct vectors in bounded memory.

Rows with equal vectors form one *group*, and the join compares only the first row of a group. So
ten thousand identical descriptions are one row of the join, and their hundred million neighbours
are written directly to the memory-mapped files of the index.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
from numba import njit
from numpy.typing import NDArray

from export.text_index.pair_file import Pairs
from export.text_index.scratch_array import release_if_large, scratch_array
from retrieval_server.cores import available_cores
from retrieval_server.text.neighbours import COSINE_SCALE, create_text_index

PARTS = 64
_MIX = np.uint64(0x9E3779B97F4A7C15)  # 2**64 over the golden ratio
_FOLD = np.uint64(29)


class Groups(NamedTuple):
    """Rows by equal vectors; rows without a vector are in no group.

    Attributes:
        first: (G,) int32, the first row of each group, ascending.
        offsets: (G + 1,) int64, spans of the groups in ``rows``.
        rows: (M,) int32, the rows of each group, ascending.
    """

    first: NDArray[np.int32]
    offsets: NDArray[np.int64]
    rows: NDArray[np.int32]


@dataclass(frozen=True)
class ListSizes:
    """Sizes of the lists that were written.

    Attributes:
        neighbours: ordered pairs (product, neighbour) written.
        cut_lists: lists that the cap shortened.
        cut_neighbours: neighbours that the cap left out.
        longest: length of the longest list, before the cap.
        longest_row: the row of that list.
    """

    neighbours: int
    cut_lists: int
    cut_neighbours: int
    longest: int
    longest_row: int


def group_rows(vectors: scipy.sparse.csr_matrix) -> Groups:
    """Group the rows with equal vectors that are not empty; entries of a row are in term order."""
    indptr = vectors.indptr.astype(np.int64)
    hashes = _row_hashes(indptr, vectors.indices, vectors.data)
    order = np.argsort(hashes, kind="stable")
    leader = _leaders(order, hashes, indptr, vectors.indices, vectors.data)
    filled = np.flatnonzero(np.diff(indptr))
    first, group, sizes = np.unique(leader[filled], return_inverse=True, return_counts=True)
    rows = filled[np.argsort(group, kind="stable")].astype(np.int32)
    return Groups(first.astype(np.int32), np.concatenate([[0], np.cumsum(sizes)]), rows)


def write_neighbour_lists(
    folder: Path,
    groups: Groups,
    found: Pairs,
    row_count: int,
    max_neighbours: int | None = None,
    threads: int | None = None,
) -> ListSizes:
    """Write the textual index: each row's neighbours, cosine descending, then row ascending.

    Args:
        folder: gets the files of the textual index.
        groups: rows by equal vectors.
        found: pairs of groups, every pair once.
        row_count: N, rows of the index.
        max_neighbours: the longest list allowed; None allows any.
        threads: number of threads; None takes one for each available core.
    """
    sizes = np.diff(groups.offsets)
    degrees = np.zeros(len(sizes), np.int64)
    whole = sizes - 1  # (G,) length of a list of the group, before the cap
    for pairs in found.chunks():
        _measure(pairs, sizes, degrees, whole)
    kept = whole if max_neighbours is None else np.minimum(whole, max_neighbours)
    lengths = np.zeros(row_count, np.int64)
    lengths[groups.rows] = np.repeat(kept, sizes)
    indptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    rows, cosines = create_text_index(folder, indptr)
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(degrees)])
    with (
        scratch_array(folder, int(starts[-1]), np.int32) as partners,
        scratch_array(folder, int(starts[-1]), np.uint16) as partner_cosines,
    ):
        free = starts[:-1].copy()
        for pairs in found.chunks():
            _place(pairs, free, partners, partner_cosines)
            release_if_large(partners)
            release_if_large(partner_cosines)

        def write_part(span: tuple[int, int]) -> None:
            _write_lists(
                *span, groups, starts, partners, partner_cosines, whole, indptr, rows, cosines
            )
            for array in (partners, partner_cosines, rows, cosines):
                release_if_large(array)

        with ThreadPoolExecutor(threads or available_cores()) as pool:
            list(pool.map(write_part, _spans(whole + degrees)))
    longest = int(whole.argmax()) if len(whole) else 0
    return ListSizes(
        neighbours=int(indptr[-1]),
        cut_lists=int(sizes[kept < whole].sum()),
        cut_neighbours=int(((whole - kept) * sizes).sum()),
        longest=int(whole[longest]) if len(whole) else 0,
        longest_row=int(groups.first[longest]) if len(whole) else 0,
    )


def _spans(work: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Cut the groups into spans of about the same work."""
    if not len(work):
        return []
    total = np.cumsum(work + 1)
    cuts = np.searchsorted(total, np.linspace(0, total[-1], PARTS + 1)[1:-1])
    ends = np.unique([0, *cuts, len(work)])
    return list(zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True))


@njit(cache=True, nogil=True)
def _row_hashes(
    indptr: NDArray[np.int64], indices: NDArray[np.int32], data: NDArray[np.float64]
) -> NDArray[np.uint64]:
    """A hash of every row; equal rows have equal hashes."""
    hashes = np.zeros(len(indptr) - 1, np.uint64)
    bits = data.view(np.uint64)
    for row in range(len(hashes)):
        mixed = _MIX
        for entry in range(indptr[row], indptr[row + 1]):
            mixed = (mixed ^ np.uint64(indices[entry]) ^ (bits[entry] << np.uint64(7))) * _MIX
            mixed ^= mixed >> _FOLD
        hashes[row] = mixed
    return hashes


@njit(cache=True, nogil=True)
def _leaders(
    order: NDArray[np.int64],
    hashes: NDArray[np.uint64],
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    data: NDArray[np.float64],
) -> NDArray[np.int32]:
    """For every row the first row with the same entries; ``order`` sorts the rows by hash."""
    leader = np.empty(len(order), np.int32)
    head = order[0] if len(order) else 0
    for row in order:
        if hashes[row] != hashes[head]:
            head = row
        leader[row] = head if _is_same(row, head, indptr, indices, data) else row
    return leader


@njit(cache=True, nogil=True)
def _is_same(
    row: int,
    other: int,
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    data: NDArray[np.float64],
) -> bool:
    length = indptr[row + 1] - indptr[row]
    if length != indptr[other + 1] - indptr[other]:
        return False
    for entry in range(length):
        mine, theirs = indptr[row] + entry, indptr[other] + entry
        if indices[mine] != indices[theirs] or data[mine] != data[theirs]:
            return False
    return True


@njit(cache=True, nogil=True)
def _measure(
    pairs: NDArray[Any],
    sizes: NDArray[np.int64],
    degrees: NDArray[np.int64],
    whole: NDArray[np.int64],
) -> None:
    """Count the partner groups of every group, and the rows in them."""
    for index in range(len(pairs)):
        first, second = pairs[index].first, pairs[index].second
        degrees[first] += 1
        degrees[second] += 1
        whole[first] += sizes[second]
        whole[second] += sizes[first]


@njit(cache=True, nogil=True)
def _place(
    pairs: NDArray[Any],
    free: NDArray[np.int64],
    partners: NDArray[np.int32],
    partner_cosines: NDArray[np.uint16],
) -> None:
    """Add every pair to the lists of both its groups."""
    for index in range(len(pairs)):
        first, second, cosine = pairs[index].first, pairs[index].second, pairs[index].cosine
        partners[free[first]] = second
        partner_cosines[free[first]] = cosine
        free[first] += 1
        partners[free[second]] = first
        partner_cosines[free[second]] = cosine
        free[second] += 1


@njit(cache=True, nogil=True)
def _write_lists(
    begin: int,
    end: int,
    groups: Groups,
    starts: NDArray[np.int64],
    partners: NDArray[np.int32],
    partner_cosines: NDArray[np.uint16],
    whole: NDArray[np.int64],
    indptr: NDArray[np.int64],
    rows: NDArray[np.int32],
    cosines: NDArray[np.uint16],
) -> None:
    """Sort the neighbours of every group, and write them for every row of the group."""
    keys = np.empty(whole[begin:end].max() + 1, np.int64)
    for group in range(begin, end):
        count = 0
        for member in range(groups.offsets[group], groups.offsets[group + 1]):
            keys[count] = groups.rows[member]
            count += 1
        for entry in range(starts[group], starts[group + 1]):
            distance = np.int64(COSINE_SCALE - partner_cosines[entry]) << 32
            partner = partners[entry]
            for member in range(groups.offsets[partner], groups.offsets[partner + 1]):
                keys[count] = distance | np.int64(groups.rows[member])
                count += 1
        keys[:count].sort()
        for member in range(groups.offsets[group], groups.offsets[group + 1]):
            row = groups.rows[member]
            target, key = indptr[row], 0
            while target < indptr[row + 1]:
                neighbour = keys[key] & 0xFFFFFFFF
                if neighbour != row:
                    rows[target] = neighbour
                    cosines[target] = COSINE_SCALE - (keys[key] >> 32)
                    target += 1
                key += 1
