"""t(x), the similarity of words and texts, against a literal transcription of eq. (3) to (6)."""

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from export.text_index.word_index import build_word_index
from retrieval_server.errors import IndexBundleError
from retrieval_server.text.grams import (
    GRAMS,
    READ,
    WRITTEN,
    GramRule,
    gram_codes,
    grams_of,
    words_in,
)
from retrieval_server.text.inverted_file import BLOCK_ROWS, Postings, write_inverted_file
from retrieval_server.text.word_search import (
    FieldSizes,
    WordSearch,
    WordsRecord,
    distinct_grams,
    matched_words,
)

TITLES = [
    "NUXE Huile Prodigieuse dry oil 100 ml",
    "L'Oréal Paris Elvive shampoo, 250 ml",
    "",
    "資生堂 化粧水 150ml",
    "שמן ארגן מרוקאי",
    "oil " * 300 + "olive",
    "!!! 💄",
    "Nuxe",
]
CHARACTERS = st.sampled_from([*"nuxe oil lorea", "é", "化", "粧", "水", "ש", "💄", "3", "-"])
Words = st.text(CHARACTERS, max_size=40) | st.text(max_size=40)
Texts = st.lists(st.text(CHARACTERS, max_size=30), min_size=1, max_size=20)


def indexed(folder: Path, **fields: Sequence[str]) -> WordSearch:
    sizes = build_word_index(folder, fields, lambda _: None)
    return WordSearch(folder, WordsRecord(GRAMS, (), sizes))


@pytest.fixture
def index(tmp_path: Path) -> Callable[..., WordSearch]:
    return lambda **fields: indexed(tmp_path, **fields)


def counts_of(text: str, rule: GramRule) -> Counter[int]:
    _, codes = grams_of([text], rule)
    return Counter(codes.tolist())


def literal_cosines(words: str, texts: Sequence[str], rule: GramRule = WRITTEN) -> list[float]:
    """Eq. (3) to (6) over n-grams with the logarithm of the count, one product at a time."""
    counted = [counts_of(text, rule) for text in texts]
    documents = Counter(gram for counts in counted for gram in counts)
    filled = sum(1 for counts in counted if counts)

    def vector(counts: Counter[int]) -> dict[int, float]:
        return {
            gram: (1 + math.log(min(count, 255)))
            * (math.log((1 + filled) / (1 + documents[gram])) + 1)
            for gram, count in counts.items()
            if documents[gram]
        }

    query = vector(counts_of(words, rule))
    cosines = []
    for counts in counted:
        text = vector(counts)
        product = math.fsum(weight * text.get(gram, 0) for gram, weight in query.items())
        lengths = [math.sqrt(math.fsum(w * w for w in v.values())) for v in (query, text)]
        cosines.append(product / math.prod(lengths) if product else 0.0)
    return cosines


def dense(search: WordSearch, words: str, count: int) -> list[float]:
    found = search.cosines(words)
    assert found.rows.dtype == np.int32
    assert np.all(np.diff(found.rows) > 0)
    assert np.all(found.cosines > 0)
    cosines = np.zeros(count)
    cosines[found.rows] = found.cosines
    return cosines.tolist()


@settings(max_examples=100, deadline=None)
@given(texts=Texts, queries=st.lists(Words, min_size=1, max_size=8))
def test_cosines_are_those_of_the_definition(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], queries: list[str]
) -> None:
    search = indexed(tmp_path_factory.mktemp("words"), description=texts)
    for words in queries:
        found = dense(search, words, len(texts))
        assert found == pytest.approx(literal_cosines(words, texts), abs=1e-12)
        assert max(found) <= 1


@pytest.mark.parametrize("alphabet", ["any", "nuxe \nשמ化粧💄👩\u200d🔬\u0301\u202e\ufffd"])
def test_ten_thousand_characters_of_any_script_are_compared_by_the_definition(
    index: Callable[..., WordSearch], alphabet: str
) -> None:
    """Any characters of Unicode; a few, which includes directions, combining marks and emoji."""
    rng = np.random.default_rng(4)
    points = rng.integers(0x110000, size=16_000) if alphabet == "any" else [*map(ord, alphabet)]
    points = rng.choice([point for point in points if not 0xD800 <= point < 0xE000], 16_000)
    characters = "".join(map(chr, points))
    texts = [characters[first : first + 300] for first in range(0, 6_000, 300)]
    words = characters[3_000:13_000]
    found = dense(index(description=texts), words, len(texts))
    assert found == pytest.approx(literal_cosines(words, texts), abs=1e-12)
    assert max(found) > 0.1


