"""A filter: a tree of conditions on the columns of a catalogue.

A row without a value in a column passes no condition on it but ``IsMissing``. ``NoneOf`` is the
complement of ``AnyOf``: a row without a value passes ``NoneOf((Equals(...),))``.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_DEPTH = 16  # of filters in filters; a condition alone has depth 1
MAX_CONDITIONS = 100  # each takes a part of a millisecond with half a million rows
MAX_VALUES = 1000  # of all conditions together

Value = str | float | bool


@dataclass(frozen=True)
class Equals:
    """The value of a column is this one: the same text, number or truth value."""

    column: str
    value: Value


@dataclass(frozen=True)
class OneOf:
    """The value of a column is one of these; there is at least one."""

    column: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Range:
    """The number in a column lies between two ends; at least one of the ends is given.

    Attributes:
        column: name of the column.
        at_least: the lower end, which belongs to the range.
        above: the lower end, which does not.
        at_most: the upper end, which belongs to the range.
        below: the upper end, which does not.
    """

    column: str
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None


@dataclass(frozen=True)
class IsMissing:
    """The row has no value in a column."""

    column: str


@dataclass(frozen=True)
class AllOf:
    """Every one of some filters lets the row pass; there is at least one."""

    filters: tuple[Filter, ...]


@dataclass(frozen=True)
class AnyOf:
    """At least one of some filters lets the row pass; there is at least one."""

    filters: tuple[Filter, ...]


@dataclass(frozen=True)
class NoneOf:
    """None of some filters lets the row pass; there is at least one."""

    filters: tuple[Filter, ...]


Condition = Equals | OneOf | Range | IsMissing
Combination = AllOf | AnyOf | NoneOf
Filter = Condition | Combination
