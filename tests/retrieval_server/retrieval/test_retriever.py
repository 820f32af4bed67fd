"""The search against a literal transcription of the paper: eq. (8) and Algorithm 1."""

import asyncio
import csv
import dataclasses
import shutil
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
from retrieval_server.errors import (
    EngineDeadlineError,
    EngineError,
    ModelMismatchError,
    QueryError,
    UnknownProductError,
)
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.index.publish import open_index
from retrieval_server.index.reference_image import reference_image
from retrieval_server.models.profile import MAX_ALPHA, Profile
from retrieval_server.retrieval.retriever import Retriever
from retrieval_server.retrieval.search_request import MAX_TOP_K, QueryDescriptors, SearchParameters
from retrieval_server.retrieval.search_result import Stage

MODELS = ("tiny_a", "tiny_b")
PROFILE_ALPHAS = (3.0, 1.0)


class NoEngine:
    """For searches that bring their descriptors along."""

    name = "none"


@pytest.fixture(scope="module")
def bundle(tiny_index: Path) -> IndexBundle:
    return open_index(tiny_index)


@pytest.fixture(scope="module")
def retriever(bundle: IndexBundle) -> Retriever:
    return Retriever(bundle, NoEngine())


def random_query(bundle: IndexBundle, seed: int) -> QueryDescriptors:
    """Unit vectors: some anywhere, negative cosines included, some close to a product."""
    generator = np.random.default_rng(seed)
    query = []
    row = generator.integers(len(bundle))
    for database in bundle.descriptors:
        vector = generator.normal(size=database.shape[1])
        if seed % 2:
            vector = database[row] + 0.05 * vector
        query.append((vector / np.linalg.norm(vector)).astype(np.float32))
    return tuple(query)


def brute_force(
    bundle: IndexBundle, query: QueryDescriptors, alphas: tuple[float, ...]
) -> NDArray[np.float64]:
    """Eq. (8) for every row, in float64."""
    similarities = np.ones(len(bundle))
    for database, vector, alpha in zip(bundle.descriptors, query, alphas, strict=True):
        similarities *= 1 + alpha * (database.astype(np.float64) @ vector.astype(np.float64))
    return similarities


def best(similarities: NDArray[np.float64], rows: list[int], count: int) -> list[int]:
    return sorted(rows, key=lambda row: (-similarities[row], row))[:count]


def algorithm_1(
    bundle: IndexBundle,
    similarities: NDArray[np.float64],
    k: int,
    top_k: int,
    exclude: int | None = None,
) -> tuple[list[tuple[int, Stage]], set[int]]:
    """The paper's Algorithm 1, line by line; the second value is I_subset."""
    database = [row for row in range(len(bundle)) if row != exclude]
    result = [(row, Stage.INITIAL) for row in best(similarities, database, min(k, top_k))]
    seeds = {row for row, _ in result}
    subset: set[int] = set()
    for seed in seeds:
        rows, _ = bundle.text_index.neighbours(seed)
        subset |= set(rows.tolist())
    subset -= seeds | {exclude}
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
        expected, subset = algorithm_1(bundle, similarities, k, 39, exclude=row)
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


@pytest.mark.parametrize("name", ["top_k", "keep"])
@pytest.mark.parametrize("value", [0, -1, MAX_TOP_K + 1])
def test_count_out_of_range_names_the_field_and_the_range(
    retriever: Retriever, name: str, value: int
) -> None:
    parameters = dataclasses.replace(SearchParameters(), **{name: value})
    with pytest.raises(QueryError, match=rf"{name}: must be 1\.\.100, got {value}") as caught:
        retriever.search(random_query(retriever.bundle, 0), parameters)
    assert caught.value.field == name


