"""Groups: the retriever against a literal brute force over the filtered and grouped catalogue."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from retrieval_server.attributes.names import PRODUCT_COLUMN
from retrieval_server.errors import QueryError
from retrieval_server.filters.expression import (
    AllOf,
    Equals,
    Filter,
    IsMissing,
    NoneOf,
    OneOf,
    Range,
)
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.models.profile import Profile
from retrieval_server.retrieval.retriever import Retriever
from retrieval_server.retrieval.search_request import QueryDescriptors, SearchParameters
from retrieval_server.retrieval.search_result import Match, SearchResult, Stage, TextEvidence
from retrieval_server.stores.load import Load
from retrieval_server.stores.milvus import STRONG, Milvus
from retrieval_server.stores.stored_index import StoredIndex
from tests.retrieval_server.retrieval.test_query_words import with_words
from tests.retrieval_server.retrieval.test_retriever import PROFILE_ALPHAS
from tests.support.lite_store import lite_address
from tests.support.made_up_databases import cascade, exact_vectors
from tests.support.made_up_index import BRANDS, COLUMNS, SHADES, made_up_index
from tests.support.patience import PATIENCE_S
from tests.support.reference_search import NoEngine, brute_force

SIZES = (1, 6, 120, 2000)  # rows of the indexes; of the last, groups have thousands of rows
CASES = {1: 60, 6: 300, 120: 800, 2000: 120}  # for each way to search
FEWER = 8  # times as few cases for a store, whose calls take long

Attributes = dict[str, str]
Passes = Callable[[Attributes], bool]


@pytest.fixture(scope="module")
def bundles(
    tiny_profile: Profile, tmp_path_factory: pytest.TempPathFactory
) -> dict[int, IndexBundle]:
    folder = tmp_path_factory.mktemp("made up")
    rng = np.random.default_rng(16)
    return {
        size: made_up_index(folder / f"{size}", tiny_profile, rng, size, is_read=True)
        for size in SIZES
    }


@pytest.fixture(scope="module")
def stored(
    bundles: dict[int, IndexBundle], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[int, Retriever]]:
    """The indexes in a store."""
    folder, connections = tmp_path_factory.mktemp("store"), []
    retrievers = {}
    for size, bundle in bundles.items():
        address = lite_address(folder, f"rows_{size}")
        loading = Milvus(address, PATIENCE_S, STRONG, creates=True)
        Load(bundle, loading, max_loss=0).run()
        loading.close()
        connections.append(Milvus(address, PATIENCE_S))
        stored = StoredIndex.published(connections[-1], PATIENCE_S)
        retrievers[size] = Retriever(stored, NoEngine())
    yield retrievers
    for milvus in connections:
        milvus.close()


@pytest.fixture(scope="module", params=["scan", "cascade", "store"])
def retrievers(
    request: pytest.FixtureRequest, bundles: dict[int, IndexBundle]
) -> dict[int, Retriever]:
    """All ways to search; the second goes through every level."""
    if request.param == "store":
        stored: dict[int, Retriever] = request.getfixturevalue("stored")
        return stored
    retrievers = {size: Retriever(bundle, NoEngine()) for size, bundle in bundles.items()}
    if request.param == "cascade":
        for retriever in retrievers.values():
            retriever._search = cascade(retriever.bundle.descriptors, PROFILE_ALPHAS)
    return retrievers


def cases(retriever: Retriever, size: int) -> int:
    """How many searches to try."""
    return CASES[size] // (FEWER if isinstance(retriever.bundle, StoredIndex) else 1)


def random_filter(rng: np.random.Generator, rows: int) -> tuple[Filter | None, Passes]:
    """A filter and what it means: for all, one, no and some rows."""
    sku, brand, price = f"S{rng.integers(rows):05d}", str(rng.choice(BRANDS)), rng.integers(5, 13)
    some: list[tuple[Filter | None, Passes]] = [
        (None, lambda _: True),
        (Equals("shop", "ours"), lambda _: True),
        (Equals("sku", sku), lambda each: each["sku"] == sku),
        (Equals("brand", "nobody"), lambda _: False),
        (OneOf("brand", (brand, BRANDS[0])), lambda each: each.get("brand") in {brand, BRANDS[0]}),
        (Range("price", below=price), lambda each: float(each.get("price", math.inf)) < price),
        (
            NoneOf((Equals("brand", brand), IsMissing("product"))),
            lambda each: each.get("brand") != brand and "product" in each,
        ),
        (
            AllOf((Equals("sold", True), NoneOf((Equals("sku", sku),)))),
            lambda each: each.get("sold") == "true" and each["sku"] != sku,
        ),
    ]
    return some[rng.integers(len(some))]


def group_of(row: int, attributes: Attributes, column: str | None) -> object:
    """What rows of a group have in common; a row without a value has nothing in common."""
    value = None if column is None else attributes.get(column)
    if value is None:
        return ("alone", row)
    return float(value) if column == "price" else value


@dataclass
class Reference:
    """The search by its definition, over the rows that may be found.

    Attributes:
        similarities: of every row.
        groups: of every row, see ``group_of``.
        searched: the rows that may be found.
        least: the similarity that a match has at least.
    """

    bundle: IndexBundle
    similarities: list[float]
    groups: list[object]
    searched: set[int]
    least: float

    def best(self, rows: Iterable[int], count: int) -> list[int]:
        """The best row of each group of some rows, best first, down to the least similarity."""
        first: dict[object, int] = {}
        for row in sorted(rows, key=lambda row: (-self.similarities[row], row)):
            first.setdefault(self.groups[row], row)
        return [row for row in first.values() if self.similarities[row] >= self.least][:count]

    def size(self, row: int) -> int:
        return sum(self.groups[other] == self.groups[row] for other in self.searched)

    def results(self, initial: list[int], k: int, top_k: int) -> tuple[list[Any], int]:
        """Algorithm 1 over groups: (row, stage, evidence) of each result, and |I_subset|."""
        if k >= top_k:
            return [(row, Stage.INITIAL, None) for row in initial], 0
        seeds = initial[:k]
        evidence: dict[int, TextEvidence] = {}
        for rank, seed in enumerate(seeds, start=1):
            for row, cosine in zip(
                *map(list, self.bundle.text_index.neighbours(seed)), strict=True
            ):
                if row not in evidence or cosine > evidence[row].cosine:
                    evidence[row] = TextEvidence(seed, rank, float(cosine))
        seed_groups = {self.groups[seed] for seed in seeds}
        subset = {
            row for row in evidence if row in self.searched and self.groups[row] not in seed_groups
        }
        refined = self.best(subset, top_k - k)
        taken = seed_groups | {self.groups[row] for row in refined}
        filled = [row for row in initial if self.groups[row] not in taken]
        found = [(row, Stage.INITIAL, None) for row in seeds]
        found += [(row, Stage.REFINED, evidence[row]) for row in refined]
        found += [(row, Stage.FILLED, None) for row in filled]
        return found[:top_k], len(subset)


def seen(match: Match) -> tuple[object, ...]:
    return match.row, match.similarity, match.stage, match.text, match.group_size


def assert_reference(
    found: SearchResult, reference: Reference, group_by: str | None, k: int, top_k: int
) -> None:
    def expected(row: int, stage: Stage, text: TextEvidence | None) -> tuple[object, ...]:
        size = None if group_by is None else reference.size(row)
        return row, reference.similarities[row], stage, text, size

    initial = reference.best(reference.searched, top_k)
    results, subset_size = reference.results(initial, k, top_k)
    assert list(map(seen, found.initial)) == [expected(row, Stage.INITIAL, None) for row in initial]
    assert list(map(seen, found.matches)) == [expected(*result) for result in results]
    assert (found.subset_size, found.searched_count) == (subset_size, len(reference.searched))


def random_query(rng: np.random.Generator, bundle: IndexBundle) -> QueryDescriptors:
    """The descriptors of a row, or others; cosines are exact."""
    if rng.random() < 0.5:
        row = rng.integers(len(bundle))
        return tuple(np.array(database[row]) for database in bundle.descriptors)
    return tuple(exact_vectors(rng, 1)[0] for _ in bundle.descriptors)


def case(
    rng: np.random.Generator, bundle: IndexBundle, attributes: list[Attributes]
) -> tuple[SearchParameters, set[int]]:
    """How to search, and the rows that may be found."""
    wanted, passes = random_filter(rng, len(bundle))
    excluded = {int(row) for row in rng.integers(0, len(bundle), rng.choice([0, 0, 1, 9]))}
    rows = {row for row, each in enumerate(attributes) if passes(each)} - excluded
    top_k = int(rng.choice([1, 2, 7, 20, 100]))
    parameters = SearchParameters(
        top_k=top_k,
        keep=int(rng.integers(1, min(top_k, 9) + 1)),
        words=str(rng.choice(["", "", f"nuxe {rng.choice(SHADES)}", "bottel", "hand wash no 3"])),
        group_by=rng.choice([None, *COLUMNS]),
        filter=wanted,
        exclude_ids=[bundle.product_id(row) for row in excluded],
        min_similarity=rng.choice([None, None, 0.0, 1.0, 2.0, 5.0]),
    )
    return parameters, rows


@pytest.mark.parametrize("size", SIZES)
def test_search_is_algorithm_1_over_brute_force_of_the_groups(
    retrievers: dict[int, Retriever], bundles: dict[int, IndexBundle], size: int
) -> None:
    retriever, bundle = retrievers[size], bundles[size]
    rng = np.random.default_rng(size)
    attributes = [bundle.product(row).attributes for row in range(size)]
    matches: list[Match] = []
    for _ in range(cases(retriever, size)):
        parameters, rows = case(rng, bundle, attributes)
        column, exclude = parameters.group_by, None
        if rng.random() < 0.7:
            query = random_query(rng, bundle)
            found = retriever.search(query, parameters)
        else:
            exclude = int(rng.integers(size))
            query = tuple(np.array(database[exclude]) for database in bundle.descriptors)
            found = retriever.similar_to(bundle.product_id(exclude), parameters)
            product = attributes[exclude].get(PRODUCT_COLUMN)
            rows -= {exclude}
            if column == PRODUCT_COLUMN and product is not None:
                rows -= {r for r in rows if attributes[r].get(PRODUCT_COLUMN) == product}
        similarities = brute_force(bundle, query, PROFILE_ALPHAS)
        reference = Reference(
            bundle,
            with_words(retriever, similarities, parameters.words, 1.0).tolist(),
            [group_of(row, each, column) for row, each in enumerate(attributes)],
            rows,
            -math.inf if parameters.min_similarity is None else parameters.min_similarity,
        )
        assert_reference(found, reference, column, parameters.keep, parameters.top_k)
        matches += found.matches
    sizes = {match.group_size for match in matches} - {None}
    assert min(sizes) == 1
    assert max(sizes) > size // 3
    if size > 100:
        assert {match.stage for match in matches} == set(Stage)


@pytest.mark.parametrize("size", SIZES)
def test_search_by_words_alone_finds_the_best_image_of_each_group(
    retrievers: dict[int, Retriever], bundles: dict[int, IndexBundle], size: int
) -> None:
    retriever, bundle = retrievers[size], bundles[size]
    rng = np.random.default_rng(size)
    attributes = [bundle.product(row).attributes for row in range(size)]
    for _ in range(cases(retriever, size) // 4):
        parameters, rows = case(rng, bundle, attributes)
        words = parameters.words or "night cream"
        parameters = SearchParameters(**vars(parameters) | {"words": words})
        cosines = with_words(retriever, np.ones(size), words, 1.0) - 1
        least = parameters.min_similarity
        reference = Reference(
            bundle,
            with_words(retriever, np.ones(size), words, 1.0).tolist(),
            [group_of(row, each, parameters.group_by) for row, each in enumerate(attributes)],
            rows,
            -math.inf if least is None else least,
        )
        having = {row for row in rows if cosines[row] > 0}

        found = retriever.search_by_words(parameters)

        expected = reference.best(having, parameters.top_k)
        assert [(m.row, m.similarity) for m in found.matches] == [
            (row, reference.similarities[row]) for row in expected
        ]
        if parameters.group_by is not None:
            assert [m.group_size for m in found.matches] == list(map(reference.size, expected))
        assert found.initial == found.matches
        assert found.searched_count == len(rows)


def test_column_that_the_index_does_not_have_is_refused_with_those_it_has(
    retriever: Retriever,
) -> None:
    parameters = SearchParameters(words="nuxe", group_by="brnad")
    query = tuple(np.array(database[0]) for database in retriever.bundle.descriptors)
    for search in (
        lambda: retriever.search(query, parameters),
        lambda: retriever.similar_to("p0000", parameters),
        lambda: retriever.search_by_words(parameters),
    ):
        with pytest.raises(QueryError) as caught:
            search()
        assert str(caught.value) == (
            "group_by: there is no column 'brnad'. Did you mean 'brand'? Columns: 'brand' (text), "
            "'price' (number)."
        )
