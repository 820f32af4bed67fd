"""Searches with words over a real gRPC server: beside a photo, and alone."""

import asyncio

import grpc
import pytest

from client import InvalidQueryError, MatchedWord, RetrievalClient
from retrieval_server.errors import EngineUnavailableError
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.retrieval.retriever import Retriever
from retrieval_server.retrieval.search_request import SearchParameters
from retrieval_server.v1 import retrieval_pb2 as pb
from tests.support.reference_search import NoEngine
from tests.support.search_calls import photo, without_times
from tests.support.served import Served


def test_words_with_a_photo_raise_the_products_that_have_them(
    shared: Served, bundle: IndexBundle
) -> None:
    plain = shared.search(image=photo(1), top_k=40, refine=False)
    cosines = bundle.words.cosines("NUXE violet")
    response = shared.search(image=photo(1), top_k=40, refine=False, words="NUXE violet")
    similarity = {match.product_id: match.similarity for match in plain.results}
    assert [match.product_id for match in response.results] != list(similarity)
    for match in response.results:
        row = bundle.row_of(match.product_id)
        assert row is not None
        assert match.words.cosine == cosines.of(row)
        expected = similarity[match.product_id] * (1 + match.words.cosine)
        assert match.similarity == pytest.approx(expected, rel=1e-15)
    words = [(each.word, each.share) for match in response.results for each in match.words.matched]
    assert {("nuxe", 1), ("violet", 1)} <= set(words)


def test_words_without_a_photo_rank_by_the_texts_alone(shared: Served, bundle: IndexBundle) -> None:
    parameters = SearchParameters(words="amber palette", top_k=5, text_weight=2.0)
    expected = Retriever(bundle, NoEngine()).search_by_words(parameters)
    response = shared.search(words="amber palette", top_k=5, text_weight=2.0)
    assert [match.product_id for match in response.results] == [
        bundle.product_id(match.row) for match in expected.matches
    ]
    assert [match.similarity for match in response.results] == [
        match.similarity for match in expected.matches
    ]
    assert {match.stage for match in response.results} == {pb.STAGE_INITIAL}
    assert all(not match.cosines for match in response.results)
    assert response.initial_results == response.results
    assert (response.timings.decode_us, response.timings.encode_us) == (0, 0)


def test_words_that_no_product_has_find_nothing_alone_and_change_nothing_beside_a_photo(
    shared: Served,
) -> None:
    assert list(shared.search(words="qqqq").results) == []
    beside = shared.search(image=photo(1), words="qqqq")
    plain = shared.search(image=photo(1))
    assert [match.similarity for match in beside.results] == [
        match.similarity for match in plain.results
    ]
    assert {match.words.cosine for match in beside.results} == {0.0}


def test_weight_of_zero_and_blank_words_give_the_answer_without_words(shared: Served) -> None:
    plain = without_times(shared.search(image=photo(1)))
    assert without_times(shared.search(image=photo(1), words="nuxe", text_weight=0)) == plain
    assert without_times(shared.search(image=photo(1), words=" ")) == plain


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"words": "a" * 10_001}, "words: have 10,001 characters; at most 10,000 are accepted."),
        ({"words": "nuxe", "text_weight": 101}, "text_weight: must be 0..100, got 101.0."),
        ({"words": "nuxe", "text_weight": 0}, "text_weight: must be above 0"),
        ({"words": "💄"}, "words: need a letter or a digit"),
        ({"words": " "}, "query: set one of image, product_id, descriptors and words."),
    ],
)
def test_unusable_words_name_the_field(
    shared: Served, query: dict[str, object], message: str
) -> None:
    error = shared.refused(**query)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.details().startswith(message)


def test_words_as_long_as_the_status_says_are_accepted(shared: Served) -> None:
    status = shared.stub.GetStatus(pb.GetStatusRequest())
    words = ("nuxe " * status.limits.max_words_characters)[: status.limits.max_words_characters]
    response = shared.search(words=words, text_weight=status.limits.max_text_weight)
    assert len(response.results) == 7
    default = shared.search(words="nuxe", text_weight=status.default_text_weight)
    assert without_times(default) == without_times(shared.search(words="nuxe"))


def test_words_alone_are_answered_while_the_models_are_away(shared: Served) -> None:
    shared.engine.failure = EngineUnavailableError("Triton is away.")
    try:
        assert shared.refused(image=photo(1), words="nuxe").code() is grpc.StatusCode.UNAVAILABLE
        assert len(shared.search(words="nuxe").results) == 7
    finally:
        shared.engine.failure = None


def test_client_sends_words_and_reads_what_matched(shared: Served) -> None:
    with RetrievalClient(shared.address) as client:
        (first, *_) = client.search(words="bioderma", text_weight=3.0).results
        beside = client.search(photo(1), words="bioderma")
        similar = client.similar("p0000", words="bioderma")
        with pytest.raises(InvalidQueryError, match="Give an image, words, or both"):
            client.search(words=" ")
    assert first.attributes["brand"] == "Bioderma"
    assert first.words is not None
    assert first.words.matched[0] == MatchedWord("bioderma", 1.0)
    assert first.similarity == 1 + 3 * first.words.cosine
    assert all(match.words is not None for match in (*beside.results, *similar.results))


def test_searches_with_words_at_once_have_the_answers_of_each_alone(shared: Served) -> None:
    queries = ["nuxe", "violet jar", "bioderma 12ml", "zzz"] * 6
    alone = {words: without_times(shared.search(words=words)) for words in set(queries)}

    async def ask(words: str) -> bytes:
        return without_times(await asyncio.to_thread(shared.search, words=words))

    async def ask_all() -> list[bytes]:
        return await asyncio.gather(*map(ask, queries))

    assert asyncio.run(ask_all()) == [alone[words] for words in queries]
