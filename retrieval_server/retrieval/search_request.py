"""What a caller asks for, and what is refused before anything is searched."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval_server.errors import QueryError
from retrieval_server.exact_search.similarity import NORM_TOLERANCE
from retrieval_server.filters.expression import Filter
from retrieval_server.index.calibration import QueryKind
from retrieval_server.models.profile import MAX_ALPHA, MAX_TEXT_WEIGHT, Profile
from retrieval_server.text.word_search import too_many_words

DEFAULT_TOP_K = 7  # the challenge asks for seven
DEFAULT_KEEP = 3  # the best k of the paper's Table 1
MAX_TOP_K = 100

QueryDescriptors = tuple[NDArray[np.float32], ...]  # one (C_n,) for each backbone of the profile


@dataclass(frozen=True, kw_only=True)
class SearchParameters:
    """How to search.

    Attributes:
        top_k: number of results.
        keep: k of Algorithm 1, the number of best visual matches that stay.
        refine: whether to refine through the textual index.
        alphas: α_n of eq. (8) by model name, where it differs from the profile's.
        words: words that the product's text should have; empty for none.
        text_weight: β of the factor 1 + β t, with t the similarity of words and text; None takes
            the profile's.
        filter: which products may be found, by the columns of the catalogue; None for all.
        exclude_ids: ids of products that may not be found; one that is not in the index is ignored.
        group_by: name of the column by whose values the results are grouped: each is the best image
            of a value, and ``top_k`` and ``keep`` count values; None for single images.
        min_similarity: the similarity that every match has at least, as ``Match.similarity``; None
            for any.
        kind: what the query consists of, for a verdict on it; None where it is of another kind, or
            no verdict is wanted.
        answer_by_s: when the caller's time is over, on the clock ``time.monotonic``; None if it
            never is. A search in a store then proves what it can prove in time; see ``Proof``.
    """

    top_k: int = DEFAULT_TOP_K
    keep: int = DEFAULT_KEEP
    refine: bool = True
    alphas: Mapping[str, float] | None = None
    words: str = ""
    text_weight: float | None = None
    kind: QueryKind | None = None
    filter: Filter | None = None
    exclude_ids: Collection[str] = ()
    group_by: str | None = None
    min_similarity: float | None = None
    answer_by_s: float | None = None

    def weight_of_words(self, profile: Profile) -> float:
        """β: that of the request, or the profile's."""
        return profile.text_weight if self.text_weight is None else self.text_weight


def check_parameters(parameters: SearchParameters, profile: Profile) -> tuple[float, ...]:
    """Check how to search.

    Returns:
        α_n of eq. (8), in the order of the profile's backbones.

    Raises:
        QueryError: if a parameter is out of range or names an unknown model.
    """
    for name, value in (("top_k", parameters.top_k), ("keep", parameters.keep)):
        if not 1 <= value <= MAX_TOP_K:
            raise QueryError(name, f"must be 1..{MAX_TOP_K}, got {value}.")
    check_words(parameters)
    check_bounds(parameters)
    alphas = dict(profile.alphas)
    for name, alpha in (parameters.alphas or {}).items():
        if name not in alphas:
            raise QueryError("alpha", f"there is no model {name!r}; there are {list(alphas)}.")
        if not 0 <= alpha <= MAX_ALPHA:
            raise QueryError("alpha", f"{name} must be 0..{MAX_ALPHA:g}, got {alpha}.")
        alphas[name] = alpha
    return tuple(alphas[model] for model in profile.models)


def check_words(parameters: SearchParameters) -> None:
    """Check the words of a search, and their weight.

    Raises:
        QueryError: if there are too many, or the weight is out of range.
    """
    if problem := too_many_words(parameters.words):
        raise QueryError("words", problem)
    weight = parameters.text_weight
    if weight is not None and not 0 <= weight <= MAX_TEXT_WEIGHT:
        raise QueryError("text_weight", f"must be 0..{MAX_TEXT_WEIGHT:g}, got {weight}.")


def check_bounds(parameters: SearchParameters) -> None:
    """Check which similarity a search finds at least.

    Raises:
        QueryError: if it is no number.
    """
    least = parameters.min_similarity
    if least is not None and not math.isfinite(least):
        raise QueryError("min_similarity", f"must be a finite number, got {least}.")


def check_descriptors(
    by_model: Mapping[str, NDArray[np.float32]], dimensions: Mapping[str, int]
) -> QueryDescriptors:
    """Check a caller's descriptors and put them into the order of the profile.

    Args:
        by_model: descriptors by model name.
        dimensions: length C_n by model name, in the order of the profile.

    Raises:
        QueryError: if one is missing, unknown, of another length, or not of unit norm or zero.
    """
    if set(by_model) != set(dimensions):
        raise QueryError(
            "descriptors", f"need exactly the models {list(dimensions)}, got {sorted(by_model)}."
        )
    for name, dimension in dimensions.items():
        vector = by_model[name]
        if vector.shape != (dimension,):
            raise QueryError("descriptors", f"{name} needs {dimension} values, got {vector.size}.")
        norm = float(np.linalg.norm(vector.astype(np.float64)))
        if norm != 0 and not abs(norm - 1) <= NORM_TOLERANCE:
            raise QueryError("descriptors", f"{name} must have L2 norm 1, got {norm:.6g}.")
    return tuple(by_model[name] for name in dimensions)