@pytest.mark.parametrize(
    ("alphas", "problem"),
    [
        ({"tiny_c": 1.0}, "no model 'tiny_c'; there are ['tiny_a', 'tiny_b']"),
        ({"tiny_a": -0.1}, "tiny_a must be 0..1e+06, got -0.1"),
        ({"tiny_a": float("nan")}, "tiny_a must be 0..1e+06, got nan"),
        ({"tiny_a": float("inf")}, "tiny_a must be 0..1e+06, got inf"),
    ],
)
def test_unusable_alpha_names_the_field_and_the_model(
    retriever: Retriever, alphas: dict[str, float], problem: str
) -> None:
    with pytest.raises(QueryError) as caught:
        retriever.search(random_query(retriever.bundle, 0), SearchParameters(alphas=alphas))
    assert caught.value.field == "alpha"
    assert problem in str(caught.value)


def test_alpha_of_zero_switches_a_backbone_off(retriever: Retriever) -> None:
    query = random_query(retriever.bundle, 9)
    parameters = SearchParameters(alphas={"tiny_b": 0.0}, refine=False)
    alone = brute_force(retriever.bundle, query, (3.0, 0.0))
    found = retriever.search(query, parameters)
    assert [match.row for match in found.matches] == best(alone, list(range(len(alone))), 7)


def test_the_largest_alpha_still_ranks_like_brute_force(retriever: Retriever) -> None:
    query = random_query(retriever.bundle, 9)
    alphas = dict.fromkeys(retriever.bundle.profile.models, MAX_ALPHA)
    expected = brute_force(retriever.bundle, query, (MAX_ALPHA, MAX_ALPHA))
    found = retriever.search(query, SearchParameters(alphas=alphas, refine=False))
    assert [m.row for m in found.matches] == best(expected, list(range(len(expected))), 7)


class MoodyEngine:
    """An engine that answers with what it is told to; it starts with an index's own ones."""

    name = "moody"
    in_flight = 1

    def __init__(self, reference: dict[str, NDArray[np.float32]]) -> None:
        self.generation = 0
        self.answers = [reference]  # the last one again and again
        self.asked: list[NDArray[np.uint8]] = []

    async def infer(
        self, ensemble: str, images: NDArray[np.uint8], timeout_s: float | None = None
    ) -> dict[str, NDArray[np.float32]]:
        self.asked.append(images)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return {model: descriptor[None] for model, descriptor in answer.items()}

    async def check_served(self) -> None: ...

    async def close(self) -> None: ...


IMAGE = np.zeros((32, 32, 3), np.uint8)


def test_a_descriptor_that_is_not_finite_is_no_query(retriever: Retriever) -> None:
    engine = MoodyEngine(retriever.bundle.reference_descriptors)
    engine.answers.append({"tiny_a": np.full(24, np.nan, np.float32), "tiny_b": np.zeros(16)})
    with pytest.raises(EngineError, match="tiny_a computed a descriptor that is not finite"):
        asyncio.run(Retriever(retriever.bundle, engine).encode(IMAGE))


def test_an_engine_is_verified_once_and_again_after_every_new_generation(
    retriever: Retriever,
) -> None:
    engine = MoodyEngine(retriever.bundle.reference_descriptors)
    reference = reference_image(32)[None]

    async def encode(searched: Retriever, generation: int) -> list[bool]:
        engine.generation, engine.asked = generation, []
        await asyncio.gather(*(searched.encode(IMAGE) for _ in range(3)))
        return [np.array_equal(images, reference) for images in engine.asked]

    async def run() -> None:
        searched = Retriever(retriever.bundle, engine)
        assert await encode(searched, generation=0) == [True, False, False, False]
        assert await encode(searched, generation=0) == [False, False, False]
        assert await encode(searched, generation=2) == [True, False, False, False]

    asyncio.run(run())


