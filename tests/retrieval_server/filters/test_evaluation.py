"""A filter lets through the rows that a literal reading of it does, over real columns."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval_server.attributes.columns import Columns, write_column
from retrieval_server.errors import QueryError
from retrieval_server.filters.evaluation import _BLOCK_ROWS, compile_filters, passing_rows
from retrieval_server.filters.expression import (
    AllOf,
    AnyOf,
    Condition,
    Equals,
    Filter,
    IsMissing,
    NoneOf,
    OneOf,
    Range,
)
from retrieval_server.filters.lookup import _look_up_codes, _look_up_numbers
from retrieval_server.storage.string_table import _find

VALUES: dict[str, list[str | None]] = {
    "brand": ["Nuxe", "L'Oréal", None, "nuxe", " Nuxe", "", "資生堂", "L'Oréal", "30", None],
    "price": ["12.50", "30", "-3", "1e3", None, "0", ".5", "12.5", "30", "-0"],
    "in_stock": ["true", "FALSE", None, "True", "false", "true", None, "true", "false", "true"],
    "note": [None] * 10,
    "size": ["30", "50 ml", "30", "75", None, "30", "1", "2", "3", "4"],
}
ROWS = range(10)
KINDS = "'brand' (text), 'price' (number), 'in_stock' (truth), 'note' (text), 'size' (text)"


@pytest.fixture(scope="module")
def columns(tmp_path_factory: pytest.TempPathFactory) -> Columns:
    folder = tmp_path_factory.mktemp("columns")
    return Columns(
        folder,
        [
            write_column(folder, number, name, values)
            for number, (name, values) in enumerate(VALUES.items())
        ],
    )


def value_of(row: int, column: str) -> str | float | bool | None:
    """The value of a row as the filter sees it, read from the catalogue's text."""
    text = VALUES[column][row]
    if text is None:
        return None
    if column == "price":
        return float(text)
    return text.lower() == "true" if column == "in_stock" else text


def passes(wanted: Filter, row: int) -> bool:
    """Whether a row passes, word for word as the protocol says."""
    if isinstance(wanted, AllOf):
        return all(passes(each, row) for each in wanted.filters)
    if isinstance(wanted, AnyOf | NoneOf):
        return any(passes(each, row) for each in wanted.filters) == isinstance(wanted, AnyOf)
    return is_met(wanted, value_of(row, wanted.column))


def is_met(condition: Condition, value: str | float | bool | None) -> bool:
    match condition:
        case IsMissing():
            return value is None
        case Equals(_, expected):
            return value is not None and value == expected
        case OneOf(_, expected):
            return value is not None and value in expected
    return (
        value is not None
        and (condition.at_least is None or value >= condition.at_least)
        and (condition.above is None or value > condition.above)
        and (condition.at_most is None or value <= condition.at_most)
        and (condition.below is None or value < condition.below)
    )


texts = st.sampled_from(["Nuxe", "nuxe", "L'Oréal", "資生堂", "", "30", "zzz", "\U0010ffff"])
numbers = st.sampled_from([12.5, 30.0, -3.0, 0.0, -0.0, 1e300, math.inf, -math.inf, 29.999])
truths = st.booleans()
by_kind = {"brand": texts, "size": texts, "note": texts, "price": numbers, "in_stock": truths}


@st.composite
def conditions(draw: st.DrawFn) -> Filter:
    column = draw(st.sampled_from(list(by_kind)))
    kind = draw(st.sampled_from(["equals", "one_of", "range", "is_missing"]))
    if kind == "equals":
        return Equals(column, draw(by_kind[column]))
    if kind == "one_of":
        return OneOf(column, tuple(draw(st.lists(by_kind[column], min_size=1, max_size=30))))
    if kind == "range":
        ends = draw(
            st.dictionaries(
                st.sampled_from(["at_least", "above", "at_most", "below"]), numbers, min_size=1
            )
        )
        return Range("price", **ends)
    return IsMissing(column)


filters = st.recursive(
    conditions(),
    lambda parts: st.builds(
        lambda kind, chosen: kind(tuple(chosen)),
        st.sampled_from([AllOf, AnyOf, NoneOf]),
        st.lists(parts, min_size=1, max_size=3),
    ),
    max_leaves=8,
)


@given(wanted=filters)
def test_rows_pass_as_the_filter_says_word_for_word(columns: Columns, wanted: Filter) -> None:
    assert passing_rows(wanted, columns).tolist() == [passes(wanted, row) for row in ROWS]


@pytest.mark.parametrize("column", list(VALUES))
def test_missing_value_passes_is_missing_and_the_complement_of_conditions(
    columns: Columns, column: str
) -> None:
    value = {"price": 1e9, "in_stock": True}.get(column, "zzz")
    missing = [text is None for text in VALUES[column]]
    assert passing_rows(IsMissing(column), columns).tolist() == missing
    for condition in (Equals(column, value), OneOf(column, (value,))):
        passing = passing_rows(condition, columns)
        assert not (passing & missing).any()
        assert passing_rows(NoneOf((condition,)), columns).tolist() == (~passing).tolist()