@pytest.mark.parametrize(
    "words", ["nuxe oil", "oil " * 2_000, "zzz", "化粧水", "ארגן", "💄", "", " "]
)
def test_words_of_any_length_and_script_are_compared_by_the_definition(
    index: Callable[..., WordSearch], words: str
) -> None:
    found = dense(index(description=TITLES), words, len(TITLES))
    assert found == pytest.approx(literal_cosines(words, TITLES), abs=1e-12)


def test_text_itself_has_the_cosine_one(index: Callable[..., WordSearch]) -> None:
    search = index(description=TITLES)
    for row, text in enumerate(TITLES):
        cosine = search.cosines(text).of(row)
        assert cosine == (pytest.approx(1) if words_in(text) else 0)


def test_misspelt_word_is_still_similar(index: Callable[..., WordSearch]) -> None:
    search = index(description=TITLES)
    assert search.cosines("prodigeuse").best(1).tolist() == [0]


def test_equal_cosines_are_ordered_by_row(index: Callable[..., WordSearch]) -> None:
    search = index(description=["lip balm", "nuxe oil", "lip balm", "lip balm"])
    assert search.cosines("lip balm").best(3).tolist() == [0, 2, 3]
    assert search.cosines("lip balm").best(9).tolist() == [0, 2, 3]
    assert search.cosines("lip balm").best(2).tolist() == [0, 2]


def test_words_that_no_text_has_find_nothing(index: Callable[..., WordSearch]) -> None:
    assert index(description=["", ""]).cosines("nuxe").rows.tolist() == []
    assert index(description=TITLES).cosines("qqq").rows.tolist() == []


@given(data=st.data(), words=st.text(CHARACTERS, max_size=20))
@settings(deadline=None)
def test_the_field_with_the_largest_cosine_counts(data: st.DataObject, words: str) -> None:
    texts = data.draw(Texts)
    read = [data.draw(st.text(st.one_of(CHARACTERS, st.just("\n")), max_size=30)) for _ in texts]
    with TemporaryDirectory() as folder:
        found = dense(indexed(Path(folder), description=texts, image=read), words, len(texts))
    fields = literal_cosines(words, texts), literal_cosines(words, read, READ)
    assert found == pytest.approx([max(pair) for pair in zip(*fields, strict=True)])


def test_same_words_have_the_same_bits_in_every_thread(index: Callable[..., WordSearch]) -> None:
    rng = np.random.default_rng(0)
    vocabulary = ["".join(rng.choice(list("abcdefgh"), 5)) for _ in range(200)]
    search = index(description=[" ".join(rng.choice(vocabulary, 8)) for _ in range(3_000)])
    words = " ".join(vocabulary[:40])
    with ThreadPoolExecutor(4) as executor:
        found = list(executor.map(search.cosines, [words] * 16))
    assert len({(each.rows.tobytes(), each.cosines.tobytes()) for each in found}) == 1


