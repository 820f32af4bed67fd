"""What a search returns: matches, the stage of Algorithm 1 each comes from, and the evidence."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from retrieval_server.exact_search.proof import Proof
from retrieval_server.text.word_search import MatchedWord


class Stage(Enum):
    """The stage of Algorithm 1 that a match comes from."""

    INITIAL = "initial"
    REFINED = "refined"
    FILLED = "filled"


@dataclass(frozen=True)
class TextEvidence:
    """Why the textual index proposed a product.

    Attributes:
        seed_row: row of the seed with the most similar description.
        seed_rank: rank of that seed in the initial ranking, from 1.
        cosine: cosine of the two descriptions.
    """

    seed_row: int
    seed_rank: int
    cosine: float


@dataclass(frozen=True)
class WordsEvidence:
    """How similar the words of a query are to the text of a product.

    Attributes:
        cosine: t, 0 without a common n-gram.
        matched: the words of the product with a common n-gram, the most similar first.
    """

    cosine: float
    matched: tuple[MatchedWord, ...]


@dataclass(frozen=True)
class Match:
    """One database image that a search found.

    Attributes:
        row: row of the index.
        similarity: fused similarity, eq. (8), times 1 + β t where the query has words.
        cosines: cosine of each backbone, in the order of the profile; none without an image.
        stage: the stage of Algorithm 1 it comes from.
        text: the evidence of a refined match; None for the others.
        words: what the words of the query say of it; None for a query whose words do not count.
        confidence: probability that it is right; None without a verdict.
        group_size: number of images of its group that may be found; None without groups.
    """

    row: int
    similarity: float
    cosines: tuple[float, ...]
    stage: Stage
    text: TextEvidence | None = None
    words: WordsEvidence | None = None
    confidence: float | None = None
    group_size: int | None = None


@dataclass(frozen=True)
class SearchResult:
    """The answer to one query.

    Attributes:
        matches: the final result, best first.
        initial: the initial ranking, of the same length.
        subset_size: number of text neighbours that were ranked, |I_subset|.
        searched_count: number of products that may be found.
        rank_us: duration of the initial ranking in microseconds; not compared.
        refine_us: duration of the refinement in microseconds; not compared.
        in_catalogue_probability: probability that the index has what the photo shows; None without
            a verdict.
        proof: what is proved of the initial ranking, where another engine has found its candidates;
            None where the search is exact by itself.
    """

    matches: tuple[Match, ...]
    initial: tuple[Match, ...]
    subset_size: int
    searched_count: int
    rank_us: int = field(compare=False)
    refine_us: int = field(compare=False)
    in_catalogue_probability: float | None = None
    proof: Proof | None = None
