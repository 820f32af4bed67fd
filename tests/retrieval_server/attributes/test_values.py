"""Which texts are numbers or truth values, and which columns are meant to be of numbers."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval_server.attributes.values import ColumnKind, kind_of, number_of, stray_value, truth_of


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("12.50", 12.5),
        ("-3", -3.0),
        ("+3", 3.0),
        ("0", 0.0),
        ("0.5", 0.5),
        (".5", 0.5),
        ("5.", 5.0),
        ("1e3", 1000.0),
        ("1.5E-2", 0.015),
        (" 12.50\t", 12.5),
        ("999999999999999", 999999999999999.0),
        ("0.30000000000000004", 0.30000000000000004),
    ],
)
def test_a_number_is_written_as_programs_write_it(text: str, number: float) -> None:
    assert number_of(text) == number


@pytest.mark.parametrize(
    "text",
    ["", " ", "-", ".", "e3", "12,50", "1_000", "1 000", "1'000", "0x1F", "nan", "inf", "Infinity",
     "1e400", "12.50 EUR", "$9", "−3", "--3", "1e", "1.2.3", "١٢", "１２", "½", "true", "N/A",
     "1\n2", "0123", "00", "-01", "1000000000000000"],
)  # fmt: skip
def test_any_other_text_is_no_number(text: str) -> None:
    assert number_of(text) is None


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_that_a_data_frame_writes_comes_back(number: float) -> None:
    text = repr(number)
    if len(text.partition(".")[0].lstrip("-")) <= 15:
        assert number_of(text) == number


@given(st.text())
def test_no_text_gives_a_number_that_is_not_finite(text: str) -> None:
    number = number_of(text)
    assert number is None or math.isfinite(number)


def test_minus_zero_is_zero() -> None:
    assert str(number_of("-0.0")) == "0.0"


@pytest.mark.parametrize(
    ("text", "truth"),
    [("true", True), ("TRUE", True), ("False", False), (" false ", False)]
    + [(text, None) for text in ("", "yes", "no", "1", "0", "t", "falſe", "wahr", "true.")],
)
def test_truth_values_are_true_and_false_in_any_case(text: str, truth: bool | None) -> None:
    assert truth_of(text) is truth


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        ([], ColumnKind.TEXT),
        (["1", "2.5"], ColumnKind.NUMBER),
        (["1", "2.5", "N/A"], ColumnKind.TEXT),
        (["true", "False"], ColumnKind.TRUTH),
        (["true", "1"], ColumnKind.TEXT),
        (["0", "1"], ColumnKind.NUMBER),
        (["1", " "], ColumnKind.TEXT),
    ],
)
def test_one_value_of_another_kind_makes_a_column_of_texts(
    texts: list[str], kind: ColumnKind
) -> None:
    assert kind_of(texts) is kind


@pytest.mark.parametrize(
    ("texts", "stray"),
    [
        (["12,50", "9,99"], "12,50"),
        (["12.50", "9,99"], "9,99"),
        (["1.234,56"], "1.234,56"),
        (["1 000", "20"], "1 000"),
        (["1_000"], "1_000"),
        (["€9.99", "$ 5"], "€9.99"),
        (["12.50 EUR"], "12.50 EUR"),
        (["-20 %"], "-20 %"),
        (["5", "9.99", "N/A"], "N/A"),
        (["1", "2", "3", "free", "ask"], "free"),
        (["5", "9.99", "from 12.50"], "from 12.50"),
        (["EUR9", "5"], "EUR9"),
    ],
)
def test_a_column_that_was_meant_to_be_of_numbers_names_the_value_in_the_way(
    texts: list[str], stray: str
) -> None:
    assert kind_of(texts) is ColumnKind.TEXT
    assert stray_value(texts) == stray


@pytest.mark.parametrize(
    "texts",
    [
        [],
        ["S", "M", "38"],
        ["50 ml", "100 ml"],
        ["2024-01-31", "2024-02-01"],
        ["01.02.2024", "03.04.2024"],
        ["12:30"],
        ["0123", "4567", "12,50"],  # identifiers
        ["12345678901234567"],
        ["ABC123", "EAN 123"],
        ["1001", "1002", "1002-A"],
        ["1001", "1002", "1003B"],
        ["1", "2", "1/2"],
        ["https://example.com/1"],
    ],
)
def test_texts_that_hold_digits_are_not_taken_for_numbers(texts: list[str]) -> None:
    assert stray_value(texts) == ""
