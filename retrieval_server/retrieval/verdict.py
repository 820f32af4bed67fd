"""The verdict on a search by a photo: does the index have what it shows, and which match is right?

The query is judged by the first product of its initial ranking, and each match by itself and by its
relation to that product:

============  ======================================================================================
input         of a product
============  ======================================================================================
``visual``    eq. (8), divided by the largest value that it can have, ∏ (1 + α_n)
``text``      t, the similarity of the words and its text; 0 without words
``distance``  ŝ of the first product minus its own, divided by ∏ (1 + α_n) (1 + β)
``alike``     1 for the first product and its text neighbours, eq. (7); 0 for the others
============  ======================================================================================

So a verdict depends neither on top_k nor on the refinement, and a product has the same confidence
wherever it is ranked. It does depend on α and β: there is none where a query changes them.
docs/verdict.md says what was measured to choose the inputs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from retrieval_server.exact_search.similarity import fused_similarity
from retrieval_server.index.calibration import CalibratedKind
from retrieval_server.index.searched_index import SearchedIndex
from retrieval_server.retrieval.search_request import SearchParameters, check_parameters
from retrieval_server.retrieval.search_result import Match, SearchResult


@dataclass(frozen=True)
class Evidence:
    """What the verdict on a query is made from.

    Attributes:
        first: the first product of the initial ranking.
        alike: rows of this product and of its text neighbours.
        alphas: α_n of eq. (8), the profile's.
        text_weight: β, the profile's; it does not matter where the query has no words.
    """

    first: Match
    alike: frozenset[int]
    alphas: tuple[float, ...]
    text_weight: float

    @classmethod
    def of(cls, bundle: SearchedIndex, first: Match) -> Evidence:
        """The evidence of a search by the profile's α and β.

        Args:
            bundle: the index.
            first: the first product of the initial ranking.
        """
        neighbours, _ = bundle.text_index.neighbours(first.row)
        alphas = tuple(backbone.alpha for backbone in bundle.profile.backbones)
        alike = frozenset((first.row, *neighbours.tolist()))
        return cls(first, alike, alphas, bundle.profile.text_weight)

    def query_inputs(self) -> dict[str, float]:
        """The inputs of the model that judges a query."""
        return {"visual": self._visual(self.first), "text": _text(self.first)}

    def match_inputs(self, match: Match) -> dict[str, float]:
        """The inputs of the model that judges a match."""
        largest = self._largest * (1 + self.text_weight)
        return {
            "visual": self._visual(match),
            "text": _text(match),
            "distance": (self.first.similarity - match.similarity) / largest,
            "alike": float(match.row in self.alike),
        }

    @property
    def _largest(self) -> float:
        return math.prod(1 + alpha for alpha in self.alphas)

    def _visual(self, match: Match) -> float:
        return float(fused_similarity(match.cosines, self.alphas)) / self._largest


@dataclass(frozen=True)
class Judge:
    """Gives verdicts on the queries of one kind.

    Attributes:
        bundle: the index.
        models: those of the kind.
    """

    bundle: SearchedIndex
    models: CalibratedKind

    def judged(self, result: SearchResult) -> SearchResult:
        """A result with the probabilities of its verdict; without, if nothing was found.

        No match is more probable than that the index has what the photo shows.

        Args:
            result: what a search found.
        """
        if not result.initial:
            return result
        evidence = Evidence.of(self.bundle, result.initial[0])
        probability = self.models.in_catalogue.probability(evidence.query_inputs())

        def confident(matches: Sequence[Match]) -> tuple[Match, ...]:
            rates = (self.models.match.probability(evidence.match_inputs(m)) for m in matches)
            return tuple(
                replace(match, confidence=probability * rate)
                for match, rate in zip(matches, rates, strict=True)
            )

        return replace(
            result,
            matches=confident(result.matches),
            initial=confident(result.initial),
            in_catalogue_probability=probability,
        )


def judge_of(bundle: SearchedIndex, parameters: SearchParameters) -> Judge | None:
    """What judges a search; None if the index is not calibrated for it.

    Args:
        bundle: the index.
        parameters: how to search.
    """
    calibration, kind = bundle.calibration, parameters.kind
    if calibration is None or kind is None or kind not in calibration.kinds:
        return None
    own = tuple(backbone.alpha for backbone in bundle.profile.backbones)
    if check_parameters(parameters, bundle.profile) != own:
        return None
    weight = parameters.weight_of_words(bundle.profile)
    if kind.has_words and weight != bundle.profile.text_weight:
        return None
    return Judge(bundle, calibration.kinds[kind])


def _text(match: Match) -> float:
    return 0.0 if match.words is None else match.words.cosine
