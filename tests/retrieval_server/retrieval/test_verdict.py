"""Verdicts: what they depend on, what they do not, and that they change no result."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval_server.exact_search.similarity import Ranking
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.index.calibration import QueryKind
from retrieval_server.retrieval.retriever import Retriever
from retrieval_server.retrieval.search_request import SearchParameters
from retrieval_server.retrieval.search_result import Match, SearchResult
from retrieval_server.retrieval.verdict import Evidence
from tests.support.made_up_calibration import made_up_calibration
from tests.support.reference_search import random_query

PHOTO = SearchParameters(kind=QueryKind.PHOTO)
TYPED = SearchParameters(kind=QueryKind.TYPED, words="nuxe violet")


@pytest.fixture(scope="module")
def retriever(retriever: Retriever) -> Iterator[Retriever]:
    """One whose index is calibrated."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retriever.bundle, "calibration", made_up_calibration())
        yield retriever


def confidences(result: SearchResult) -> dict[int, float | None]:
    return {match.row: match.confidence for match in (*result.initial, *result.matches)}


def plain(match: Match) -> Match:
    return replace(match, confidence=None)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**31),
    asked=st.sampled_from([PHOTO, TYPED, replace(TYPED, words="zzz")]),
    top_k=st.integers(1, 20),
    keep=st.integers(1, 8),
    refine=st.booleans(),
)
def test_a_verdict_depends_on_the_query_alone_and_changes_no_result(
    retriever: Retriever, seed: int, asked: SearchParameters, top_k: int, keep: int, refine: bool
) -> None:
    query = random_query(retriever.bundle, seed)
    changed = replace(asked, top_k=top_k, keep=keep, refine=refine)

    usual, found = retriever.search(query, asked), retriever.search(query, changed)

    probability = found.in_catalogue_probability
    assert probability is not None
    assert probability == usual.in_catalogue_probability
    shared = confidences(usual).keys() & confidences(found).keys()
    assert {row: confidences(found)[row] for row in shared} == {
        row: confidences(usual)[row] for row in shared
    }
    assert all(0 <= each <= probability <= 1 for each in confidences(found).values())
    unjudged = retriever.search(query, replace(changed, kind=None))
    assert unjudged.in_catalogue_probability is None
    assert tuple(map(plain, found.matches)) == unjudged.matches
    assert tuple(map(plain, found.initial)) == unjudged.initial


@pytest.mark.parametrize(
    "asked",
    [
        replace(PHOTO, kind=None),
        replace(PHOTO, alphas={"tiny_a": 2.0}),
        replace(TYPED, text_weight=0.5),
    ],
)
def test_a_query_of_another_kind_gets_no_verdict(
    retriever: Retriever, asked: SearchParameters
) -> None:
    found = retriever.search(random_query(retriever.bundle, 1), asked)
    assert found.in_catalogue_probability is None
    assert set(confidences(found).values()) == {None}


def test_values_that_are_the_defaults_are_no_change(retriever: Retriever) -> None:
    asked = replace(TYPED, alphas={"tiny_a": 3.0}, text_weight=1.0)
    query = random_query(retriever.bundle, 1)
    assert retriever.search(query, asked) == retriever.search(query, TYPED)
    weightless = replace(PHOTO, text_weight=7.0)  # there are no words to weigh
    assert retriever.search(query, weightless) == retriever.search(query, PHOTO)


def test_a_kind_without_models_gets_no_verdict(
    retriever: Retriever, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retriever.bundle, "calibration", made_up_calibration([QueryKind.READ]))
    found = retriever.search(random_query(retriever.bundle, 1), PHOTO)
    assert found.in_catalogue_probability is None


def test_an_index_without_calibration_gives_no_verdict(
    bundle: IndexBundle, retriever: Retriever, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "calibration", None)
    found = retriever.search(random_query(bundle, 1), PHOTO)
    assert found.in_catalogue_probability is None


def test_the_inputs_are_what_the_docstring_says(retriever: Retriever) -> None:
    bundle, query = retriever.bundle, random_query(retriever.bundle, 3)
    found = retriever.search(query, TYPED)
    first = found.initial[0]
    evidence = Evidence.of(bundle, first)

    a, b = first.cosines
    visual = (1 + 3 * a) * (1 + b) / 8
    assert evidence.query_inputs() == {"visual": visual, "text": first.words.cosine}
    assert evidence.match_inputs(first)["alike"] == 1
    neighbours = set(bundle.text_index.neighbours(first.row)[0].tolist())
    assert neighbours
    for match in found.matches:
        inputs = evidence.match_inputs(match)
        assert inputs["distance"] == pytest.approx((first.similarity - match.similarity) / 16)
        assert inputs["alike"] == (match.row == first.row or match.row in neighbours)
        assert inputs["text"] == match.words.cosine
        assert 0 <= inputs["visual"] <= 1


def test_the_probability_is_that_of_the_models_and_the_evidence(retriever: Retriever) -> None:
    found = retriever.search(random_query(retriever.bundle, 3), TYPED)
    evidence = Evidence.of(retriever.bundle, found.initial[0])

    models = made_up_calibration().kinds[QueryKind.TYPED]
    probability = models.in_catalogue.probability(evidence.query_inputs())
    assert found.in_catalogue_probability == probability
    for match in (*found.initial, *found.matches):
        rate = models.match.probability(evidence.match_inputs(match))
        assert match.confidence == probability * rate


def test_a_search_that_finds_nothing_gets_no_verdict(retriever: Retriever) -> None:
    nothing = Ranking(np.empty(0, np.int64), np.empty(0), np.empty((0, 2)))
    found = retriever.search(random_query(retriever.bundle, 1), PHOTO, initial=nothing)
    assert found.in_catalogue_probability is None
