"""What a search found, and where each result comes from."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from retrieval_server.exact_search.similarity import Ranking
from retrieval_server.retrieval.refinement import Stage, TextSubset, merge


@dataclass(frozen=True)
class TextEvidence:
    """Why the textual index proposed a product.

    Attributes:
        seed_row: row of the kept product with the most similar description.
        seed_rank: its rank, from 1.
        cosine: of the two descriptions.
    """

    seed_row: int
    seed_rank: int
    cosine: float


@dataclass(frozen=True)
class Match:
    """One result.

    Attributes:
        row: row of the index.
        similarity: fused similarity, eq. (8).
        cosines: by backbone, in the order of the profile.
        stage: where in Algorithm 1 it comes from.
        text: for a refined one, the evidence.
    """

    row: int
    similarity: float
    cosines: tuple[float, ...]
    stage: Stage
    text: TextEvidence | None = None


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Attributes:
        matches: the final result, best first.
        initial: the initial ranking of the same length.
        subset_size: how many text neighbours were searched again.
        rank_us: time of the initial ranking in microseconds; no part of the result's identity.
        refine_us: time of the refinement, likewise.
    """

    matches: tuple[Match, ...]
    initial: tuple[Match, ...]
    subset_size: int
    rank_us: int = field(compare=False)
    refine_us: int = field(compare=False)


def initial_matches(ranking: Ranking) -> tuple[Match, ...]:
    """A ranking by image as results."""
    return tuple(
        Match(int(row), float(similarity), tuple(map(float, cosines)), Stage.INITIAL)
        for row, similarity, cosines in zip(
            ranking.rows, ranking.similarities, ranking.cosines, strict=True
        )
    )


def merged_matches(
    initial: Ranking, second: Ranking, subset: TextSubset, keep: int, top_k: int
) -> tuple[Match, ...]:
    """The refined result, with the evidence of what the textual index brought.

    Args:
        initial: the first ranking.
        second: the ranked subset.
        subset: where its rows come from.
        keep: the paper's k.
        top_k: length of the result.
    """
    by_row = {m.row: m for m in initial_matches(initial) + initial_matches(second)}
    matches = []
    for row, stage in merge(
        [int(row) for row in initial.rows],
        [int(row) for row in second.rows],
        keep,
        top_k,
    ):
        match = by_row[row]
        evidence = _evidence(row, initial, subset) if stage is Stage.REFINED else None
        matches.append(Match(row, match.similarity, match.cosines, stage, evidence))
    return tuple(matches)


def _evidence(row: int, initial: Ranking, subset: TextSubset) -> TextEvidence:
    place = int(np.searchsorted(subset.rows, row))
    seed = int(subset.seeds[place])
    return TextEvidence(int(initial.rows[seed]), seed + 1, float(subset.cosines[place]))