def test_rows_of_every_block_are_compared_by_the_definition_to_the_last_bit(
    tmp_path: Path,
) -> None:
    """Three blocks; n-grams that are rare, frequent, in one block only, and more than 255 times."""
    rng = np.random.default_rng(3)
    rows, grams = 2 * BLOCK_ROWS + 1_000, 12
    counts = rng.geometric(0.7, (grams, rows)) * (rng.random((grams, rows)) < 0.03)
    counts[0] = 0
    counts[0, [0, BLOCK_ROWS - 1, BLOCK_ROWS, rows - 1]] = 1
    counts[1, : BLOCK_ROWS + 500] = 0
    counts[2, 77] = 300
    _, codes = gram_codes([["abcdefghijkl"]])
    terms, of_rows = (each.astype(np.int32) for each in np.nonzero(counts))
    repeated = counts[terms, of_rows]
    write_inverted_file(
        tmp_path,
        "words.description",
        Postings(np.unique(codes), np.repeat(terms, repeated), np.repeat(of_rows, repeated), rows),
    )
    record = WordsRecord(GRAMS, (), {"description": FieldSizes(rows, grams, int(repeated.sum()))})

    found = WordSearch(tmp_path, record).cosines("abcdefghijkl abc")

    filled = int(counts.any(axis=0).sum())
    idf = np.log((1 + filled) / (1 + (counts > 0).sum(axis=1))) + 1
    sublinear = np.concatenate([[0], 1 + np.log(np.arange(1, 256))])
    query = sublinear[[2, 2] + [1] * 10] * idf  # " ab" and "abc" are there twice
    products, squares = np.zeros(rows), np.zeros(rows)
    for gram in range(grams):
        text = sublinear[np.minimum(counts[gram], 255)]
        products += query[gram] * idf[gram] * text
        squares += (text * idf[gram]) ** 2
    expected = products / np.maximum(math.sqrt(math.fsum(query * query)) * np.sqrt(squares), 1e-300)
    assert found.rows.tolist() == np.flatnonzero(expected).tolist()
    assert found.cosines.tolist() == np.minimum(expected, 1)[found.rows].tolist()


def test_matched_words_are_those_of_the_product_that_resemble_the_words() -> None:
    matched = matched_words(
        distinct_grams("nuxe prodigeuse 100ml"), "NUXE Huile Prodigieuse, 100 ml"
    )
    assert [(each.word, round(each.share, 2)) for each in matched] == [
        ("nuxe", 1.0),
        ("prodigieuse", 0.73),
        ("100", 0.67),
        ("ml", 0.5),
    ]


def test_long_text_has_its_sixteen_most_similar_words() -> None:
    text = " ".join(f"oilcan{number:03d}" for number in range(500)) + " oil"
    matched = matched_words(distinct_grams("oil"), text)
    assert len(matched) == 16
    assert [each.word for each in matched[:2]] == ["oil", "oilcan000"]


@pytest.mark.parametrize("part", ["codes", "idf", "counts", "offsets", "postings", "norms"])
def test_cut_file_is_refused_by_name(tmp_path: Path, part: str) -> None:
    indexed(tmp_path, description=TITLES)
    file = tmp_path / f"words.description.{part}.npy"
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(IndexBundleError, match=re.escape(file.name)):
        WordSearch(tmp_path, WordsRecord(GRAMS, (), {"description": FieldSizes(0, 0, 0)}))


@pytest.mark.parametrize(("place", "value"), [(0, 2), (-2, 65_535), (-1, 256)])
def test_damaged_list_is_refused_by_name(tmp_path: Path, place: int, value: int) -> None:
    """A row beyond the last one, and a number of times beyond 255."""
    record = indexed(tmp_path, description=["a", "b b"]).record
    file = tmp_path / "words.description.postings.npy"
    lists = np.load(file)
    lists[place] = value
    np.save(file, lists)
    search = WordSearch(tmp_path, record)
    with pytest.raises(IndexBundleError, match=f"{re.escape(file.name)} is damaged"):
        search.cosines("a b")


@pytest.mark.parametrize("place", [0, 1, -2])
def test_offsets_that_lead_beyond_the_lists_are_refused(tmp_path: Path, place: int) -> None:
    record = indexed(tmp_path, description=["nuxe", "oil oil"]).record
    file = tmp_path / "words.description.offsets.npy"
    offsets = np.load(file)
    offsets[place] = 1_000
    np.save(file, offsets)
    with pytest.raises(IndexBundleError, match=r"files of .*words\.description do not match"):
        WordSearch(tmp_path, record)


def test_other_rule_of_grams_is_refused(tmp_path: Path) -> None:
    record = indexed(tmp_path, description=TITLES).record
    with pytest.raises(IndexBundleError, match=f"'trigrams-0', this program makes '{GRAMS}'"):
        WordSearch(tmp_path, WordsRecord("trigrams-0", (), record.fields))
