"""Searches with known answers: each query once as it is, and once without its true matches.

So one ground truth has both cases: photos of what the index has, and photos of what it lacks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from export.evaluation.query_descriptors import Lines
from export.ground_truth.queries import Query
from export.progress import progress
from retrieval_server.exact_search.shared_scan import Search, results_together
from retrieval_server.index.calibration import QueryKind
from retrieval_server.retrieval.retriever import Retriever
from retrieval_server.retrieval.search_request import QueryDescriptors, SearchParameters
from retrieval_server.retrieval.verdict import Evidence
from retrieval_server.text.grams import words_in
from retrieval_server.text.word_search import words_beside


class AnsweredQuery(NamedTuple):
    """A query, and what is known of its photo.

    Attributes:
        query: the photo with its true matches and its typed words.
        item: the item that it shows.
        descriptors: of the photo.
        read: the lines that were read on it; none if nothing reads.
    """

    query: Query
    item: int
    descriptors: QueryDescriptors
    read: Lines


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
    weight = retriever.bundle.profile.text_weight  # where it is 0, words do not count
    searches = (
        _observations(retriever, each, _searches(each) if weight else {QueryKind.PHOTO: ""})
        for each in queries
    )
    found: dict[QueryKind, list[Observation]] = {}
    with progress("searches", len(queries)) as advance:
        by_query = results_together(searches, advance)
    for of_query in by_query:
        for kind, observations in of_query.items():
            found.setdefault(kind, []).extend(observations)
    return found


def _observations(
    retriever: Retriever, answered: AnsweredQuery, searches: Mapping[QueryKind, str]
) -> Search[dict[QueryKind, list[Observation]]]:
    """Two observations of a query by each kind of words, made beside other queries."""
    found = {}
    for kind, words in searches.items():
        parameters = SearchParameters(words=words)
        present = yield from _observation(retriever, answered, parameters, is_present=True)
        absent = yield from _observation(retriever, answered, parameters, is_present=False)
        found[kind] = [present, absent]
    return found


def _searches(answered: AnsweredQuery) -> dict[QueryKind, str]:
    """The words of each kind of query that a photo can be searched by, as the server has them."""
    typed = answered.query.words if words_in(answered.query.words) else ""
    read = answered.read if words_in(" ".join(answered.read)) else ()
    return {
        QueryKind.of(typed=bool(t), read=bool(r)): words_beside(t, r)
        for t in ("", typed)
        for r in ((), read)
    }


def _observation(
    retriever: Retriever, answered: AnsweredQuery, parameters: SearchParameters, *, is_present: bool
) -> Search[Observation]:
    """Search as the server does by default; the products of both rankings count."""
    true = answered.query.relevant
    found = replace(parameters, exclude_ids=() if is_present else true)
    result = yield from retriever.searching(answered.descriptors, found)
    bundle = retriever.bundle
    evidence = Evidence.of(bundle, result.initial[0])
    matches = {match.row: match for match in (*result.initial, *result.matches)}
    return Observation(
        item=answered.item,
        is_present=is_present,
        inputs=evidence.query_inputs(),
        matches=tuple(
            (evidence.match_inputs(match), bundle.product_id(row) in true)
            for row, match in matches.items()
        ),
    )
