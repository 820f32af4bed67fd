"""The search against a literal transcription of the paper: eq. (8) and Algorithm 1."""

import asyncio
import csv
import shutil
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from export.dataset.catalogue import read_catalogue
from export.descriptors.engine_choice import EngineChoice
from export.index.build import IndexBuild
from retrieval_server.engines.create_engine import create_engine
from retrieval_server.errors import UnknownProductError
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.index.publish import open_index
from retrieval_server.models.profile import Profile
from retrieval_server.retrieval.retriever import Retriever
from retrieval_server.retrieval.search_request import QueryDescriptors, SearchParameters
from retrieval_server.retrieval.search_result import Stage
from tests.support.reference_search import NoEngine, best, brute_force, random_query

MODELS = ("tiny_a", "tiny_b")
PROFILE_ALPHAS = (3.0, 1.0)


def algorithm_1(
    bundle: IndexBundle,
    similarities: NDArray[np.float64],
    k: int,
    top_k: int,
    rows: Collection[int] | None = None,
) -> tuple[list[tuple[int, Stage]], set[int]]:
    """The paper's Algorithm 1, line by line, over some rows; the second value is I_subset."""
    database = list(range(len(bundle)) if rows is None else rows)
    result = [(row, Stage.INITIAL) for row in best(similarities, database, min(k, top_k))]
    seeds = {row for row, _ in result}
    subset: set[int] = set()
    for seed in seeds:
        neighbours, _ = bundle.text_index.neighbours(seed)
        subset |= set(neighbours.tolist())
    subset = subset & set(database) - seeds
    for row in best(similarities, sorted(subset), top_k - len(result)):
        result.append((row, Stage.REFINED))
    for row in best(similarities, database, top_k):
        if len(result) < top_k and row not in {taken for taken, _ in result}:
            result.append((row, Stage.FILLED))
    return result, subset


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    k=st.integers(1, 7),
    top_k=st.integers(1, 20),
    alphas=st.none() | st.tuples(st.floats(0, 5), st.floats(0, 5)),
)
def test_search_is_algorithm_1_over_brute_force_in_float64(
    retriever: Retriever, seed: int, k: int, top_k: int, alphas: tuple[float, float] | None
) -> None:
    bundle, query = retriever.bundle, random_query(retriever.bundle, seed)
    similarities = brute_force(bundle, query, alphas or PROFILE_ALPHAS)
    expected, subset = algorithm_1(bundle, similarities, k, top_k)
    overridden = dict(zip(MODELS, alphas, strict=True)) if alphas else None
    parameters = SearchParameters(top_k=top_k, keep=k, alphas=overridden)

    found = retriever.search(query, parameters)

    # An α of almost 0 makes ties that rounding breaks: similarities are compared, and rows where
    # no two products are that close.
    assert [similarities[match.row] for match in found.matches] == pytest.approx(
        [similarities[row] for row, _ in expected], abs=1e-12
    )
    if np.diff(np.sort(similarities)).min() > 1e-12:
        assert [(match.row, match.stage) for match in found.matches] == expected
        assert found.subset_size == (len(subset) if k < top_k else 0)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**31), top_k=st.integers(1, 60))
def test_search_without_refinement_is_the_initial_ranking(
    retriever: Retriever, seed: int, top_k: int
) -> None:
    bundle, query = retriever.bundle, random_query(retriever.bundle, seed)
    similarities = brute_force(bundle, query, PROFILE_ALPHAS)
    found = retriever.search(query, SearchParameters(top_k=top_k, keep=1, refine=False))
    assert found.matches == found.initial
    assert found.subset_size == 0
    assert len(found.matches) == min(top_k, len(bundle))
    assert [match.similarity for match in found.matches] == pytest.approx(
        sorted(similarities, reverse=True)[:top_k], abs=1e-12
    )
    assert {match.stage for match in found.matches} == {Stage.INITIAL}


def test_match_holds_the_cosine_of_each_backbone_and_their_fusion(retriever: Retriever) -> None:
    bundle, query = retriever.bundle, random_query(retriever.bundle, 4)
    for match in retriever.search(query, SearchParameters()).matches:
        cosines = [
            float(database[match.row].astype(np.float64) @ vector.astype(np.float64))
            for database, vector in zip(bundle.descriptors, query, strict=True)
        ]
        assert match.cosines == pytest.approx(cosines, abs=1e-12)
        assert match.similarity == pytest.approx((1 + 3 * cosines[0]) * (1 + cosines[1]))


def test_refined_match_names_the_seed_with_the_most_similar_text(retriever: Retriever) -> None:
    bundle = retriever.bundle
    ranks = set()
    for number in range(20):
        query = random_query(bundle, number)
        found = retriever.search(query, SearchParameters(keep=4, top_k=30)).matches
        seeds = [match.row for match in found[:4]]
        cosines = np.zeros((4, len(bundle)))
        for place, seed in enumerate(seeds):
            rows, values = bundle.text_index.neighbours(seed)
            cosines[place, rows] = values
        for match in found:
            if match.stage is not Stage.REFINED:
                assert match.text is None
                continue
            assert match.text is not None
            best_place = int(cosines[:, match.row].argmax())  # the better ranked of equals
            assert match.text.seed_rank == best_place + 1
            assert match.text.seed_row == seeds[best_place]
            assert match.text.cosine == cosines[best_place, match.row]
            ranks.add(match.text.seed_rank)
    assert len(ranks) > 1


