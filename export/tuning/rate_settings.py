"""Average precision of many settings of refinement at once, in compiled code.

One initial ranking is refined with every k, and every result is rated. The ratings equal those of
``refinement`` and ``metrics`` to the last bit, a thousand times faster; tests compare the two.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from export.evaluation.metrics import RESULTS

_UNIT = math.lcm(*range(1, RESULTS + 1))  # precisions are whole multiples of its inverse


class RowLists(NamedTuple):
    """Lists of database rows, concatenated.

    Attributes:
        indptr: (L + 1,) int64; list i is ``rows[indptr[i] : indptr[i + 1]]``.
        rows: the rows of all lists, int64.
    """

    indptr: NDArray[np.int64]
    rows: NDArray[np.int64]

    @classmethod
    def of(cls, lists: Sequence[Sequence[int]]) -> RowLists:
        """Concatenate lists."""
        lengths = [len(rows) for rows in lists]
        flat = [row for rows in lists for row in rows]
        return cls(np.cumsum([0, *lengths]).astype(np.int64), np.array(flat, np.int64))


def best_rows(
    similarities: NDArray[np.float64], groups: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """The initial ranking: the seven best rows of each query, ties by ascending row.

    Args:
        similarities: (Q, N) float64.
        groups: (N,) the group of each row, of which only the best row counts; None for no groups.

    Returns:
        (Q, min(7, groups)) int64, best first.
    """
    if groups is None:
        groups = np.arange(similarities.shape[1])
    length = min(RESULTS, len(np.unique(groups)))
    best = np.empty((len(similarities), length), np.int64)
    _select(similarities, groups, best)
    return best


def rate_settings(
    similarities: NDArray[np.float64],
    best: NDArray[np.int64],
    neighbours: RowLists,
    relevant: RowLists,
    keeps: NDArray[np.int64],
    groups: NDArray[np.int64] | None = None,
) -> NDArray[np.float64]:
    """Average precision (gt) after Algorithm 1 with each k.

    Args:
        similarities: (Q, N) float64, fused.
        best: the result of ``best_rows``.
        neighbours: text neighbours of each database row, D of eq. (7).
        relevant: the groups that each query should find, at least one.
        keeps: (K,) int64 ≥ 1; 7 and more leave the initial ranking.
        groups: as for ``best_rows``; None makes each row the group of its number.

    Returns:
        (K, Q) float64.
    """
    ratings = np.empty((len(keeps), len(similarities)))
    if groups is None:
        groups = np.arange(similarities.shape[1])
    _rate(similarities, groups, best, neighbours, relevant, keeps, ratings)
    return ratings


@njit(cache=True, nogil=True)
def _select(
    similarities: NDArray[np.float64], groups: NDArray[np.int64], best: NDArray[np.int64]
) -> None:
    for query in range(best.shape[0]):
        found = 0
        for row in range(similarities.shape[1]):
            found = _insert(similarities[query], groups, row, best[query], 0, found, best.shape[1])


@njit(cache=True, nogil=True)
def _rate(
    similarities: NDArray[np.float64],
    groups: NDArray[np.int64],
    best: NDArray[np.int64],
    neighbours: Any,
    relevant: Any,
    keeps: NDArray[np.int64],
    ratings: NDArray[np.float64],
) -> None:
    result = np.empty(RESULTS, np.int64)
    for query in range(best.shape[0]):
        true = relevant.rows[relevant.indptr[query] : relevant.indptr[query + 1]]
        for index in range(len(keeps)):
            count = _refine(
                similarities[query], groups, best[query], neighbours, keeps[index], result
            )
            ratings[index, query] = _average_precision(groups[result[:count]], true)


@njit(cache=True, nogil=True)
def _refine(
    similarities: NDArray[np.float64],
    groups: NDArray[np.int64],
    best: NDArray[np.int64],
    neighbours: Any,
    keep: int,
    result: NDArray[np.int64],
) -> int:
    """Algorithm 1 for one query; returns the length of the result."""
    seeds = min(keep, len(best))
    result[:seeds] = best[:seeds]
    count = seeds
    for seed in best[:seeds]:
        for row in neighbours.rows[neighbours.indptr[seed] : neighbours.indptr[seed + 1]]:
            if not _holds(groups[result[:seeds]], groups[row]):
                count = _insert(similarities, groups, row, result, seeds, count, RESULTS)
    for row in best:
        if count < RESULTS and not _holds(groups[result[:count]], groups[row]):
            result[count] = row
            count += 1
    return count


@njit(cache=True, nogil=True)
def _insert(
    similarities: NDArray[np.float64],
    groups: NDArray[np.int64],
    row: int,
    ranking: NDArray[np.int64],
    first: int,
    count: int,
    limit: int,
) -> int:
    """Insert a row into ranking[first:count] by similarity; returns the new count.

    Nothing changes if it does not fit, or if a row of its group is as good; a worse one leaves.
    """
    similarity = similarities[row]
    position = count
    while position > first:
        other = ranking[position - 1]
        if similarities[other] > similarity or (similarities[other] == similarity and other < row):
            break
        position -= 1
    if position == limit:
        return count
    last = count
    for held in range(first, count):
        if groups[ranking[held]] == groups[row]:
            last = held
    if last < position:
        return count
    if last == count:
        count = min(count + 1, limit)
        last = count - 1
    for moved in range(last, position, -1):
        ranking[moved] = ranking[moved - 1]
    ranking[position] = row
    return count


@njit(cache=True, nogil=True)
def _average_precision(result: NDArray[np.int64], relevant: NDArray[np.int64]) -> float:
    """Rate the groups of a result."""
    hits = precisions = 0
    for rank in range(len(result)):
        if _holds(relevant, result[rank]):
            hits += 1
            precisions += hits * (_UNIT // (rank + 1))
    return precisions / (_UNIT * min(len(relevant), RESULTS))


@njit(cache=True, nogil=True)
def _holds(groups: NDArray[np.int64], group: int) -> bool:
    return bool((groups == group).any())
