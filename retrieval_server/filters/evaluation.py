"""The rows that pass a filter: one pass over the column of each condition."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from retrieval_server.attributes.columns import Columns
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

Mask = NDArray[np.bool_]

_COMPARED_ONE_BY_ONE = 24  # values of a condition; more are looked up in a table or by bisection


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
    if isinstance(wanted, Combination):
        return _combined(wanted, columns)
    return _Condition(wanted, columns).passing_rows()


def _combined(wanted: Combination, columns: Columns) -> Mask:
    masks = (passing_rows(each, columns) for each in wanted.filters)
    mask = next(masks, None)
    if mask is None:
        raise QueryError("filter", f"{_NAMES[type(wanted)]} has no filters; give at least one.")
    join = np.logical_and if isinstance(wanted, AllOf) else np.logical_or
    for other in masks:
        join(mask, other, out=mask)
    return ~mask if isinstance(wanted, NoneOf) else mask


_NAMES: dict[type[Combination], str] = {AllOf: "all_of", AnyOf: "any_of", NoneOf: "none_of"}


class _Condition:
    """A condition on the column that it names."""

    def __init__(self, condition: Condition, columns: Columns) -> None:
        self._condition = condition
        self._errors = ColumnErrors(columns)
        if condition.column not in columns.names:
            raise self._errors.no_such_column(condition.column)
        self._column = columns[condition.column]

    def passing_rows(self) -> Mask:
        match self._condition:
            case IsMissing():
                return self._column.missing
            case Equals(value=value):
                return self._among((value,))
            case OneOf(values=values):
                if not values:
                    raise self._errors.empty_one_of(self._column.name)
                return self._among(values)
            case Range():
                return self._inside(self._condition)

    def _among(self, values: Sequence[Value]) -> Mask:
        codes = np.array([*self._codes(values)], self._column.values.dtype)
        if len(codes) <= _COMPARED_ONE_BY_ONE:
            mask = np.zeros(len(self._column.values), np.bool_)
            for code in codes:
                mask |= self._column.values == code
            return mask
        if self._column.kind is ColumnKind.NUMBER:
            return _among_sorted(self._column.values, np.sort(codes))
        is_wanted = np.zeros(self._column.missing_code + 1, np.bool_)
        is_wanted[codes] = True
        return is_wanted.take(self._column.values)

    def _codes(self, values: Iterable[Value]) -> Iterable[float]:
        """What the column holds for some values; nothing for a text that no row has."""
        column = self._column
        for value in values:
            if kind_of_value(value) is not column.kind:
                raise self._errors.other_kind(column, value)
            if isinstance(value, str):
                if (code := column.code_of(value)) is not None:
                    yield code
            else:
                yield self._number(value)

    def _inside(self, ends: Range) -> Mask:
        if self._column.kind is not ColumnKind.NUMBER:
            raise self._errors.no_numbers(self._column)
        values, mask = self._column.values, None  # NaN, a missing value, is in no range
        for end, compare in (
            (ends.at_least, np.greater_equal),
            (ends.above, np.greater),
            (ends.at_most, np.less_equal),
            (ends.below, np.less),
        ):
            if end is not None:
                passes: Mask = compare(values, self._number(end))
                mask = passes if mask is None else np.logical_and(mask, passes, out=mask)
        if mask is None:
            raise self._errors.open_range(self._column.name)
        return mask

    def _number(self, number: float) -> float:
        if math.isnan(number):
            raise self._errors.not_a_number(self._column.name)
        return number


def _among_sorted(values: NDArray[np.float64], wanted: NDArray[np.float64]) -> Mask:
    """Which values are among some numbers, which are sorted."""
    places = np.minimum(np.searchsorted(wanted, values), len(wanted) - 1)  # NaN has the last
    is_among: Mask = wanted[places] == values
    return is_among
