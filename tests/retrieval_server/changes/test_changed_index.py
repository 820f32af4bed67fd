"""A version with its changes is searched like an index of the catalogue that they make."""

import gc
import math
import threading
import weakref
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from export.text_index.append import append_text_index
from retrieval_server.attributes.columns import Column, write_column
from retrieval_server.changes import changed_search
from retrieval_server.changes.change import Change, Delete, Upsert, encoded
from retrieval_server.changes.changed_columns import ChangedColumn
from retrieval_server.changes.changed_index import ChangedIndex
from retrieval_server.changes.changed_version import ChangedVersion
from retrieval_server.changes.log_writer import LogWriter
from retrieval_server.errors import IndexLossError
from retrieval_server.exact_search.cascade import CascadeSettings
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.index.changes_folder import changes_folder
from retrieval_server.index.loss import ANY_LOSS, DEFAULT_MAX_LOSS
from retrieval_server.index.product import Product
from retrieval_server.index.publish import current_version, make_current, publish
from retrieval_server.models.profile import Profile
from retrieval_server.retrieval.retriever import Retriever
from retrieval_server.retrieval.search_request import SearchParameters
from retrieval_server.retrieval.search_result import SearchResult
from retrieval_server.stores.changed_store import changed_store
from retrieval_server.stores.layout import CLAIM_PLACE, FIRST
from retrieval_server.stores.load import Load
from retrieval_server.stores.milvus import STRONG, Milvus
from retrieval_server.stores.published_version import published
from retrieval_server.stores.stored_index import StoredIndex
from retrieval_server.text.grams import WRITTEN, grams_of
from retrieval_server.text.neighbours import TextIndex
from tests.retrieval_server.retrieval.test_groups import random_filter
from tests.retrieval_server.retrieval.test_retriever import PROFILE_ALPHAS
from tests.support.lite_store import lite_address
from tests.support.made_up_changes import apply, random_change, rows_of
from tests.support.made_up_databases import cascade, exact_vectors
from tests.support.made_up_index import BRANDS, COLUMNS, index_of, made_up_index
from tests.support.patience import PATIENCE_S
from tests.support.reference_search import NoEngine

SIZE, STEPS = 60, 4


def made_up(folder: Path, profile: Profile) -> IndexBundle:
    return made_up_index(folder / "version", profile, np.random.default_rng(3), SIZE)


@pytest.fixture
def base(tiny_profile: Profile, tmp_path: Path) -> IndexBundle:
    return made_up(tmp_path, tiny_profile)


@pytest.fixture(scope="module")
def store(tiny_profile: Profile, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Milvus]:
    """A store that holds ``base``."""
    folder = tmp_path_factory.mktemp("store")
    loading = Milvus(lite_address(folder), PATIENCE_S, STRONG, creates=True)
    Load(made_up(folder, tiny_profile), loading, max_loss=0).run()
    milvus = Milvus(loading.address, PATIENCE_S)
    loading.close()
    yield milvus
    milvus.close()


class Changing:
    """A version in files or in a store, its log, and the catalogue as it should be."""

    def __init__(self, base: IndexBundle, stored: StoredIndex | None = None) -> None:
        self.base, self.stored, self.catalogue = base, stored, rows_of(base)
        self.retriever = Retriever(stored or base, NoEngine())
        self.version = self.follow()
        self.writer = (
            LogWriter(changes_folder(base.folder), base.version)
            if stored is None
            else stored.open_log_writer()
        )
        self.changes: list[Change] = []

    def follow(self) -> ChangedVersion:
        """A reader of the log from its beginning."""
        search = self.retriever.index_search
        if self.stored is not None:
            return changed_store(self.stored, search)
        return ChangedVersion.in_files(self.base, search)

    def change(self, *changes: Change) -> ChangedIndex:
        """Write a group of changes, and read it."""
        position = self.writer.append([encoded(change) for change in changes])
        for change in changes:
            apply(change, self.catalogue)
        self.changes += changes
        index = self.version.catch_up()
        assert index is not None
        assert index.change_position == position == len(self.changes)
        return index

    def change_at_random(self, rng: np.random.Generator) -> ChangedIndex:
        ids = [*self.catalogue, "nobody"]
        return self.change(*(random_change(rng, self.base, ids) for _ in range(rng.integers(1, 9))))

    def rebuilt(self, folder: Path) -> IndexBundle:
        """An index of the catalogue, from nothing."""
        rows = list(self.catalogue.values())
        descriptors = [
            np.stack([row.descriptors[n] for row in rows]) for n in range(len(PROFILE_ALPHAS))
        ]
        return index_of(folder, self.base.profile, [row.product for row in rows], descriptors)