def test_refinement_finds_the_product_that_only_its_text_gives_away(
    retriever: Retriever,
) -> None:
    """The last of each family has its words and another colour."""
    bundle = retriever.bundle
    row = bundle.row_of("p0000")
    query = tuple(np.array(database[row]) for database in bundle.descriptors)
    found = retriever.search(query, SearchParameters(keep=1, top_k=5))
    assert "p0004" not in {bundle.product_id(match.row) for match in found.initial}
    (match,) = (m for m in found.matches if bundle.product_id(m.row) == "p0004")
    assert match.stage is Stage.REFINED
    assert match.text is not None
    assert match.text.seed_row == row


def test_k_of_top_k_or_more_replaces_nothing(retriever: Retriever) -> None:
    query = random_query(retriever.bundle, 5)
    for keep in (7, 8, 100):
        found = retriever.search(query, SearchParameters(top_k=7, keep=keep))
        assert found.matches == found.initial


@pytest.mark.parametrize("seed", range(8))
def test_searches_that_share_an_initial_ranking_find_what_each_finds_alone(
    retriever: Retriever, seed: int
) -> None:
    query = random_query(retriever.bundle, seed)
    initial = retriever.rank(query, SearchParameters(), exclude=seed)
    for parameters in (
        SearchParameters(refine=False),
        *(SearchParameters(keep=keep) for keep in range(1, 8)),
    ):
        alone = retriever.search(query, parameters, exclude=seed)
        assert retriever.search(query, parameters, exclude=seed, initial=initial) == alone


def test_short_result_is_the_head_of_a_longer_one(retriever: Retriever) -> None:
    query = random_query(retriever.bundle, 6)
    longest = retriever.search(query, SearchParameters(top_k=15, keep=3)).matches
    for top_k in range(4, 15):
        shorter = retriever.search(query, SearchParameters(top_k=top_k, keep=3)).matches
        refined = [match for match in longest if match.stage is Stage.REFINED]
        length = min(top_k, 3 + len(refined))
        assert shorter[:length] == longest[:length]


@pytest.mark.parametrize("product_id", ["p0000", "p0304", "p0704"])
def test_similar_products_leave_out_the_product_itself(
    retriever: Retriever, product_id: str
) -> None:
    bundle = retriever.bundle
    row = bundle.row_of(product_id)
    assert row is not None
    query = tuple(np.array(database[row]) for database in bundle.descriptors)
    similarities = brute_force(bundle, query, PROFILE_ALPHAS)
    for k in range(1, 8):
        found = retriever.similar_to(product_id, SearchParameters(keep=k, top_k=39))
        others = [other for other in range(len(bundle)) if other != row]
        expected, subset = algorithm_1(bundle, similarities, k, 39, others)
        assert row not in {match.row for match in found.matches + found.initial}
        assert {match.row for match in found.matches} == {row for row, _ in expected}
        assert found.subset_size == len(subset)


def test_similar_to_a_product_that_is_not_there_names_it(retriever: Retriever) -> None:
    with pytest.raises(UnknownProductError, match="'p9999' is not in the index"):
        retriever.similar_to("p9999", SearchParameters())


def test_search_may_ask_for_more_than_there_is(retriever: Retriever) -> None:
    found = retriever.search(random_query(retriever.bundle, 7), SearchParameters(top_k=100))
    assert sorted(match.row for match in found.matches) == list(range(len(retriever.bundle)))


def test_zero_query_ranks_every_product_alike_in_catalogue_order(retriever: Retriever) -> None:
    zero = tuple(np.zeros(d.shape[1], np.float32) for d in retriever.bundle.descriptors)
    found = retriever.search(zero, SearchParameters(top_k=5, refine=False))
    assert [(match.row, match.similarity) for match in found.matches] == [
        (row, 1.0) for row in range(5)
    ]


def test_same_query_has_the_same_answer_bit_for_bit(retriever: Retriever) -> None:
    query = random_query(retriever.bundle, 8)
    assert retriever.search(query, SearchParameters()) == retriever.search(
        query, SearchParameters()
    )


def test_encoded_picture_of_the_catalogue_finds_itself(
    bundle: IndexBundle, tiny_repository: Path
) -> None:
    """The database's descriptor is the one that the server computes, bit for bit."""
    engine = create_engine("embedded", tiny_repository, "tiny", workers=1, threads_per_image=1)

    async def encoded() -> QueryDescriptors:
        pixels = np.full((32, 32, 3), 255, np.uint8)
        pixels[8:20, 5:9] = (200, 30, 40)
        try:
            retriever = Retriever(bundle, engine)
            return await retriever.encode(pixels)
        finally:
            await engine.close()

    query = asyncio.run(encoded())
    assert [vector.shape for vector in query] == [(24,), (16,)]
    assert [float(np.linalg.norm(vector)) for vector in query] == pytest.approx([1, 1], abs=1e-6)


def test_permuted_catalogue_gives_the_same_products(
    retriever: Retriever,
    tiny_catalogue: Path,
    tiny_profile: Profile,
    tiny_repository: Path,
    tmp_path: Path,
) -> None:
    folder = shutil.copytree(tiny_catalogue, tmp_path / "permuted")
    with (folder / "catalog.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    order = np.random.default_rng(3).permutation(len(rows))
    with (folder / "catalog.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *(rows[row] for row in order)])
    build = IndexBuild(
        read_catalogue(folder), tiny_profile, EngineChoice(tiny_repository), tmp_path / "index"
    )
    permuted = Retriever(open_index(build.run().folder), NoEngine())

    def found(searched: Retriever, query: QueryDescriptors) -> list[tuple[str, float, Stage]]:
        return [
            (searched.bundle.product_id(match.row), match.similarity, match.stage)
            for match in searched.search(query, SearchParameters(top_k=12)).matches
        ]

    for seed in range(40):
        query = random_query(retriever.bundle, seed)
        assert found(permuted, query) == found(retriever, query)
