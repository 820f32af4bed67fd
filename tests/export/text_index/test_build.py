"""The textual index, eq. (3)-(7): exactly the pairs above τ, whatever the descriptions are."""

import math
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from export.text_index.build import TextIndexReport, build_text_index
from export.text_index.settings import TextSettings
from retrieval_server.errors import RetrievalError
from retrieval_server.text.language_filter import KEEP_ALL
from retrieval_server.text.neighbours import COSINE_SCALE, TextIndex
from retrieval_server.text.tokens import strip_accents_tokens as tokens

NEAR_TIE = 1e-12  # cosines this close to τ are decided by rounding
ROUNDING = 0.5 / COSINE_SCALE + 1e-9
WORDS = ("red", "blue", "serum", "30ml", "1.7", "oz", "loreal", "a")


@dataclass(frozen=True)
class Built:
    """A textual index in memory."""

    report: TextIndexReport
    lists: list[dict[int, float]]
    files: dict[str, bytes]


def ignore(_: int) -> None:
    """No progress to report."""


def find(descriptions: Sequence[str], threshold: float = 0.6, **settings: object) -> Built:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        chosen = TextSettings(threshold=threshold, **settings)
        report = build_text_index(descriptions, chosen, folder, ignore)
        index = TextIndex(folder)
        lists = [
            dict(zip(*(part.tolist() for part in index.neighbours(row)), strict=True))
            for row in range(len(index))
        ]
        return Built(report, lists, {p.name: p.read_bytes() for p in folder.iterdir()})


def dense_cosines(descriptions: Sequence[str]) -> NDArray[np.float64]:
    """Eq. (3)-(6), word by word."""
    counts = [Counter(tokens(text)) for text in descriptions]
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
    found = find(descriptions, threshold, language_filter=KEEP_ALL).lists
    expected = dense_cosines(descriptions)
    assert len(found) == len(descriptions)
    for row, listed in enumerate(found):
        for other in range(len(descriptions)):
            cosine = expected[row, other]
            if other == row:
                assert other not in listed
            elif abs(cosine - threshold) > NEAR_TIE:
                assert (other in listed) == (cosine > threshold)
            if other in listed:
                assert listed[other] == pytest.approx(cosine, abs=ROUNDING)
                assert found[other][row] == listed[other]
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
def test_pairs_are_those_of_the_dense_product_on_a_random_catalogue(seed: int) -> None:
    rng = np.random.default_rng(seed)
    vocabulary = [f"w{number}" for number in range(40)]
    rarity = 1 / np.arange(1, 41)
    descriptions = [
        " ".join(rng.choice(vocabulary, size=rng.integers(0, 9), p=rarity / rarity.sum()))
        for _ in range(60)
    ]
    descriptions[10:14] = [descriptions[20], descriptions[20], "common", ""]
    check_against_dense([f"{text} common" if text else "" for text in descriptions], 0.6)


def test_equal_descriptions_give_equal_files_and_others_do_not() -> None:
    descriptions = [f"{WORDS[n % 8]} {WORDS[n % 3]} {WORDS[n % 5]}" for n in range(50)]
    assert find(descriptions).files == find(descriptions).files
    assert find(descriptions).files != find(descriptions[::-1]).files


def test_weights_follow_equations_3_and_4_worked_out_by_hand() -> None:
    # N = 3; DF(red) = 2, DF(serum) = 2, DF(oil) = 1. w = TF · (ln((1 + N) / (1 + DF)) + 1).
    common, rare = math.log(4 / 3) + 1, math.log(4 / 2) + 1
    red_red_serum = np.array([2 * common, common, 0])
    red_oil = np.array([common, 0, rare])
    cosine = red_red_serum @ red_oil
    cosine /= np.linalg.norm(red_red_serum) * np.linalg.norm(red_oil)
    found = find(["red red serum", "red oil", "serum"], threshold=0.01).lists
    assert found[0][1] == pytest.approx(cosine, abs=ROUNDING)
    assert found[0][2] == pytest.approx(1 / math.sqrt(5), abs=ROUNDING)
    assert 2 not in found[1]


def test_threshold_itself_is_not_above_the_threshold() -> None:
    # Both words have DF = 2 of 3 documents, so "a b" and "a" have the cosine 1 / √2.
    texts = ["a b", "a", "b"]
    above, below = math.sqrt(0.5) + NEAR_TIE, math.sqrt(0.5) - NEAR_TIE
    assert find(texts, above, language_filter=KEEP_ALL).lists == [{}, {}, {}]
    assert list(find(texts, below, language_filter=KEEP_ALL).lists[0]) == [1, 2]


def test_equal_descriptions_are_neighbours_in_row_order() -> None:
    found = find(["rouge velvet", "serum", "rouge velvet", "Rouge, VELVET!", "velvet rouge"]).lists
    assert [list(listed) for listed in found] == [[2, 3, 4], [], [0, 3, 4], [0, 2, 4], [0, 2, 3]]
    assert set(found[2].values()) == {1.0}


def test_products_without_a_usable_description_have_an_empty_list() -> None:
    found = find(["", "lip balm", " ®™ !? ", "修护精华液 30ml", "crème pour les mains", "lip balm"])
    assert found.report.documents == 2
    assert found.report.left_out == {"another script": 1, "fr": 1}
    assert found.lists == [{}, {5: 1.0}, {}, {}, {}, {1: 1.0}]


def test_all_languages_are_kept_on_demand() -> None:
    found = find(
        ["修护精华液 30ml", "lip balm", "修护精华液, 30 ml"], 0.2, language_filter=KEEP_ALL
    )
    assert (found.report.documents, found.report.left_out) == (3, {})
    assert list(found.lists[0]) == [2]


