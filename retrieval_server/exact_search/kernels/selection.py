"""The compiled loops that select rows by their estimates and upper bounds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retrieval_server.exact_search.kernels.compilation import compiled
from retrieval_server.exact_search.kernels.layout import BLOCK_ROWS, FLOAT32_BYTES, INT32_BYTES
from retrieval_server.exact_search.kernels.vector_instructions import (
    address,
    which_reach,
    write_places,
)


@compiled
def survivors(
    upper_bounds: NDArray[np.float32],
    block_maxima: NDArray[np.float32],
    rows: int,
    threshold: np.float32,
    out: NDArray[np.int32],
) -> int:
    """Find the rows whose upper bound reaches a threshold, ascending.

    No branch depends on a row: with half of the rows surviving that is many times faster.

    Args:
        upper_bounds: (64 · blocks,).
        block_maxima: (blocks,) at least the largest upper bound of each block.
        rows: number of rows.
        threshold: the threshold.
        out: (rows + 16,) out; ``write_places`` writes beyond the last.

    Returns:
        The number of survivors.
    """
    count = 0
    for block in range(block_maxima.size):
        if block_maxima[block] >= threshold:
            first = block * BLOCK_ROWS
            bits = which_reach(address(upper_bounds) + first * FLOAT32_BYTES, threshold)
            if first + BLOCK_ROWS > rows:
                bits &= (1 << (rows - first)) - 1
            count += write_places(bits, first, address(out) + count * INT32_BYTES)
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
    known: NDArray[np.int32],
    thresholds: NDArray[np.float32],
    place_of_group: NDArray[np.int32],
) -> int:
    """Keep, in place, those of the first ``count`` rows that reach the threshold of their group.

    Args:
        rows: the rows.
        estimates: by position in ``rows``.
        upper_bounds: by position in ``rows``.
        count: number of rows.
        groups: (N,) the group of each row of the database.
        known: (m,) the groups that have a threshold.
        thresholds: (m,) the thresholds of these.
        place_of_group: (groups,) working memory; -1 before and after.

    Returns:
        The number of rows kept.
    """
    for place in range(known.size):
        place_of_group[known[place]] = place
    kept = 0
    for position in range(count):
        row, bound = rows[position], upper_bounds[position]
        place = place_of_group[groups[row]]
        rows[kept], estimates[kept], upper_bounds[kept] = row, estimates[position], bound
        kept += place < 0 or bound >= thresholds[place]
    for group in known:
        place_of_group[group] = -1
    return kept


def keep_by_group_reference(
    rows: NDArray[np.int32],
    estimates: NDArray[np.float32],
    upper_bounds: NDArray[np.float32],
    count: int,
    groups: NDArray[np.int32],
    known: NDArray[np.int32],
    thresholds: NDArray[np.float32],
) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]:
    """What ``keep_by_group`` leaves of each array, by numpy."""
    is_kept = np.ones(count, np.bool_)
    for group, threshold in zip(known, thresholds, strict=True):
        is_kept &= (groups[rows[:count]] != group) | (upper_bounds[:count] >= threshold)
    return rows[:count][is_kept], estimates[:count][is_kept], upper_bounds[:count][is_kept]
