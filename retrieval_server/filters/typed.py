"""Filters as they are typed with ``--where``, for the commands that search without a server.

``command_line.where`` describes how a condition is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from retrieval_server.attributes.columns import Columns
from retrieval_server.command_line.where import Comparison, Where, parse_where
from retrieval_server.errors import QueryError
from retrieval_server.filters.evaluation import check_filter
from retrieval_server.filters.expression import (
    AllOf,
    Equals,
    Filter,
    IsMissing,
    NoneOf,
    OneOf,
    Range,
)

_ENDS = {
    Comparison.BELOW: "below",
    Comparison.AT_MOST: "at_most",
    Comparison.ABOVE: "above",
    Comparison.AT_LEAST: "at_least",
}


@dataclass(frozen=True)
class TypedFilter:
    """Conditions as they were typed, all of which hold.

    Attributes:
        conditions: each by its text; empty where every product may be found.
    """

    conditions: Mapping[str, Where]

    @classmethod
    def of_texts(cls, texts: Iterable[str]) -> TypedFilter:
        """Read conditions.

        Args:
            texts: such as ``brand = Nuxe``.

        Raises:
            ValueError: naming the condition that cannot be read, and the place in it.
        """
        return cls({text: parse_where(text) for text in texts})

    @property
    def filter(self) -> Filter | None:
        """The conditions as one filter; None where every product may be found."""
        filters = tuple(_filter_of(where) for where in self.conditions.values())
        return AllOf(filters) if filters else None

    def check(self, columns: Columns) -> None:
        """Check that the conditions suit the columns of an index.

        Args:
            columns: the columns.

        Raises:
            QueryError: naming the condition that does not, and its column.
        """
        for text, where in self.conditions.items():
            try:
                check_filter(_filter_of(where), columns)
            except QueryError as error:
                raise QueryError("filter", f"{text!r}: {error.problem}") from error


ALL_PRODUCTS = TypedFilter({})


def _filter_of(where: Where) -> Filter:
    condition = _condition(where)
    return NoneOf((condition,)) if where.is_negated else condition


def _condition(where: Where) -> Filter:
    if where.comparison is Comparison.IS_MISSING:
        return IsMissing(where.column)
    if where.comparison is Comparison.ONE_OF:
        return OneOf(where.column, where.values)
    (value,) = where.values
    if where.comparison is Comparison.EQUALS:
        return Equals(where.column, value)
    assert isinstance(value, float), "parse_where lets only numbers pass for a range"
    return Range(where.column, **{_ENDS[where.comparison]: value})
