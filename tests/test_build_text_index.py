"""The textual index, eq. (3)-(7): its words, its weights, and exactly the pairs above τ."""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from export import build_text_index
from export.build_text_index import TextNeighbours, find_text_neighbours, is_latin, tokens

NEAR_TIE = 1e-12  # cosines this close to τ, or to each other, are decided by rounding
WORDS = ("red", "blue", "serum", "30ml", "1.7", "oz", "loreal", "a")


def ignore(_: int) -> None:
    """No progress to report."""


def find(descriptions: Sequence[str], threshold: float = 0.6) -> TextNeighbours:
    return find_text_neighbours(descriptions, threshold, ignore)


def neighbours(found: TextNeighbours, row: int) -> dict[int, float]:
    span = slice(found.indptr[row], found.indptr[row + 1])
    return dict(zip(found.rows[span].tolist(), found.cosines[span].tolist(), strict=True))


def dense_cosines(descriptions: Sequence[str]) -> NDArray[np.float64]:
    """Eq. (3)-(5), word by word, for the descriptions that are covered."""
    counts = [Counter(tokens(text) if is_latin(text) else []) for text in descriptions]
    documents = sum(1 for count in counts if count)
    frequency = Counter(word for count in counts for word in count)
    vocabulary = sorted(frequency)
    weights = np.array(
        [
            [
                count[word] * (math.log((1 + documents) / (1 + frequency[word])) + 1)
                for word in vocabulary
            ]
            for count in counts
        ]
    ).reshape(len(counts), len(vocabulary))
    norms = np.linalg.norm(weights, axis=1, keepdims=True)
    unit = np.divide(weights, norms, out=np.zeros_like(weights), where=norms > 0)
    return unit @ unit.T


def check_against_dense(descriptions: Sequence[str], threshold: float) -> None:
    found, expected = find(descriptions, threshold), dense_cosines(descriptions)
    assert len(found.indptr) == len(descriptions) + 1
    for row in range(len(descriptions)):
        listed = neighbours(found, row)
        for other in range(len(descriptions)):
            cosine = expected[row, other]
            if other == row:
                assert other not in listed
            elif abs(cosine - threshold) > NEAR_TIE:
                assert (other in listed) == (cosine > threshold)
            if other in listed:
                assert listed[other] == pytest.approx(cosine, abs=NEAR_TIE)
                assert row in neighbours(found, other)
        order = [(-cosine, other) for other, cosine in listed.items()]
        assert order == sorted(order)


@given(
    st.lists(st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join), max_size=14),
    st.sampled_from([0.05, 0.3, 0.6, 0.9, 0.99]),
)
def test_pairs_are_those_of_the_dense_product_for_any_words(
    descriptions: list[str], threshold: float
) -> None:
    check_against_dense(descriptions, threshold)


@pytest.mark.parametrize("seed", [0, 1])
def test_pairs_are_those_of_the_dense_product_on_a_random_catalogue(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_text_index, "BLOCK_ROWS", 7)  # rows do not depend on the blocks
    rng = np.random.default_rng(seed)
    vocabulary = [f"w{number}" for number in range(40)]
    rarity = 1 / np.arange(1, 41)
    descriptions = [
        " ".join(rng.choice(vocabulary, size=rng.integers(0, 9), p=rarity / rarity.sum()))
        for _ in range(60)
    ]
    descriptions[10:14] = [descriptions[20], descriptions[20], "common", ""]
    check_against_dense([f"{text} common" if text else "" for text in descriptions], 0.6)


def test_blocks_do_not_change_the_index(monkeypatch: pytest.MonkeyPatch) -> None:
    descriptions = [f"{WORDS[n % 8]} {WORDS[n % 3]} {WORDS[n % 5]}" for n in range(50)]
    whole = find(descriptions)
    monkeypatch.setattr(build_text_index, "BLOCK_ROWS", 3)
    pieces = find(descriptions)
    for name in ("indptr", "rows", "cosines"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(pieces, name))


def test_weights_follow_equations_3_and_4_worked_out_by_hand() -> None:
    # N = 3; DF(red) = 2, DF(serum) = 2, DF(oil) = 1. w = TF · (ln((1 + N) / (1 + DF)) + 1).
    common, rare = math.log(4 / 3) + 1, math.log(4 / 2) + 1
    red_red_serum = np.array([2 * common, common, 0])
    red_oil = np.array([common, 0, rare])
    cosine = red_red_serum @ red_oil
    cosine /= np.linalg.norm(red_red_serum) * np.linalg.norm(red_oil)
    found = find(["red red serum", "red oil", "serum"], threshold=0.01)
    assert neighbours(found, 0)[1] == pytest.approx(cosine, abs=1e-12)
    assert neighbours(found, 0)[2] == pytest.approx(1 / math.sqrt(5), abs=1e-12)
    assert 2 not in neighbours(found, 1)


