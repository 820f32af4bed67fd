"""The rows that pass a filter: one pass over the column of each condition.

A filter is prepared once, and then applied to block after block of the rows. The masks of a block
stay in the processor's cache: new masks of all rows cost more time than the comparisons.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval_server.attributes.columns import Column, Columns
from retrieval_server.attributes.values import ColumnKind
from retrieval_server.errors import QueryError
from retrieval_server.filters.column_errors import ColumnErrors, kind_of_value
from retrieval_server.filters.expression import (
    AllOf,
    AnyOf,
    Combination,
    Condition,
    Equals,
    Filter,
    IsMissing,
    NoneOf,
    OneOf,
    Range,
    Value,
)
from retrieval_server.filters.lookup import CodeSet, Mask, NumberSet

_BLOCK_ROWS = 65_536

_Passing = Callable[[slice], Mask]  # which rows of a block pass; the mask is the caller's to change


def passing_rows(wanted: Filter, columns: Columns) -> Mask:
    """Find the rows that pass a filter.

    Args:
        wanted: the filter; ``expression`` has the limits of its size, which are not checked here.
        columns: the columns of the index.

    Returns:
        (N,) whether a row passes; the caller's to change.

    Raises:
        QueryError: if a condition names no column of the index, or cannot be met by the kind of its
            column, or if a part of the filter is empty.
    """
    passing = _prepared(wanted, columns)
    (count,) = columns.lengths()
    mask = np.empty(count, np.bool_)
    for first in range(0, count, _BLOCK_ROWS):
        rows = slice(first, first + _BLOCK_ROWS)
        mask[rows] = passing(rows)
    return mask


def check_filter(wanted: Filter, columns: Columns) -> None:
    """Check that a filter suits the columns of an index, without evaluating it.

    Args:
        wanted: the filter.
        columns: the columns of the index.

    Raises:
        QueryError: see ``passing_rows``.
    """
    _prepared(wanted, columns)


def compile_filters(columns: Columns) -> None:
    """Compile what filters on some columns need, or load it from numba's cache.

    Args:
        columns: the columns of the index.
    """
    for name in columns.names:
        column = columns[name]
        if column.kind is ColumnKind.NUMBER:
            NumberSet(np.zeros(1)).holds(column.values[:0])
        else:
            CodeSet(column.values[:0], column.missing_code).holds(column.values[:0])
        if column.kind is ColumnKind.TEXT:
            column.codes_of(())


def _prepared(wanted: Filter, columns: Columns) -> _Passing:
    if not isinstance(wanted, Combination):
        return _PreparedCondition(wanted, columns).passing()
    if not wanted.filters:
        raise QueryError("filter", f"{_NAMES[type(wanted)]} has no filters; give at least one.")
    join = np.logical_and if isinstance(wanted, AllOf) else np.logical_or
    joined = _joined(join, [_prepared(each, columns) for each in wanted.filters])
    return (lambda rows: ~joined(rows)) if isinstance(wanted, NoneOf) else joined


def _joined(join: np.ufunc, parts: Sequence[_Passing]) -> _Passing:
    def passing(rows: slice) -> Mask:
        mask = parts[0](rows)
        for part in parts[1:]:
            join(mask, part(rows), out=mask)
        return mask

    return passing


_NAMES: dict[type[Combination], str] = {AllOf: "all_of", AnyOf: "any_of", NoneOf: "none_of"}


class _PreparedCondition:
    """A condition on the column that it names."""

    def __init__(self, condition: Condition, columns: Columns) -> None:
        self._condition = condition
        self._errors = ColumnErrors(columns)
        if condition.column not in columns.names:
            raise self._errors.no_such_column(condition.column)
        self._column = columns[condition.column]

    def passing(self) -> _Passing:
        match self._condition:
            case IsMissing():
                column = self._column
                return lambda rows: column.is_missing(column.values[rows])
            case Equals(value=value):
                return self._among((value,))
            case OneOf(values=values):
                if not values:
                    raise self._errors.empty_one_of(self._column.name)
                return self._among(values)
            case Range():
                return self._inside(self._condition)

    def _among(self, values: Sequence[Value]) -> _Passing:
        column, wanted = self._column, self._held(values)
        if len(wanted) == 1:
            return partial(_compared, np.equal, column, wanted[0])
        is_number = column.kind is ColumnKind.NUMBER
        chosen = NumberSet(wanted) if is_number else CodeSet(wanted, column.missing_code)
        return lambda rows: chosen.holds(column.values[rows])

    def _held(self, values: Sequence[Value]) -> NDArray[Any]:
        """What the column holds for some values; nothing for a text that no row has."""
        column = self._column
        for value in values:
            if kind_of_value(value) is not column.kind:
                raise self._errors.other_kind(column, value)
        if column.kind is ColumnKind.TEXT:
            return column.codes_of(value for value in values if isinstance(value, str))
        numbers = [self._number(value) for value in values if not isinstance(value, str)]
        return np.array(numbers, column.values.dtype)

    def _inside(self, ends: Range) -> _Passing:
        if self._column.kind is not ColumnKind.NUMBER:
            raise self._errors.no_numbers(self._column)
        comparisons = [
            partial(_compared, compare, self._column, self._number(end))
            for compare, end in (
                (np.greater_equal, ends.at_least),
                (np.greater, ends.above),
                (np.less_equal, ends.at_most),
                (np.less, ends.below),
            )
            if end is not None
        ]
        if not comparisons:
            raise self._errors.open_range(self._column.name)
        return _joined(np.logical_and, comparisons)

    def _number(self, number: float) -> float:
        if math.isnan(number):
            raise self._errors.not_a_number(self._column.name)
        return number


def _compared(compare: np.ufunc, column: Column, value: Any, rows: slice) -> Mask:
    """Compare some rows with a value; NaN, a missing number, passes no comparison."""
    passes: Mask = compare(column.values[rows], value)
    return passes