def test_no_query_is_described_by_an_engine_that_came_back_with_other_models(
    retriever: Retriever,
) -> None:
    engine = MoodyEngine(retriever.bundle.reference_descriptors)
    others = {
        model: np.roll(vector, 1)
        for model, vector in retriever.bundle.reference_descriptors.items()
    }

    async def run() -> None:
        searched = Retriever(retriever.bundle, engine)
        await searched.encode(IMAGE)
        engine.answers, engine.generation = [others], 1
        for _ in range(2):
            with pytest.raises(ModelMismatchError, match="tiny_a"):
                await searched.encode(IMAGE)
        engine.answers = [retriever.bundle.reference_descriptors]
        await searched.encode(IMAGE)

    asyncio.run(run())


def test_verification_that_exceeds_the_callers_deadline_is_an_error(
    retriever: Retriever,
) -> None:
    class Silent(MoodyEngine):
        async def infer(self, *_: object) -> dict[str, NDArray[np.float32]]:
            return await asyncio.Future()

    searched = Retriever(retriever.bundle, Silent(retriever.bundle.reference_descriptors))
    with pytest.raises(EngineDeadlineError, match="not verified"):
        asyncio.run(searched.encode(IMAGE, timeout_s=0.05))


def unit_descriptors() -> dict[str, NDArray[np.float32]]:
    return {"tiny_a": np.eye(24, dtype=np.float32)[0], "tiny_b": np.eye(16, dtype=np.float32)[1]}


def test_descriptors_are_put_in_the_order_of_the_profile(retriever: Retriever) -> None:
    given_first = unit_descriptors()
    ordered = retriever.check_descriptors(dict(reversed(given_first.items())))
    assert [vector.shape for vector in ordered] == [(24,), (16,)]


def test_zero_descriptor_is_accepted(retriever: Retriever) -> None:
    zero = unit_descriptors() | {"tiny_b": np.zeros(16, np.float32)}
    assert not retriever.check_descriptors(zero)[1].any()


@pytest.mark.parametrize("factor", [0.9995, 1.0005])
def test_norm_may_be_off_by_float32_rounding(retriever: Retriever, factor: float) -> None:
    retriever.check_descriptors({m: v * np.float32(factor) for m, v in unit_descriptors().items()})


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"tiny_b": None}, "need exactly the models ['tiny_a', 'tiny_b'], got ['tiny_a']"),
        ({"tiny_c": np.ones(1)}, "got ['tiny_a', 'tiny_b', 'tiny_c']"),
        ({"tiny_a": np.eye(23)[0]}, "tiny_a needs 24 values, got 23"),
        ({"tiny_a": np.empty(0)}, "tiny_a needs 24 values, got 0"),
        ({"tiny_a": np.full(24, np.nan)}, "tiny_a must have L2 norm 1, got nan"),
        ({"tiny_a": np.full(24, np.inf)}, "tiny_a must have L2 norm 1, got inf"),
        ({"tiny_a": np.eye(24)[0] * 1.01}, "tiny_a must have L2 norm 1, got 1.01"),
        ({"tiny_a": np.eye(24)[0] * 1e-30}, "tiny_a must have L2 norm 1, got 1e-30"),
        ({"tiny_a": np.full(24, 3e38)}, "tiny_a must have L2 norm 1, got 1.46969e+39"),
    ],
)
def test_unusable_descriptors_name_the_model_and_what_is_wrong(
    retriever: Retriever, changed: dict[str, NDArray[np.float64] | None], problem: str
) -> None:
    by_model = {
        model: vector.astype(np.float32)
        for model, vector in (unit_descriptors() | changed).items()
        if vector is not None
    }
    with pytest.raises(QueryError) as caught:
        retriever.check_descriptors(by_model)
    assert caught.value.field == "descriptors"
    assert problem in str(caught.value)


def test_encoded_picture_of_the_catalogue_finds_itself(
    bundle: IndexBundle, tiny_repository: Path
) -> None:
    """The database's descriptor is the one that the server computes, bit for bit."""
    engine = create_engine("embedded", tiny_repository, "tiny", workers=1, threads_per_run=1)

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
