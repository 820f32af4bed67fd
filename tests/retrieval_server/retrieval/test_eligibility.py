"""What a search may find: excluded ids and the least similarity hold in both stages."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval_server.errors import QueryError
from retrieval_server.filters.expression import AllOf, AnyOf, NoneOf, OneOf, Range
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.retrieval.retriever import Retriever
from retrieval_server.retrieval.search_request import SearchParameters
from retrieval_server.retrieval.search_result import SearchResult, Stage
from tests.retrieval_server.retrieval.test_query_words import with_words
from tests.retrieval_server.retrieval.test_retriever import PROFILE_ALPHAS, algorithm_1
from tests.support.made_up_databases import cascade
from tests.support.reference_search import NoEngine, best, brute_force, random_query

TOLERANCE = 1e-10


@pytest.fixture(scope="module", params=["scan", "cascade"])
def retriever(request: pytest.FixtureRequest, bundle: IndexBundle) -> Retriever:
    """Both ways to search; the second goes through every level."""
    retriever = Retriever(bundle, NoEngine())
    if request.param == "cascade":
        retriever._search = cascade(bundle.descriptors, PROFILE_ALPHAS)
    return retriever


def ids_of(bundle: IndexBundle, rows: set[int]) -> list[str]:
    return [bundle.product_id(row) for row in sorted(rows)]


def without(rows: set[int], bundle: IndexBundle, seed: int) -> dict[str, object]:
    """Exclude all but some rows, with ids that nobody has, in an order that says nothing."""
    others = ids_of(bundle, set(range(len(bundle))) - rows)
    ids = [*others, "nobody's", ""]
    return {"exclude_ids": np.random.default_rng(seed).permutation(ids).tolist()}


def assert_evidence(bundle: IndexBundle, found: SearchResult, k: int) -> None:
    """A refined match names the seed with the most similar text; of equals the better ranked."""
    seeds = [match.row for match in found.matches if match.stage is Stage.INITIAL][:k]
    for match in found.matches:
        assert (match.text is None) == (match.stage is not Stage.REFINED)
        if match.text is None:
            continue
        cosines = np.zeros((len(seeds), len(bundle)))
        for place, seed in enumerate(seeds):
            rows, values = bundle.text_index.neighbours(seed)
            cosines[place, rows] = values
        place = int(cosines[:, match.row].argmax())
        assert (match.text.seed_row, match.text.seed_rank) == (seeds[place], place + 1)
        assert match.text.cosine == cosines[place, match.row]


@settings(max_examples=300, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    k=st.integers(1, 7),
    top_k=st.integers(1, 45),
    rows=st.sets(st.integers(0, 39)) | st.just(set(range(40))),
    least_rank=st.none() | st.integers(0, 40),
    words=st.sampled_from(["", "", "nuxe violet", "bottel"]),
)
def test_search_within_a_part_is_algorithm_1_over_brute_force_of_that_part(
    retriever: Retriever,
    seed: int,
    k: int,
    top_k: int,
    rows: set[int],
    least_rank: int | None,
    words: str,
) -> None:
    bundle, query = retriever.bundle, random_query(retriever.bundle, seed)
    similarities = with_words(retriever, brute_force(bundle, query, PROFILE_ALPHAS), words, 1.0)
    least = None
    if least_rank is not None:  # between two similarities, or beyond the outer ones
        falling = np.sort(similarities)[::-1]
        outer = [falling[0] + 1, *falling, falling[-1] - 1]
        least = float(np.mean(outer[least_rank : least_rank + 2]))
    reaching = {row for row in rows if least is None or similarities[row] >= least}
    expected, _ = algorithm_1(bundle, similarities, k, top_k, reaching)
    _, subset = algorithm_1(bundle, similarities, k, top_k, rows)

    parameters = SearchParameters(
        top_k=top_k, keep=k, words=words, min_similarity=least, **without(rows, bundle, seed)
    )
    found = retriever.search(query, parameters)

    if np.diff(np.sort(similarities)).min() < TOLERANCE:
        return  # rounding may break the tie of two products either way
    assert [(match.row, match.stage) for match in found.matches] == expected
    assert [match.similarity for match in found.matches] == pytest.approx(
        [similarities[row] for row, _ in expected], abs=TOLERANCE
    )
    assert [match.row for match in found.initial] == best(similarities, list(reaching), top_k)
    assert found.searched_count == len(rows)
    if least is None:
        assert found.subset_size == (len(subset) if k < top_k else 0)
    assert_evidence(bundle, found, k)


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    k=st.integers(1, 7),
    brands=st.sets(st.sampled_from(["Nuxe", "Bioderma", "L'Oréal", "nuxe"]), min_size=1),
    below=st.sampled_from([5.0, 5.99, 6.0, 8.0, 100.0]),
    excluded=st.sets(st.integers(0, 39), max_size=20),
)
def test_filtered_search_is_algorithm_1_over_brute_force_of_the_rows_that_pass(
    retriever: Retriever, seed: int, k: int, brands: set[str], below: float, excluded: set[int]
) -> None:
    bundle, query = retriever.bundle, random_query(retriever.bundle, seed)
    similarities = brute_force(bundle, query, PROFILE_ALPHAS)
    attributes = [bundle.product(row).attributes for row in range(len(bundle))]
    rows = {
        row
        for row, each in enumerate(attributes)
        if (each["brand"] in brands or not float(each["price"]) < below) and row not in excluded
    }
    wanted = AnyOf(
        (OneOf("brand", tuple(brands)), NoneOf((AllOf((Range("price", below=below),)),)))
    )
    expected, subset = algorithm_1(bundle, similarities, k, 12, rows)

    found = retriever.search(
        query,
        SearchParameters(top_k=12, keep=k, filter=wanted, exclude_ids=ids_of(bundle, excluded)),
    )

    if np.diff(np.sort(similarities)).min() < TOLERANCE:
        return
    assert [(match.row, match.stage) for match in found.matches] == expected
    assert found.subset_size == len(subset)
    assert_evidence(bundle, found, k)


def test_seed_below_the_least_similarity_brings_no_text_neighbour(retriever: Retriever) -> None:
    bundle, query = retriever.bundle, random_query(retriever.bundle, 1)
    plain = retriever.search(query, SearchParameters(top_k=40, keep=3))
    for rank in range(3):
        least = plain.initial[rank].similarity
        found = retriever.search(query, SearchParameters(top_k=40, keep=3, min_similarity=least))
        seeds = [match.row for match in plain.initial[: rank + 1]]
        assert [match.row for match in found.initial] == seeds
        assert {match.row for match in found.matches} == set(seeds)
        assert all(match.similarity >= least for match in found.matches)
        neighbours = set(
            itertools.chain.from_iterable(
                bundle.text_index.neighbours(seed)[0].tolist() for seed in seeds
            )
        )
        assert found.subset_size == len(neighbours - set(seeds))


@pytest.mark.parametrize("words", ["nuxe", "violet jar", "bottel"])
def test_words_alone_rank_the_part_that_may_be_found(retriever: Retriever, words: str) -> None:
    bundle = retriever.bundle
    whole = retriever.search_by_words(SearchParameters(words=words, top_k=40)).matches
    for seed in range(10):
        rng = np.random.default_rng(seed)
        rows = set(np.flatnonzero(rng.random(40) < rng.random()).tolist())
        least = whole[int(rng.integers(len(whole)))].similarity
        found = retriever.search_by_words(
            SearchParameters(
                words=words, top_k=5, min_similarity=least, **without(rows, bundle, seed)
            )
        )
        expected = [match for match in whole if match.row in rows and match.similarity >= least]
        assert found.matches == tuple(expected[:5])
        assert found.initial == found.matches


def test_excluding_every_product_finds_nothing(retriever: Retriever) -> None:
    nobody = without(set(), retriever.bundle, 0)
    for found in (
        retriever.search(random_query(retriever.bundle, 2), SearchParameters(**nobody)),
        retriever.similar_to("p0000", SearchParameters(**nobody)),
        retriever.search_by_words(SearchParameters(words="nuxe", **nobody)),
    ):
        assert (found.matches, found.initial, found.subset_size) == ((), (), 0)
        assert found.searched_count == 0


def test_similar_products_leave_out_the_excluded_ones_and_the_product_itself(
    retriever: Retriever,
) -> None:
    parameters = SearchParameters(top_k=40, exclude_ids=["p0001", "p0000", "p0001"])
    found = retriever.similar_to("p0000", parameters)
    ids = {retriever.bundle.product_id(match.row) for match in found.matches}
    assert len(ids) == found.searched_count == 38
    assert not ids & {"p0000", "p0001"}


def test_excluding_ids_that_the_index_does_not_have_changes_nothing(retriever: Retriever) -> None:
    query = random_query(retriever.bundle, 3)
    parameters = SearchParameters(exclude_ids=["", "p9999", "p000", "P0000"])
    assert retriever.search(query, parameters) == retriever.search(query, SearchParameters())


def test_searches_of_a_part_share_an_initial_ranking(retriever: Retriever) -> None:
    query = random_query(retriever.bundle, 4)
    part = {"exclude_ids": ["p0000", "p0101"], "min_similarity": 3.0}
    initial = retriever.rank(query, SearchParameters(**part))
    for keep in (1, 3, 7):
        parameters = SearchParameters(keep=keep, **part)
        alone = retriever.search(query, parameters)
        assert retriever.search(query, parameters, initial=initial) == alone


def test_any_number_of_ids_is_excluded(retriever: Retriever) -> None:
    query = random_query(retriever.bundle, 5)
    strangers = SearchParameters(exclude_ids=[f"n{number}" for number in range(2000)])
    assert retriever.search(query, strangers) == retriever.search(query, SearchParameters())


@pytest.mark.parametrize("least", ["nan", "inf", "-inf"])
def test_least_similarity_that_is_no_number_is_refused(retriever: Retriever, least: str) -> None:
    parameters = SearchParameters(words="nuxe", min_similarity=float(least))
    for search in (
        lambda: retriever.search(random_query(retriever.bundle, 6), parameters),
        lambda: retriever.search_by_words(parameters),
    ):
        with pytest.raises(QueryError) as caught:
            search()
        assert str(caught.value) == f"min_similarity: must be a finite number, got {least}."
