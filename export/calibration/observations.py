"""Searches with known answers: each query once as it is, and once without its true matches.

So one ground truth has both cases: photos of what the index has, and photos of what it lacks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from export.dataset.ground_truth import Query
from export.progress import progress
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.index.calibration import QueryKind
from retrieval_server.retrieval.retriever import Retriever
from retrieval_server.retrieval.search_request import (
    DEFAULT_TEXT_WEIGHT,
    QueryDescriptors,
    SearchParameters,
)
from retrieval_server.retrieval.search_result import Match
from retrieval_server.retrieval.verdict import Evidence
from retrieval_server.text.grams import words_in


class AnsweredQuery(NamedTuple):
    """A query, and what is known of its photo.

    Attributes:
        query: the photo with its true matches and its typed words.
        item: the item that it shows.
        descriptors: of the photo.
        read: the lines that were read on it; empty if there are none, or nothing reads.
    """

    query: Query
    item: int
    descriptors: QueryDescriptors
    read: str


@dataclass(frozen=True)
class Observation:
    """The answer to one search, with the truth.

    Attributes:
        item: the item that the query shows.
        is_present: whether its true matches could be found.
        inputs: of the model that judges queries.
        matches: of each product found, the inputs of the model that judges matches, and whether it
            is right.
    """

    item: int
    is_present: bool
    inputs: Mapping[str, float]
    matches: tuple[tuple[Mapping[str, float], bool], ...]


def observe(
    retriever: Retriever, queries: Sequence[AnsweredQuery]
) -> dict[QueryKind, list[Observation]]:
    """Search with every query in every way that there are words for, present and absent.

    Args:
        retriever: the retriever of the index.
        queries: the queries.

    Returns:
        Two observations for each query, by kind of query.
    """
    found: dict[QueryKind, list[Observation]] = {}
    with progress("searches", len(queries)) as advance:
        for answered in queries:
            for kind, words in _searches(answered).items():
                parameters = SearchParameters(words=words)
                found.setdefault(kind, []).extend(
                    (
                        _present(retriever, answered, parameters),
                        _absent(retriever, answered, parameters),
                    )
                )
            advance(1)
    return found


def _searches(answered: AnsweredQuery) -> dict[QueryKind, str]:
    """The words of each kind of query that a photo can be searched by, as the server has them."""
    typed = answered.query.words if words_in(answered.query.words) else ""
    read = answered.read if words_in(answered.read) else ""
    return {
        QueryKind.of(typed=bool(t), read=bool(r)): "\n".join(filter(None, (t, r)))
        for t in ("", typed)
        for r in ("", read)
    }


def _present(
    retriever: Retriever, answered: AnsweredQuery, parameters: SearchParameters
) -> Observation:
    """Search as the server does by default; the products of both rankings count."""
    result = retriever.search(answered.descriptors, parameters)
    products = {match.row: match for match in (*result.initial, *result.matches)}
    return _observation(retriever.bundle, answered, list(products.values()), is_present=True)


def _absent(
    retriever: Retriever, answered: AnsweredQuery, parameters: SearchParameters
) -> Observation:
    """Search where the true matches are not; the products of the initial ranking count."""
    allowed = np.ones(len(retriever.bundle), bool)
    allowed[_true_rows(retriever.bundle, answered.query)] = False
    ranking = retriever.rank(answered.descriptors, parameters, allowed=allowed)
    plain = replace(parameters, refine=False)
    result = retriever.search(answered.descriptors, plain, initial=ranking)
    return _observation(retriever.bundle, answered, result.initial, is_present=False)


def _observation(
    bundle: IndexBundle, answered: AnsweredQuery, matches: Sequence[Match], *, is_present: bool
) -> Observation:
    evidence = Evidence.of(bundle, matches[0], DEFAULT_TEXT_WEIGHT)
    right = set(_true_rows(bundle, answered.query))
    return Observation(
        item=answered.item,
        is_present=is_present,
        inputs=evidence.query_inputs(),
        matches=tuple((evidence.match_inputs(match), match.row in right) for match in matches),
    )


def _true_rows(bundle: IndexBundle, query: Query) -> list[int]:
    rows = (bundle.row_of(product_id) for product_id in query.relevant)
    return [row for row in rows if row is not None]