@pytest.fixture
def changing(request: pytest.FixtureRequest, base: IndexBundle) -> Iterator[Changing]:
    """Changes to ``base`` in one of the forms, by default in files."""
    form = getattr(request, "param", "files")
    if form != "store":
        if form == "cascade":
            search = cascade(base.descriptors, PROFILE_ALPHAS)
            base.levels = search.levels
            base.open_search = lambda parallelism: search
        yield Changing(base)
        return
    milvus: Milvus = request.getfixturevalue("store")
    yield Changing(base, StoredIndex.published(milvus, PATIENCE_S))
    milvus.call("delete", published(milvus)[1].changes, filter=f"{FIRST} >= {CLAIM_PLACE}")


in_both_forms = pytest.mark.parametrize("changing", ["files", "store"], indirect=True)


def seen(index: IndexBundle | ChangedIndex, found: SearchResult) -> list[object]:
    matches = [
        (index.product(match.row), match.similarity, match.cosines, match.group_size)
        for match in found.matches
    ]
    return [*matches, found.searched_count]


@pytest.fixture
def every_level(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the cascade go through every level of the changed rows."""
    settings = CascadeSettings(probes=4, extra_reads=1, few_rows=0, few_eligible=0)
    monkeypatch.setattr(changed_search, "SETTINGS", settings)


@pytest.mark.usefixtures("every_level")
@pytest.mark.parametrize("changing", ["files", "cascade", "store"], indirect=True)
def test_every_search_is_that_of_an_index_of_the_changed_catalogue(
    changing: Changing, tmp_path: Path
) -> None:
    rng = np.random.default_rng(5)
    for step in range(STEPS):
        index = changing.change_at_random(rng)
        other = changing.rebuilt(tmp_path / f"rebuilt-{step}")
        mine, theirs = changing.retriever.over(index), Retriever(other, NoEngine())
        assert len(index) == len(other)
        assert index.first_product == other.first_product
        for _ in range(30 if changing.stored is None else 10):  # a store's calls take long
            parameters = SearchParameters(
                top_k=int(rng.choice([1, 7, 100])),
                refine=False,
                filter=random_filter(rng, SIZE)[0],
                group_by=rng.choice([None, *COLUMNS]),
                exclude_ids=[str(each) for each in rng.choice([*changing.catalogue], 2)],
                min_similarity=rng.choice([None, 1.0, 2.0]),
            )
            query = tuple(exact_vectors(rng, 1)[0] for _ in PROFILE_ALPHAS)
            assert seen(index, mine.search(query, parameters)) == seen(
                other, theirs.search(query, parameters)
            )
            product_id = str(rng.choice([*changing.catalogue]))
            assert seen(index, mine.similar_to(product_id, parameters)) == seen(
                other, theirs.similar_to(product_id, parameters)
            )


@in_both_forms
def test_similar_descriptions_are_those_of_the_join_with_the_same_idf(
    changing: Changing, base: IndexBundle, tmp_path: Path
) -> None:
    rng = np.random.default_rng(6)
    for step in range(4):
        index = changing.change_at_random(rng)
        upserts = [change for change in changing.changes if isinstance(change, Upsert)]
        (tmp_path / f"{step}").mkdir()
        append_text_index(
            base,
            [each.product.description for each in upserts],
            tmp_path / f"{step}",
            lambda _: None,
        )
        joined = TextIndex(tmp_path / f"{step}")
        there = [index.row_of(product_id) for product_id in changing.catalogue]
        assert sum(len(index.text_index.neighbours(row)[0]) for row in there) > 50
        for row in there:
            rows, cosines = joined.neighbours(row)
            stays = np.isin(rows, there)
            found, found_cosines = index.text_index.neighbours(row)
            assert found.tolist() == rows[stays].tolist()
            assert found_cosines.tolist() == cosines[stays].tolist()


@in_both_forms
def test_a_description_of_another_language_has_no_neighbours(changing: Changing) -> None:
    twin = changing.catalogue["r00000"]
    text = twin.product.description or "Nuxe ruby lip balm no 0"
    index = changing.change(
        Upsert(product=_product("a", text), descriptors=twin.descriptors),
        Upsert(
            product=_product("b", text), descriptors=twin.descriptors, has_text_neighbours=False
        ),
    )
    a, b = index.row_of("a"), index.row_of("b")
    assert b not in index.text_index.neighbours(a)[0]
    assert index.text_index.neighbours(b)[0].tolist() == []


def _product(product_id: str, description: str) -> Product:
    return Product(product_id, description, "", {})


@in_both_forms
def test_words_are_compared_under_the_idf_of_the_version(
    changing: Changing, base: IndexBundle
) -> None:
    rng = np.random.default_rng(7)
    texts = [
        _text(base, base.product(row).description, base.product(row).attributes)
        for row in range(SIZE)
    ]
    idf = _idf(texts)
    for _ in range(4):
        index = changing.change_at_random(rng)
        there = {
            product_id: _text(base, row.product.description, row.product.attributes)
            for product_id, row in changing.catalogue.items()
        }
        for words in ("nuxe ruby", "Xylo", "hand wash zürich", "ハンド", "qqq", f"{BRANDS[3]} xy"):
            found = index.words.cosines(words)
            cosines = dict(zip(found.rows.tolist(), found.cosines.tolist(), strict=True))
            expected = _cosines(words, there, idf, texts)
            named = {index.product_id(row): cosine for row, cosine in cosines.items()}
            assert named.keys() == expected.keys(), words
            assert named == pytest.approx(expected, abs=1e-12)


def _text(base: IndexBundle, description: str, attributes: dict[str, str]) -> str:
    return base.manifest.words.text_of(description, attributes)


def _grams(text: str) -> Counter[int]:
    return Counter(grams_of([text], WRITTEN)[1].tolist())


def _idf(texts: list[str]) -> dict[int, float]:
    counts = Counter(gram for text in texts for gram in set(_grams(text)))
    filled = sum(bool(_grams(text)) for text in texts)
    by_gram = {gram: math.log((1 + filled) / (1 + count)) + 1 for gram, count in counts.items()}
    return by_gram | {-1: math.log(1 + filled) + 1}


def _cosines(
    words: str, there: dict[str, str], idf: dict[int, float], texts: list[str]
) -> dict[str, float]:
    """t of each product, literally: grams of the version, and those of the texts that are there."""
    known = {gram for text in [*texts, *there.values()] for gram in _grams(text)}

    def vector(text: str) -> dict[int, float]:
        return {
            gram: (1 + math.log(count)) * idf.get(gram, idf[-1])
            for gram, count in _grams(text).items()
            if gram in known
        }

    query = vector(words)
    found = {}
    for product_id, text in there.items():
        other = vector(text)
        product = math.fsum(weight * other.get(gram, 0.0) for gram, weight in query.items())
        if product:
            found[product_id] = product / math.hypot(*query.values()) / math.hypot(*other.values())
    return found


def test_a_value_that_does_not_fit_the_kind_that_a_compaction_gave_its_column_is_missing(
    tmp_path: Path,
) -> None:
    """It was checked against the column of the version before."""
    for number, (known, other) in enumerate({"true": "perhaps", "12.5": "twelve"}.items()):
        record = write_column(tmp_path, number, "column", [known, None])
        column = ChangedColumn(Column(tmp_path, number, record), [other, None, known])
        assert column.missing_count == 3
        assert column.is_missing(column.values).tolist() == [False, True, True, True, False]
        assert column.values[4] == column.values[0]
        assert column.distinct == 1


@in_both_forms
def test_a_search_keeps_the_position_at_which_it_began(changing: Changing) -> None:
    row = changing.catalogue["r00003"]
    first = changing.change(Upsert(product=_product("r00003", "once"), descriptors=row.descriptors))
    before = first.row_of("r00003"), first.product(first.row_of("r00003")).description, len(first)
    second = changing.change(
        Upsert(product=_product("r00003", "twice"), descriptors=row.descriptors),
        Delete("r00004"),
        Upsert(product=_product("later", "more"), descriptors=row.descriptors),
    )
    assert (first.row_of("r00003"), first.product(before[0]).description, len(first)) == before
    assert first.row_of("later") is None
    assert first.row_of("r00004") == 4
    assert second.product(second.row_of("r00003")).description == "twice"
    assert second.row_of("r00004") is None
    assert len(second) == SIZE


@in_both_forms
def test_a_catalogue_can_lose_every_product_and_gain_one(changing: Changing) -> None:
    row = changing.catalogue["r00000"]
    empty = changing.change(*map(Delete, list(changing.catalogue)))
    retriever = changing.retriever.over(empty)
    assert (len(empty), empty.first_product) == (0, None)
    assert retriever.search(row.descriptors, SearchParameters()).matches == ()
    one = changing.change(Upsert(product=_product("one", "x"), descriptors=row.descriptors))
    found = changing.retriever.over(one).search(row.descriptors, SearchParameters())
    assert [one.product_id(match.row) for match in found.matches] == ["one"]


@in_both_forms
def test_a_second_reader_has_the_same_answers_bit_by_bit(changing: Changing) -> None:
    rng = np.random.default_rng(8)
    for _ in range(3):
        index = changing.change_at_random(rng)
    other = changing.follow().catch_up()
    assert other is not None
    assert other.change_position == index.change_position
    parameters = SearchParameters(words="nuxe ruby lip balm", top_k=100)
    query = tuple(exact_vectors(rng, 1)[0] for _ in PROFILE_ALPHAS)
    assert (
        changing.retriever.over(other).search(query, parameters).matches
        == changing.retriever.over(index).search(query, parameters).matches
    )


def test_a_version_without_the_changes_of_the_current_one_is_not_published(
    base: IndexBundle, tiny_profile: Profile
) -> None:
    root = base.folder.parent
    made_up_index(root / "newer", tiny_profile, np.random.default_rng(3), SIZE)
    make_current(root, base.version)
    changing = Changing(base)
    assert publish(root, "newer", DEFAULT_MAX_LOSS)
    make_current(root, base.version)
    changing.change(Delete("r00004"))
    with pytest.raises(IndexLossError, match=r"beauty-export publish .* newer"):
        publish(root, "newer", DEFAULT_MAX_LOSS)
    assert current_version(root) == base.version
    assert publish(root, "newer", ANY_LOSS)


def test_the_files_of_a_version_are_closed_without_the_garbage_collector(
    base: IndexBundle,
) -> None:
    """A server would keep the disk space of every version that it has replaced."""
    rng = np.random.default_rng(0)
    upsert = next(
        change for _ in range(20) if isinstance(change := random_change(rng, base, []), Upsert)
    )
    log = LogWriter(changes_folder(base.folder), base.version)
    log.append([encoded(upsert)])
    log.close()
    changed = ChangedVersion.in_files(base, Retriever(base, NoEngine()).index_search)
    index = changed.catch_up()
    assert index is not None
    index.text_index.neighbours(SIZE)
    texts = weakref.ref(changed._texts)
    for thread in threading.enumerate():
        if thread.name == "terms-of-changes":
            thread.join()
    gc.disable()
    try:
        del changed, index
        assert texts() is None
    finally:
        gc.enable()
