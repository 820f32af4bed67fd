"""A filter as an expression of Milvus.

The filter has been checked against the columns before. Every value is a digest or a number, so
nothing has to be quoted. Missing numbers are told by a field of their own, so an expression means
the same whether or not the engine rewrites ``not``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from retrieval_server.attributes.columns import MISSING_TRUTH, ColumnRecord
from retrieval_server.attributes.values import ColumnKind
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
from retrieval_server.stores.candidate_store import ColumnValues, StoredValue
from retrieval_server.stores.layout import ROW, missing_field, text_digest, value_field

NO_ROW, ANY_ROW = f"{ROW} < 0", f"{ROW} >= 0"


class FilterExpressions:
    """Makes expressions for the columns of one index.

    Args:
        records: the columns, in the order of the manifest.
    """

    def __init__(self, records: Iterable[ColumnRecord]) -> None:
        self._columns = {record.name: (n, record.kind) for n, record in enumerate(records)}

    def of(self, wanted: Filter) -> str:
        """The expression of a filter.

        Args:
            wanted: the filter, which suits the columns.
        """
        if isinstance(wanted, Combination):
            parts = [f"({self.of(each)})" for each in wanted.filters]
            match wanted:
                case AllOf():
                    return " and ".join(parts)
                case AnyOf():
                    return " or ".join(parts)
                case NoneOf():
                    return f"not ({' or '.join(parts)})"
        return self._condition(wanted)

    def among(self, values: ColumnValues) -> str:
        """The expression of a row that has one of some values of a column."""
        number, kind = self._columns[values.column]
        literals = [f'"{each}"' if isinstance(each, str) else repr(each) for each in values.values]
        return _among(number, kind, literals)

    def fields(self, column: str) -> tuple[str, ...]:
        """The fields that hold the value of a column."""
        number, kind = self._columns[column]
        if kind is ColumnKind.NUMBER:
            return (value_field(number), missing_field(number))
        return (value_field(number),)

    def value(self, entity: Mapping[str, Any], column: str) -> StoredValue | None:
        """The value of a column in an entity with these fields; None if it is missing."""
        number, kind = self._columns[column]
        value: StoredValue = entity[value_field(number)]
        if kind is ColumnKind.NUMBER:
            return None if entity[missing_field(number)] else value
        return None if value == ("" if kind is ColumnKind.TEXT else MISSING_TRUTH) else value

    def _condition(self, condition: Condition) -> str:
        number, kind = self._columns[condition.column]
        field, missing = value_field(number), missing_field(number)
        match condition:
            case IsMissing():
                if kind is ColumnKind.NUMBER:
                    return f"{missing} == 1"
                return (
                    f'{field} == ""' if kind is ColumnKind.TEXT else f"{field} == {MISSING_TRUTH}"
                )
            case Equals(value=value):
                return _among(number, kind, map(_literal, (value,)))
            case OneOf(values=values):
                return _among(number, kind, map(_literal, values))
            case Range():
                return _inside(field, missing, condition)


def _among(number: int, kind: ColumnKind, literals: Iterable[str]) -> str:
    listed = ", ".join(filter(None, literals))
    if not listed:
        return NO_ROW
    is_among = f"{value_field(number)} in [{listed}]"
    is_number = kind is ColumnKind.NUMBER
    return f"{missing_field(number)} == 0 and {is_among}" if is_number else is_among


def _literal(value: Value) -> str:
    """A value in an expression; empty for a number that no row has."""
    if isinstance(value, str):
        return f'"{text_digest(value)}"'
    if isinstance(value, bool):
        return str(int(value))
    return repr(float(value) + 0.0) if math.isfinite(value) else ""


def _inside(field: str, missing: str, ends: Range) -> str:
    conditions = [f"{missing} == 0"]
    for end, comparison, is_open in (
        (ends.at_least, ">=", -math.inf),
        (ends.above, ">", -math.inf),
        (ends.at_most, "<=", math.inf),
        (ends.below, "<", math.inf),
    ):
        if end is None or end == is_open:
            continue  # the numbers of a catalogue are finite
        conditions.append(f"{field} {comparison} {_literal(end)}" if math.isfinite(end) else NO_ROW)
    return " and ".join(conditions)