def test_literal_rule_gives_other_pairs() -> None:
    texts = ["serum 1.7oz", "serum 17oz", "cream"]
    assert find(texts, tokeniser="literal-2").lists[0] == {1: 1.0}
    assert find(texts).lists[0] == {}


@pytest.mark.parametrize("descriptions", [[], [""], ["", "修护精华液"], ["alone"]])
def test_catalogue_without_pairs_has_an_empty_index(descriptions: list[str]) -> None:
    found = find(descriptions)
    assert found.lists == [{}] * len(descriptions)
    assert found.report.warnings == []


def test_progress_ends_at_the_number_of_products(tmp_path: Path) -> None:
    finished: list[int] = []
    texts = ["lip", "", "balm", "lip", "lip balm"]
    build_text_index(texts, TextSettings(), tmp_path, finished.append)
    assert sum(finished) == 5


# Clusters


def test_ten_thousand_identical_descriptions_are_joined_as_one_and_warned_about() -> None:
    copies = 10_000
    with tempfile.TemporaryDirectory() as name:
        folder, finished = Path(name), list[int]()
        descriptions = ["New lipstick"] * copies + ["Lip balm rose", "lip balm"]
        report = build_text_index(descriptions, TextSettings(), folder, finished.append)
        index = TextIndex(folder)
        assert index.pair_count == copies * (copies - 1) + 2 * (len(index.neighbours(copies)[0]))
        for row in (0, 1, 4_321, copies - 1):
            rows, cosines = index.neighbours(row)
            assert rows.tolist() == [other for other in range(copies) if other != row]
            assert set(cosines.tolist()) == {1.0}
    (warning,) = report.warnings
    assert "10,000 of 10,002 descriptions (100.0%) are similar to 'New lipstick'" in warning
    assert "refinement replaces right results" in warning


def test_long_list_is_cut_on_demand_and_the_report_says_so() -> None:
    texts = ["rouge velvet", "rouge velvet lip", "rouge velvet lip balm", "oil", "rouge velvet"]
    whole = find(texts, 0.3)
    cut = find(texts, 0.3, max_neighbours=2)
    assert [list(listed) for listed in whole.lists] == [
        [4, 1, 2],
        [2, 0, 4],
        [1, 0, 4],
        [],
        [0, 1, 2],
    ]
    assert cut.lists == [dict(list(listed.items())[:2]) for listed in whole.lists]
    assert (cut.report.sizes.cut_lists, cut.report.sizes.cut_neighbours) == (4, 4)
    assert "cut 4 lists" in cut.report.warnings[0]
    assert whole.report.warnings == []
    assert find(texts, 0.3, max_neighbours=3).files == whole.files


@pytest.mark.parametrize("threshold", [1e-9, 1 - 1e-9])
def test_extreme_thresholds_are_exact_too(threshold: float) -> None:
    descriptions = [f"common {WORDS[n % 7]} {WORDS[n % 3]} x{n % 11}" for n in range(60)]
    check_against_dense(descriptions, threshold)


def test_word_in_every_description_does_not_make_them_neighbours() -> None:
    descriptions = [f"shop x{n} y{n}" for n in range(3_000)]
    assert find(descriptions).report.sizes.neighbours == 0


@pytest.mark.parametrize(
    ("shared", "products", "share"),
    [(8, 40, "20.0%"), (10, 100, "10.0%"), (32, 1_000, "3.2%"), (200, 20_000, "1.0%")],
)
def test_a_text_that_too_many_products_share_is_named_by_its_share(
    shared: int, products: int, share: str
) -> None:
    texts = ["See pack for details"] * shared + [f"x{n} y{n}" for n in range(products - shared)]
    (warning,) = find(texts).report.warnings
    expected = f"{shared:,} of {products:,} descriptions ({share}) are similar to 'See pack for"
    assert expected in warning


@pytest.mark.parametrize(("shared", "products"), [(7, 12), (7, 40), (17, 1_000), (110, 20_000)])
def test_images_and_variants_of_one_product_are_no_reason_to_warn(
    shared: int, products: int
) -> None:
    texts = ["Rose lip balm"] * shared + [f"x{n} y{n}" for n in range(products - shared)]
    assert find(texts).report.warnings == []


def test_sentences_that_open_every_description_are_warned_about() -> None:
    opening = " ".join(f"word{n}" for n in range(60))
    (warning,) = find([f"{opening} x{n} y{n}" for n in range(40)]).report.warnings
    assert "40 of 40" in warning


def test_shared_text_is_counted_before_the_cap() -> None:
    common, cut = find(["lip balm"] * 8, max_neighbours=1).report.warnings
    assert "8 of 8" in common
    assert "cut 8 lists" in cut


def test_manifest_records_the_warnings() -> None:
    report = find(["lip balm"] * 8).report
    assert report.to_json()["warnings"] == report.warnings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"threshold": 0.0}, "between 0 and 1"),
        ({"threshold": 1.0}, "between 0 and 1"),
        ({"threshold": math.nan}, "between 0 and 1"),
        ({"tokeniser": "litteral"}, "'litteral'.*strip-accents-2, literal-2"),
        ({"tokeniser": "strip-accents-1"}, "replaced by 'strip-accents-2'.*build the index again"),
        ({"tokeniser": "literal-1"}, "replaced by 'literal-2'"),
        ({"language_filter": "french"}, "'french'.*english-1, none"),
        ({"max_neighbours": 0}, "1 or more"),
    ],
)
def test_setting_that_means_nothing_is_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(RetrievalError, match=message):
        TextSettings(**settings)
