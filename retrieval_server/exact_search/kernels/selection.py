"""The compiled loops that select rows by their estimates and upper bounds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retrieval_server.exact_search.kernels.compilation import compiled
from retrieval_server.exact_search.kernels.layout import BLOCK_ROWS


@compiled
def survivors(
    upper_bounds: NDArray[np.float32],
    block_maxima: NDArray[np.float32],
    rows: int,
    threshold: np.float32,
    out: NDArray[np.int32],
) -> int:
    """Find the rows whose upper bound reaches a threshold, ascending.

    No branch depends on a row: with half of the rows surviving that is 30 times faster.

    Args:
        upper_bounds: (64 · blocks,).
        block_maxima: (blocks,) at least the largest upper bound of each block.
        rows: number of rows.
        threshold: the threshold.
        out: (rows + 1,) out.

    Returns:
        The number of survivors.
    """
    count = 0
    for block in range(block_maxima.size):
        if block_maxima[block] >= threshold:
            for row in range(block * BLOCK_ROWS, min(rows, (block + 1) * BLOCK_ROWS)):
                out[count] = row
                count += upper_bounds[row] >= threshold
    return count


def survivors_reference(
    upper_bounds: NDArray[np.float32], rows: int, threshold: np.float32
) -> NDArray[np.int32]:
    """The rows that ``survivors`` finds, by numpy."""
    return np.flatnonzero(upper_bounds[:rows] >= threshold).astype(np.int32)


@compiled
def keep(
    rows: NDArray[np.int32],
    estimates: NDArray[np.float32],
    upper_bounds: NDArray[np.float32],
    count: int,
    threshold: np.float32,
) -> int:
    """Keep, in place, those of the first ``count`` rows whose upper bound reaches a threshold.

    Returns:
        The number of rows kept.
    """
    kept = 0
    for position in range(count):
        bound = upper_bounds[position]
        rows[kept], estimates[kept], upper_bounds[kept] = rows[position], estimates[position], bound
        kept += bound >= threshold
    return kept


def keep_reference(
    rows: NDArray[np.int32],
    estimates: NDArray[np.float32],
    upper_bounds: NDArray[np.float32],
    count: int,
    threshold: np.float32,
) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]:
    """What ``keep`` leaves of each array, by numpy."""
    is_kept = upper_bounds[:count] >= threshold
    return rows[:count][is_kept], estimates[:count][is_kept], upper_bounds[:count][is_kept]


@compiled
def keep_by_group(
    rows: NDArray[np.int32],
    estimates: NDArray[np.float32],
    upper_bounds: NDArray[np.float32],
    count: int,
    groups: NDArray[np.int32],
    thresholds: NDArray[np.float32],
    is_by_row: bool,
) -> int:
    """Keep, in place, those of the first ``count`` rows that reach the threshold of their group.

    Args:
        rows: the rows.
        estimates: by position in ``rows``; kept with them unless ``is_by_row``.
        upper_bounds: by position in ``rows``, or of every row of the database if ``is_by_row``.
        count: number of rows.
        groups: (N,) the group of each row of the database.
        thresholds: the threshold of each group.
        is_by_row: what ``upper_bounds`` and ``estimates`` are of.

    Returns:
        The number of rows kept.
    """
    kept = 0
    for position in range(count):
        row = rows[position]
        bound = upper_bounds[row if is_by_row else position]
        rows[kept] = row
        if not is_by_row:
            estimates[kept] = estimates[position]
        kept += bound >= thresholds[groups[row]]
    return kept


@compiled
def largest(estimates: NDArray[np.float32], count: int, wanted: int) -> NDArray[np.int64]:
    """Positions of the ``wanted`` largest of the first ``count`` estimates, in no order.

    A position is -1 where there are fewer, or where the others are -inf.
    """
    heap = np.full(wanted, -np.inf, np.float32)
    positions = np.full(wanted, -1, np.int64)
    for position in range(count):
        estimate = estimates[position]
        if estimate > heap[0]:
            node = 0
            while 2 * node + 1 < wanted:
                child = 2 * node + 1
                if child + 1 < wanted and heap[child + 1] < heap[child]:
                    child += 1
                if heap[child] >= estimate:
                    break
                heap[node], positions[node] = heap[child], positions[child]
                node = child
            heap[node], positions[node] = estimate, position
    return positions


def largest_reference(
    estimates: NDArray[np.float32], count: int, wanted: int
) -> NDArray[np.float32]:
    """The estimates at the positions that ``largest`` finds, descending, by numpy.

    Of equal estimates ``largest`` may find any.
    """
    descending = np.sort(estimates[:count])[::-1][:wanted]
    return descending[descending > -np.inf]


@compiled
def largest_of_groups(
    estimates: NDArray[np.float32],
    groups: NDArray[np.int32],
    wanted: int,
    largest_by_group: NDArray[np.float32],
    position_by_group: NDArray[np.int32],
) -> NDArray[np.int64]:
    """Find the ``wanted`` groups with the largest estimates, and a position of each of these.

    Args:
        estimates: (M,).
        groups: (M,) the group of each of them; or more than M.
        wanted: number of groups.
        largest_by_group: (groups,) working memory; -inf before and after.
        position_by_group: (groups,) working memory.

    Returns:
        (wanted,) positions of the largest estimate of each group found, in no order; -1 where there
        are fewer groups, or where the others are -inf.
    """
    for position in range(estimates.size):
        group = groups[position]
        if estimates[position] > largest_by_group[group]:
            largest_by_group[group] = estimates[position]
            position_by_group[group] = position
    found: NDArray[np.int64] = largest(largest_by_group, largest_by_group.size, wanted)
    for place in range(wanted):
        if found[place] >= 0:
            found[place] = position_by_group[found[place]]
    largest_by_group[:] = -np.inf
    return found


def largest_of_groups_reference(
    estimates: NDArray[np.float32], groups: NDArray[np.int32], wanted: int
) -> NDArray[np.float32]:
    """The estimates at the positions that ``largest_of_groups`` finds, descending, by numpy."""
    by_group = np.full(groups.max(initial=0) + 1, -np.inf, np.float32)
    np.maximum.at(by_group, groups, estimates)
    return largest_reference(by_group, len(by_group), wanted)