def test_evaluating_a_filter_changes_no_column(columns: Columns) -> None:
    before = {name: columns[name].values.tolist() for name in columns.names}
    passing_rows(AllOf((IsMissing("note"), NoneOf((IsMissing("price"),)))), columns)[:] = False
    after = {name: columns[name].values.tolist() for name in columns.names}
    assert np.array_equal(before.pop("price"), after.pop("price"), equal_nan=True)
    assert before == after


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        (Equals("brnad", "Nuxe"), "there is no column 'brnad'. Did you mean 'brand'?"),
        (IsMissing("x\ny"), r"there is no column 'x\ny'."),
        (Equals("price", "12.50"), "column 'price' holds numbers, and '12.50' is a text."),
        (Equals("price", True), "column 'price' holds numbers, and true is a truth value."),
        (
            Equals("size", 30.0),
            "column 'size' holds texts, and 30 is a number; in quotes it is a text.",
        ),
        (OneOf("size", ("30", 0.1)), "column 'size' holds texts, and 0.1 is a number; in quotes"),
        (Equals("in_stock", 1.0), "column 'in_stock' holds truth values, and 1 is a number."),
        (Equals("in_stock", "true"), "column 'in_stock' holds truth values, and 'true' is a text."),
        (OneOf("brand", ()), "one_of on column 'brand' has no values; give at least one."),
        (Range("brand", below=3), "column 'brand' holds texts; only numbers have a range."),
        (Range("in_stock", below=3), "column 'in_stock' holds truth values; only numbers have a"),
        (Range("price"), "range on column 'price' has no end; give at_least, above, at_most or"),
        (Range("price", below=math.nan), "column 'price' is compared with NaN; give a number."),
        (Equals("price", math.nan), "column 'price' is compared with NaN; give a number."),
    ],
)
def test_condition_that_no_column_meets_names_the_columns(
    columns: Columns, wanted: Filter, problem: str
) -> None:
    nested = AnyOf((IsMissing("note"), NoneOf((AllOf((IsMissing("price"), wanted)),))))
    for each in (wanted, nested):
        with pytest.raises(QueryError) as caught:
            passing_rows(each, columns)
        assert caught.value.field == "filter"
        assert str(caught.value).startswith(f"filter: {problem}")
        assert str(caught.value).endswith(f" Columns: {KINDS}.")


@pytest.mark.parametrize(
    ("kind", "name"), [(AllOf, "all_of"), (AnyOf, "any_of"), (NoneOf, "none_of")]
)
def test_combination_of_nothing_is_refused(columns: Columns, kind: type, name: str) -> None:
    with pytest.raises(QueryError, match=f"filter: {name} has no filters; give at least one"):
        passing_rows(AllOf((IsMissing("note"), kind(()))), columns)


def test_catalogue_of_many_columns_lists_the_first_ones(tmp_path: Path) -> None:
    names = [f"column {number}" for number in range(300)]
    records = [write_column(tmp_path, n, name, ["1"]) for n, name in enumerate(names)]
    with pytest.raises(QueryError, match=r"'column 19' \(number\) and 280 more\.$"):
        passing_rows(IsMissing("brand"), Columns(tmp_path, records))
    with pytest.raises(QueryError, match=r"there is no column 'brand'\. Columns: none\.$"):
        passing_rows(IsMissing("brand"), Columns(tmp_path, []))


@pytest.mark.parametrize("distinct", [2, 300, 70_000])
def test_many_values_are_looked_up_in_codes_of_every_width(tmp_path: Path, distinct: int) -> None:
    rng = np.random.default_rng(distinct)
    rows = [None, *(f"text {code}" for code in rng.permutation(distinct)), "text 1"]
    columns = Columns(tmp_path, [write_column(tmp_path, 0, "text", rows)])
    wanted = {f"text {code}" for code in range(0, distinct, 2)} | {f"no {n}" for n in range(5)}
    passing = passing_rows(OneOf("text", tuple(wanted)), columns)
    assert passing.tolist() == [text in wanted for text in rows]


def test_many_numbers_are_looked_up(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    rows = [None if n < 50 else f"{rng.integers(100) / 4}" for n in range(1000)]
    columns = Columns(tmp_path, [write_column(tmp_path, 0, "number", rows)])
    wanted = tuple(np.unique(rng.integers(-10, 120, 50) / 4).tolist())
    passing = passing_rows(OneOf("number", wanted[::-1]), columns)
    assert passing.tolist() == [text is not None and float(text) in wanted for text in rows]


def test_every_block_of_a_large_catalogue_is_evaluated(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    rows = 2 * _BLOCK_ROWS + 5
    numbers, codes = rng.integers(0, 50, rows), rng.integers(0, 3, rows)
    texts = [f"{number}" for number in numbers], [f"text {code}" for code in codes]
    records = [write_column(tmp_path, n, "xy"[n], each) for n, each in enumerate(texts)]
    no_text = NoneOf((OneOf("y", ("text 0", "text 1")),))
    wanted = AnyOf((Range("x", above=47), no_text, Equals("x", 3.0)))
    expected = (numbers > 47) | (codes == 2) | (numbers == 3)
    assert np.array_equal(passing_rows(wanted, Columns(tmp_path, records)), expected)


def test_filter_compiles_nothing_that_was_not_compiled_before(columns: Columns) -> None:
    compile_filters(columns)
    before = [len(loop.signatures) for loop in (_look_up_codes, _look_up_numbers, _find)]
    for name, value in (("brand", "a"), ("price", 1.0), ("in_stock", True), ("size", "30")):
        passing_rows(AnyOf((OneOf(name, (value, value)), IsMissing(name))), columns)
    assert before == [len(loop.signatures) for loop in (_look_up_codes, _look_up_numbers, _find)]
