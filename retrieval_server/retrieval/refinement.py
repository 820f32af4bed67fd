"""Refinement through the textual index: Algorithm 1, the second stage.

==============================  ==============================================
paper                           here
==============================  ==============================================
k                               ``keep``
I_query,A                       ``initial``, the ranking of the whole database
D(i), eq. (7)                   ``text_index.neighbours(i)``
I_subset                        ``TextSubset``
I_query,subset                  ``ranked``, the subset by fused similarity
I_output                        ``Refinement.matches``
==============================  ==============================================

The best k of the initial ranking are the *seeds*. Where the paper does not say: the subset is a set
and does not contain the seeds; where it has too few products, the initial ranking fills the result.
Where rows have groups, seeds and results are the best rows of groups, and the subset has no row of
a seed's group.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from retrieval_server.exact_search.groups import AllowedRows, RowGroups
from retrieval_server.exact_search.similarity import Ranking
from retrieval_server.index.searched_index import NeighbourLists
from retrieval_server.retrieval.search_result import Match, Stage, TextEvidence

RankRows = Callable[[NDArray[np.int64], int], Ranking]  # rows (M,), length of the ranking


@dataclass(frozen=True)
class Refinement:
    """The result of Algorithm 1.

    Attributes:
        matches: I_output, best first; rows are distinct.
        initial: the initial ranking, I_query,A.
        subset_size: |I_subset|.
    """

    matches: tuple[Match, ...]
    initial: tuple[Match, ...]
    subset_size: int


@dataclass(frozen=True)
class TextSubset:
    """The text neighbours of the seeds, I_subset.

    Attributes:
        rows: (M,) int64, ascending, distinct.
        seeds: (M,) int64, position from 0 of the seed with the most similar description; of
            equally similar seeds, the better ranked.
        cosines: (M,) float64, cosine of the two descriptions.
    """

    rows: NDArray[np.int64]
    seeds: NDArray[np.int64]
    cosines: NDArray[np.float64]


def refine(
    initial: Ranking,
    rank_rows: RankRows,
    text_index: NeighbourLists,
    keep: int,
    top_k: int,
    exclude: int | None = None,
    allowed: AllowedRows | None = None,
    groups: RowGroups | None = None,
) -> Refinement:
    """Replace all but the best k of an initial ranking by the best of their text neighbours.

    Args:
        initial: the best top_k of the rows that may be found, I_query,A; fewer where there are.
        rank_rows: ranks rows of the database by the fused similarity of the same query, of each
            group the best.
        text_index: D of eq. (7).
        keep: the paper's k ≥ 1; with k ≥ top_k the result is the initial ranking.
        top_k: length of the result.
        exclude: a row that must not be in the subset.
        allowed: which rows may be in the subset; None for all.
        groups: groups of the rows; None for none.
    """
    if keep >= top_k:
        return unrefined(initial)
    matches = _matches(initial)
    subset = text_subset(initial.rows[:keep], text_index, exclude, allowed, groups)
    ranked = rank_rows(subset.rows, top_k - keep)
    refined = tuple(
        replace(match, stage=Stage.REFINED, text=_evidence(match.row, initial, subset))
        for match in _matches(ranked)
    )
    is_new = ~_have_group_of(initial.rows[keep:], ranked.rows, groups)
    filled = tuple(
        replace(match, stage=Stage.FILLED)
        for match, is_filled in zip(matches[keep:], is_new, strict=True)
        if is_filled
    )
    output = (matches[:keep] + refined + filled)[:top_k]
    return Refinement(output, matches, len(subset.rows))


def unrefined(initial: Ranking) -> Refinement:
    """Return an initial ranking as the result."""
    matches = _matches(initial)
    return Refinement(matches, matches, 0)


def text_subset(
    seeds: NDArray[np.int64],
    text_index: NeighbourLists,
    exclude: int | None = None,
    allowed: AllowedRows | None = None,
    groups: RowGroups | None = None,
) -> TextSubset:
    """Gather the text neighbours of the seeds.

    Args:
        seeds: (k,) rows, best first.
        text_index: D of eq. (7).
        exclude: a row to leave out besides the seeds.
        allowed: which rows may be in the subset; None for all.
        groups: groups of the rows, of which those of the seeds are left out; None for none.
    """
    lists = [text_index.neighbours(int(seed)) for seed in seeds]
    rows = np.concatenate([np.empty(0, np.int64), *(rows for rows, _ in lists)]).astype(np.int64)
    cosines = np.concatenate([np.empty(0), *(cosines for _, cosines in lists)])
    lengths = np.array([len(rows) for rows, _ in lists], np.int64)
    positions = np.repeat(np.arange(len(lists)), lengths)
    eligible = ~_have_group_of(rows, seeds, groups)
    if exclude is not None:
        eligible &= rows != exclude
    if allowed is not None:
        eligible &= allowed[rows]
    rows, cosines, positions = rows[eligible], cosines[eligible], positions[eligible]
    order = np.lexsort((positions, -cosines, rows))
    distinct, first = np.unique(rows[order], return_index=True)
    return TextSubset(distinct, positions[order][first], cosines[order][first])


def _have_group_of(
    rows: NDArray[np.int64], others: NDArray[np.int64], groups: RowGroups | None
) -> NDArray[np.bool_]:
    """Whether each of some rows (M,) is one of others, or is in the group of one."""
    if groups is None:
        return np.isin(rows, others)
    return np.isin(groups.of(rows), groups.of(others))


def _matches(ranking: Ranking) -> tuple[Match, ...]:
    """Turn a ranking by image alone into matches, in its order."""
    return tuple(
        Match(int(row), float(similarity), tuple(map(float, cosines)), Stage.INITIAL)
        for row, similarity, cosines in zip(
            ranking.rows, ranking.similarities, ranking.cosines, strict=True
        )
    )


def _evidence(row: int, initial: Ranking, subset: TextSubset) -> TextEvidence:
    position = int(np.searchsorted(subset.rows, row))
    seed = int(subset.seeds[position])
    return TextEvidence(int(initial.rows[seed]), seed + 1, float(subset.cosines[position]))
