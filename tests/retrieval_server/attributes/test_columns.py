"""A column on disk: what is written comes back, in the order and the width that filters rely on."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval_server.attributes.columns import Column, ColumnRecord, Columns, write_column
from retrieval_server.attributes.names import PRODUCT_COLUMN
from retrieval_server.attributes.values import ColumnKind
from retrieval_server.errors import IndexBundleError

VALUES = st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=5))


def written(folder: Path, values: list[str | None], name: str = "x") -> Column:
    return Column(folder, 0, write_column(folder, 0, name, values))


@given(VALUES)
def test_a_column_of_texts_gives_back_every_value(
    tmp_path_factory: pytest.TempPathFactory, values: list[str | None]
) -> None:
    values = [*values, "a text"]
    column = written(tmp_path_factory.mktemp("column"), values)
    assert column.kind is ColumnKind.TEXT
    assert column.is_missing(column.values).tolist() == [value is None for value in values]
    assert column.missing_count == values.count(None)
    assert column.distinct == len({value for value in values if value is not None})
    for code, value in zip(column.values.tolist(), values, strict=True):
        if value is None:
            assert code == column.missing_code == column.distinct
        else:
            assert column.text(code) == value
            assert column.codes_of([value]).tolist() == [code]


def test_codes_have_the_order_of_the_texts_bytes(tmp_path: Path) -> None:
    texts = ["z", "Z", "é", "", "zz", "商", "😀", "\uffff"]
    column = written(tmp_path, [*texts])
    by_code = [column.text(code) for code in range(column.distinct)]
    assert by_code == sorted(texts, key=str.encode)


@pytest.mark.parametrize("names", [["1e3", "1000", None], ["1", "1.0", "1,0"], ["true", "TRUE"]])
def test_the_names_of_products_are_texts_whatever_they_look_like(
    tmp_path: Path, names: list[str | None]
) -> None:
    record = write_column(tmp_path, 0, PRODUCT_COLUMN, names)
    column = Column(tmp_path, 0, record)
    assert (record.kind, record.warning) == (ColumnKind.TEXT, "")
    assert [
        None if name is None else column.text(column.values[row]) for row, name in enumerate(names)
    ] == names


@pytest.mark.parametrize("absent", ["", "a", "bb", "bä", "é", "\udcff", "\0", "b\0", "\U0010ffff"])
def test_a_text_that_no_row_has_has_no_code(tmp_path: Path, absent: str) -> None:
    assert written(tmp_path, ["b", None, "c"]).codes_of([absent]).tolist() == []


def test_the_empty_text_alone_has_a_code(tmp_path: Path) -> None:
    assert written(tmp_path, ["", None, ""]).codes_of(["", "a", ""]).tolist() == [0, 0]


@given(VALUES, VALUES)
def test_codes_of_texts_are_those_of_the_texts_that_a_row_has(
    tmp_path_factory: pytest.TempPathFactory, values: list[str | None], wanted: list[str | None]
) -> None:
    column = written(tmp_path_factory.mktemp("column"), [*values, "a text"])
    texts = [text for text in [*wanted, *values, "a text"] if text is not None]
    codes = column.codes_of(texts)
    assert [column.text(code) for code in codes] == [
        text for text in texts if text in values or text == "a text"
    ]
    assert codes.dtype == column.values.dtype


@pytest.mark.parametrize(
    ("distinct", "dtype"),
    [(255, np.uint8), (256, np.uint16), (65_535, np.uint16), (65_536, np.uint32)],
)
def test_codes_are_as_narrow_as_texts_and_the_missing_value_allow(
    tmp_path: Path, distinct: int, dtype: type
) -> None:
    column = written(tmp_path, [None, *(f"t{number}" for number in range(distinct))])
    assert column.values.dtype == dtype
    assert column.values[0] == column.missing_code == distinct
    assert column.is_missing(column.values).sum() == 1


def test_numbers_are_float64_and_nan_where_missing(tmp_path: Path) -> None:
    column = written(tmp_path, ["12.50", None, "1e3", "12.5", "-0"])
    assert column.kind is ColumnKind.NUMBER
    assert column.values.dtype == np.float64
    np.testing.assert_array_equal(column.values, [12.5, np.nan, 1000, 12.5, 0])
    assert column.is_missing(column.values).tolist() == [False, True, False, False, False]
    assert (column.distinct, column.missing_count) == (3, 1)


def test_truth_values_are_bytes_and_two_where_missing(tmp_path: Path) -> None:
    column = written(tmp_path, ["true", "FALSE", None, "True"])
    assert column.kind is ColumnKind.TRUTH
    assert column.values.dtype == np.uint8
    assert column.values.tolist() == [1, 0, 2, 1]
    assert (column.distinct, column.missing_count, column.missing_code) == (2, 1, 2)
    assert column.is_missing(column.values).tolist() == [False, False, True, False]


def test_a_column_without_a_value_is_of_texts(tmp_path: Path) -> None:
    column = written(tmp_path, [None, None])
    assert (column.kind, column.distinct, column.missing_count) == (ColumnKind.TEXT, 0, 2)
    assert column.is_missing(column.values).all()
    assert column.codes_of([""]).tolist() == []


def test_columns_are_found_by_names_that_no_file_could_have(tmp_path: Path) -> None:
    names = ["a/b", "..", "", "n" * 5000, "商品\n", "A", "a"]
    records = [write_column(tmp_path, n, name, [name]) for n, name in enumerate(names)]
    columns = Columns(tmp_path, records)
    assert columns.names == tuple(names)
    assert [columns[name].text(0) for name in names] == names
    with pytest.raises(KeyError):
        columns["b"]


def test_a_column_that_does_not_match_its_record_is_refused(tmp_path: Path) -> None:
    record = write_column(tmp_path, 0, "brand", ["a", "b"])
    for wrong in (
        ColumnRecord("brand", ColumnKind.TEXT, 3, 0),
        ColumnRecord("brand", ColumnKind.TEXT, 300, 0),
        ColumnRecord("brand", ColumnKind.NUMBER, 2, 0),
    ):
        with pytest.raises(IndexBundleError, match="beauty-export index"):
            Column(tmp_path, 0, wrong)
    (tmp_path / "columns.0.npy").unlink()
    with pytest.raises(IndexBundleError, match=r"columns\.0\.npy is missing"):
        Column(tmp_path, 0, record)


def test_a_record_comes_back_from_json() -> None:
    record = ColumnRecord("price", ColumnKind.TEXT, 3, 1, "12,50")
    assert ColumnRecord.from_json(record.to_json()) == record
    assert "'price' holds texts, not numbers, because of '12,50'" in record.warning


def test_a_warning_cuts_a_long_value(tmp_path: Path) -> None:
    values = [*map(str, range(9)), "x" * 1000]
    warning = write_column(tmp_path, 0, "price", values).warning
    assert "x" * 40 + "…" in warning
    assert len(warning) < 250
