"""The compiled loop that finds the largest estimates: of all candidates, or of different groups."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retrieval_server.exact_search.kernels.compilation import compiled, inlined
from retrieval_server.exact_search.kernels.layout import BLOCK_ROWS, FLOAT32_BYTES
from retrieval_server.exact_search.kernels.vector_instructions import (
    address,
    lowest_bit,
    which_exceed,
)


@inlined
def _which_exceed(estimates: NDArray[np.float32], first: int, last: int, value: np.float32) -> int:
    """A bit for each estimate of a block, [first, last), that exceeds a value."""
    if last - first == BLOCK_ROWS:
        bits: int = which_exceed(address(estimates) + first * FLOAT32_BYTES, value)
        return bits
    mask = 0
    for position in range(first, last):  # of the last block
        mask |= int(estimates[position] > value) << (position - first)
    return mask


@inlined
def _put(
    heap: NDArray[np.float32],
    positions: NDArray[np.int64],
    groups: NDArray[np.int64],
    place_of_group: NDArray[np.int32],
    node: int,
    estimate: np.float32,
    position: int,
    group: int,
) -> None:
    """Put an estimate in the place of a smaller one, and move it down to where it belongs."""
    while 2 * node + 1 < heap.size:
        child = 2 * node + 1
        if child + 1 < heap.size and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= estimate:
            break
        heap[node], positions[node] = heap[child], positions[child]
        groups[node] = groups[child]
        if groups[node] >= 0:
            place_of_group[groups[node]] = node
        node = child
    heap[node], positions[node], groups[node] = estimate, position, group
    if group >= 0:
        place_of_group[group] = node


@compiled
def largest(
    estimates: NDArray[np.float32],
    count: int,
    wanted: int,
    rows: NDArray[np.int32],
    group_of_row: NDArray[np.int32],
    place_of_group: NDArray[np.int32],
) -> NDArray[np.int64]:
    """Find the ``wanted`` largest estimates; with groups, those of different groups.

    A heap has the largest so far; its root is the smallest of them. Few estimates exceed the root,
    so a comparison of vectors passes over most of them. With groups, the heap has the largest
    estimate so far of each of its groups. A group that it loses has no larger estimate than its
    root so far, and the root only grows: so a group that belongs to the result comes back with a
    later estimate, which is its largest.

    Args:
        estimates: by position.
        count: number of positions.
        wanted: number of estimates, ≥ 1; with groups, at most the number of groups.
        rows: (count,) the row at each position; empty where the position is the row.
        group_of_row: (N,) the group of each row of the database; empty without groups.
        place_of_group: (groups,) working memory; -1 before and after. Empty without groups.

    Returns:
        (wanted,) positions of the largest estimates, in no order; of equal ones it may be any. A
        position is -1 where there are fewer, or where the others are -inf.
    """
    heap = np.full(wanted, -np.inf, np.float32)
    positions = np.full(wanted, -1, np.int64)
    groups = np.full(wanted, -1, np.int64)
    has_groups = group_of_row.size > 0
    for first in range(0, count, BLOCK_ROWS):
        bits = _which_exceed(estimates, first, min(count, first + BLOCK_ROWS), heap[0])
        while bits != 0:
            position = first + lowest_bit(bits)
            bits &= bits - 1
            estimate, node, group = estimates[position], 0, -1
            if estimate <= heap[0]:
                continue
            if has_groups:
                group = group_of_row[rows[position] if rows.size > 0 else position]
                node = place_of_group[group]
                if node < 0:  # the root makes room
                    node = 0
                    if groups[0] >= 0:
                        place_of_group[groups[0]] = -1
                elif estimate <= heap[node]:
                    continue
            _put(heap, positions, groups, place_of_group, node, estimate, position, group)
    for node in range(wanted):
        if groups[node] >= 0:
            place_of_group[groups[node]] = -1
    return positions


def largest_reference(
    estimates: NDArray[np.float32], wanted: int, groups: NDArray[np.int32]
) -> NDArray[np.float32]:
    """The estimates at the positions that ``largest`` finds, descending, by numpy.

    Args:
        estimates: (M,).
        wanted: number of estimates.
        groups: (M,) the group of each estimate; without groups, a different one for each.
    """
    by_group = np.full(groups.max(initial=0) + 1, -np.inf, np.float32)
    np.maximum.at(by_group, groups, estimates)
    descending = np.sort(by_group)[::-1][:wanted]
    return descending[descending > -np.inf]
