"""Words of a query: both stages rank by eq. (8) times 1 + β t, and each match says why."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval_server.errors import QueryError
from retrieval_server.index.publish import open_index
from retrieval_server.retrieval.retriever import Retriever
from retrieval_server.retrieval.search_request import MAX_TEXT_WEIGHT, SearchParameters
from retrieval_server.retrieval.search_result import Stage
from retrieval_server.text.word_search import MAX_WORDS_CHARACTERS
from tests.retrieval_server.retrieval.test_retriever import PROFILE_ALPHAS, algorithm_1
from tests.support.manifest_edit import change_manifest
from tests.support.reference_search import NoEngine, best, brute_force, random_query

WORDS = (
    st.sampled_from(
        ["nuxe", "L'Oréal ruby lipstick", "violet jar 10ml", "bottel", "zzz", "💄", " "]
    )
    | st.text(max_size=20)
    | st.sampled_from(["nuxe " * 2_000, "שמן", "資生堂 化粧水", "".join(map(chr, range(10_000)))])
)


def with_words(
    retriever: Retriever, similarities: np.ndarray, words: str, beta: float
) -> np.ndarray:
    """Eq. (8) of every row times 1 + β t."""
    found = retriever.bundle.words.cosines(words)
    factors = np.ones(len(similarities))
    factors[found.rows] = 1 + beta * found.cosines
    return similarities * factors


@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    k=st.integers(1, 7),
    top_k=st.integers(1, 20),
    words=WORDS,
    beta=st.sampled_from([0.0, 1.0, MAX_TEXT_WEIGHT]) | st.floats(0, MAX_TEXT_WEIGHT),
)
def test_search_with_words_is_algorithm_1_over_brute_force(
    retriever: Retriever, seed: int, k: int, top_k: int, words: str, beta: float
) -> None:
    bundle, query = retriever.bundle, random_query(retriever.bundle, seed)
    similarities = with_words(retriever, brute_force(bundle, query, PROFILE_ALPHAS), words, beta)
    expected, subset = algorithm_1(bundle, similarities, k, top_k)

    parameters = SearchParameters(top_k=top_k, keep=k, words=words, text_weight=beta)
    found = retriever.search(query, parameters)

    tolerance = 1e-12 * (1 + beta)
    assert [similarities[match.row] for match in found.matches] == pytest.approx(
        [similarities[row] for row, _ in expected], abs=tolerance
    )
    if np.diff(np.sort(similarities)).min() > tolerance:
        assert [(match.row, match.stage) for match in found.matches] == expected
        assert found.subset_size == (len(subset) if k < top_k else 0)


def test_the_profile_s_beta_is_the_default(tiny_index_copy: Path) -> None:
    version = tiny_index_copy / (tiny_index_copy / "current").read_text().strip()
    change_manifest(version, lambda data: data["profile"].update(text_weight=2.5))
    strong = Retriever(open_index(tiny_index_copy), NoEngine())
    query = random_query(strong.bundle, 5)

    def ranked(**weight: float) -> list[tuple[int, float]]:
        parameters = SearchParameters(words="nuxe violet", top_k=40, **weight)
        return [(m.row, m.similarity) for m in strong.search(query, parameters).matches]

    assert ranked() == ranked(text_weight=2.5) != ranked(text_weight=1.0)
    change_manifest(version, lambda data: data["profile"].update(text_weight=0))
    weightless = Retriever(open_index(tiny_index_copy), NoEngine())
    parameters = SearchParameters(words="nuxe violet", top_k=40)
    plain = weightless.search(query, SearchParameters(top_k=40))
    assert weightless.search(query, parameters).matches == plain.matches
    with pytest.raises(QueryError, match="text_weight: must be above 0"):
        weightless.search_by_words(parameters)


def test_similarity_is_eq_8_times_the_factor_of_the_words_to_the_last_bit(
    retriever: Retriever,
) -> None:
    query, words = random_query(retriever.bundle, 5), "nuxe violet"
    plain = retriever.search(query, SearchParameters(top_k=40, refine=False))
    similarities = {match.row: match.similarity for match in plain.matches}
    cosines = retriever.bundle.words.cosines(words)

    found = retriever.search(
        query, SearchParameters(top_k=40, refine=False, words=words, text_weight=2.5)
    )

    for match in found.matches:
        assert match.words is not None
        assert match.words.cosine == cosines.of(match.row)
        assert match.similarity == similarities[match.row] * (1 + 2.5 * cosines.of(match.row))


@pytest.mark.parametrize(
    "parameters",
    [
        SearchParameters(words="nuxe", text_weight=0.0),
        SearchParameters(words=""),
        SearchParameters(words=" \t\n"),
    ],
)
def test_words_of_no_weight_and_no_words_change_nothing(
    retriever: Retriever, parameters: SearchParameters
) -> None:
    for seed in range(10):
        query = random_query(retriever.bundle, seed)
        assert retriever.search(query, parameters) == retriever.search(query, SearchParameters())


def test_words_bring_the_products_of_a_brand_to_the_front(retriever: Retriever) -> None:
    bundle = retriever.bundle
    query = random_query(bundle, 3)
    found = retriever.search(query, SearchParameters(words="bioderma", text_weight=20.0))
    assert {bundle.product(match.row).attributes["brand"] for match in found.matches} == {
        "Bioderma"
    }
    for match in found.matches:
        assert match.words is not None
        assert match.words.matched[0].word == "bioderma"
        assert match.words.matched[0].share == 1


def test_similar_products_take_words_too(retriever: Retriever) -> None:
    bundle = retriever.bundle
    parameters = SearchParameters(top_k=39, refine=False, words="nuxe")
    row = bundle.row_of("p0000")
    assert row is not None
    query = tuple(np.array(database[row]) for database in bundle.descriptors)
    similarities = with_words(retriever, brute_force(bundle, query, PROFILE_ALPHAS), "nuxe", 1.0)
    found = retriever.similar_to("p0000", parameters)
    others = [other for other in range(len(bundle)) if other != row]
    assert [similarities[match.row] for match in found.matches] == pytest.approx(
        [similarities[other] for other in best(similarities, others, 39)]
    )


def test_searches_with_words_share_an_initial_ranking(retriever: Retriever) -> None:
    query, parameters = random_query(retriever.bundle, 8), SearchParameters(words="ocean jar")
    initial = retriever.rank(query, parameters)
    alone = retriever.search(query, parameters)
    assert retriever.search(query, parameters, initial=initial) == alone


# Words alone


@pytest.mark.parametrize("words", ["nuxe", "violet jar", "shade 3-02", "bottel", "zzz"])
def test_words_alone_rank_by_t_then_by_row(retriever: Retriever, words: str) -> None:
    cosines = retriever.bundle.words.cosines(words)
    expected = sorted(cosines.rows.tolist(), key=lambda row: (-cosines.of(row), row))

    found = retriever.search_by_words(SearchParameters(words=words, top_k=30, text_weight=2.0))

    assert [match.row for match in found.matches] == expected[:30]
    assert found.initial == found.matches
    for match in found.matches:
        assert match.words is not None
        assert match.words.cosine == cosines.of(match.row) > 0
        assert match.similarity == 1 + 2 * match.words.cosine
        assert (match.cosines, match.stage) == ((), Stage.INITIAL)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (SearchParameters(words="💄!"), "words: need a letter or a digit"),
        (SearchParameters(words="nuxe", text_weight=0), "text_weight: must be above 0"),
    ],
)
def test_words_alone_that_say_nothing_are_refused(
    retriever: Retriever, parameters: SearchParameters, message: str
) -> None:
    with pytest.raises(QueryError, match=message):
        retriever.search_by_words(parameters)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            SearchParameters(words="a" * (MAX_WORDS_CHARACTERS + 1)),
            "words: have 10,001 characters; at most 10,000 are accepted.",
        ),
        (SearchParameters(text_weight=-0.1), "text_weight: must be 0..100, got -0.1."),
        (SearchParameters(text_weight=100.5), "text_weight: must be 0..100, got 100.5."),
        (SearchParameters(text_weight=float("nan")), "text_weight: must be 0..100, got nan."),
    ],
)
def test_words_out_of_range_name_the_field_and_the_range(
    retriever: Retriever, parameters: SearchParameters, message: str
) -> None:
    for search in (
        lambda: retriever.search(random_query(retriever.bundle, 0), parameters),
        lambda: retriever.search_by_words(parameters),
    ):
        with pytest.raises(QueryError) as caught:
            search()
        assert str(caught.value) == message