def test_threshold_itself_is_not_above_the_threshold() -> None:
    # Both words have DF = 2 of 3 documents, so "a b" and "a" have the cosine 1 / √2.
    cosine = neighbours(find(["a b", "a", "b"], threshold=0.5), 0)[1]
    assert cosine == pytest.approx(math.sqrt(0.5), abs=1e-12)
    assert neighbours(find(["a b", "a", "b"], threshold=cosine), 0) == {}


def test_equal_descriptions_are_neighbours_in_row_order() -> None:
    found = find(["rouge velvet", "serum", "rouge velvet", "Rouge, VELVET!", "velvet rouge"])
    assert list(neighbours(found, 2)) == [0, 3, 4]
    assert all(cosine == pytest.approx(1) for cosine in neighbours(found, 2).values())
    assert neighbours(found, 1) == {}


def test_products_without_a_usable_description_have_an_empty_list() -> None:
    descriptions = ["", "lip balm", " ®™ !? ", "修护精华液 30ml", "lip balm"]
    found = find(descriptions)
    assert found.documents == 2
    assert np.diff(found.indptr).tolist() == [0, 1, 0, 0, 1]
    assert found.rows.tolist() == [4, 1]


@pytest.mark.parametrize("descriptions", [[], [""], ["", "修护精华液"], ["alone"]])
def test_catalogue_without_pairs_has_an_empty_index(descriptions: list[str]) -> None:
    found = find(descriptions)
    assert found.indptr.tolist() == [0] * (len(descriptions) + 1)
    assert (found.rows.dtype, found.cosines.dtype) == (np.int32, np.float64)


def test_progress_ends_at_the_number_of_products() -> None:
    finished: list[int] = []
    find_text_neighbours(["lip", "", "balm"], 0.6, finished.append)
    assert sum(finished) == 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("L'Oréal", ["loreal"]),
        ("L’Oréal", ["loreal"]),
        ("L‘Oreal", ["loreal"]),
        ("L`Oreal", ["loreal"]),
        ("L´Oréal", ["loreal"]),
        ("Lʼoréal", ["loreal"]),
        ("L＇Oréal", ["loreal"]),
        ("LORE\u0301AL", ["loreal"]),
        ("Kiehl's", ["kiehls"]),
        ("1.7 oz / 50ml", ["1.7", "oz", "50ml"]),
        ("1.7oz.", ["1.7oz"]),
        ("No.5", ["no", "5"]),
        ("v1.2.3", ["v1.2.3"]),
        (".5", ["5"]),
        ("2-Pack", ["2", "pack"]),
        ("1,7", ["1", "7"]),
        ("Olay® Regenerist™ ©", ["olay", "regenerist"]),
        ("Olay®Regenerist", ["olay", "regenerist"]),
        ("snake_case", ["snake", "case"]),
        ("Ｆｕｌｌ Ｗｉｄｔｈ １２", ["full", "width", "12"]),
        ("½ x²", ["1", "2", "x2"]),
        ("ﬁne", ["fine"]),
        ("A", ["a"]),
        ("修护精华 30ml", ["修护精华", "30ml"]),
        ("line\nbreak\ttab", ["line", "break", "tab"]),
        ("", []),
        ("!?… —", []),
    ],
)
def test_descriptions_are_split_into_these_terms(text: str, expected: list[str]) -> None:
    assert tokens(text) == expected


@given(st.text())
def test_no_term_is_empty_or_holds_what_separates_terms(text: str) -> None:
    assert all(word and not set(word) & set(" '_®™") for word in tokens(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", True),
        ("Plain ASCII, 30 ml", True),
        ("L'Oréal Crème Brûlée Œuvre Straße", True),
        ("Krem nawilżający, żel pod prysznic", True),
        ("Olay® Regenerist™ ½ 30℃", True),
        ("Ｆｕｌｌ width", True),
        ("α-Arbutin serum", True),
        ("Kiehlʼs and Palmerʼs", True),
        ("★★ 50% off ♥", True),
        ("修护精华液", False),
        ("L'Oréal 修护 serum", False),
        ("крем для рук", False),
        ("κρέμα", False),
        ("クリーム", False),
        ("수분 크림", False),
        ("كريم", False),
        ("kem dưỡng ẩm trắng", False),
    ],
)
def test_latin_descriptions_are_told_from_others(text: str, expected: bool) -> None:
    assert is_latin(text) is expected
