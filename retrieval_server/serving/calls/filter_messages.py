"""Reads which products a request may find, and in which groups; refuses what is too large."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from retrieval_server.errors import QueryError
from retrieval_server.filters.expression import (
    MAX_CONDITIONS,
    MAX_DEPTH,
    MAX_VALUES,
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
from retrieval_server.v1 import retrieval_pb2 as pb

MAX_EXCLUDED_IDS = 1000
MAX_GROUP_BY_CHARACTERS = 1000

_COMBINATIONS: Mapping[str, type[Combination]] = {
    "all_of": AllOf,
    "any_of": AnyOf,
    "none_of": NoneOf,
}
_KINDS = ", ".join(field.name for field in pb.Filter.DESCRIPTOR.fields)


def filter_of(request: pb.SearchRequest) -> Filter | None:
    """Read the filter of a request; None where it has none.

    Raises:
        QueryError: if a part of it is unset, or it is above a limit.
    """
    return _Reading().filter(request.filter, 1) if request.HasField("filter") else None


def excluded_ids_of(request: pb.SearchRequest) -> Sequence[str]:
    """Read the ids that a request excludes.

    Raises:
        QueryError: if there are too many.
    """
    if (count := len(request.exclude_ids)) > MAX_EXCLUDED_IDS:
        raise QueryError(
            "exclude_ids", f"has {count:,} ids; at most {MAX_EXCLUDED_IDS:,} are accepted."
        )
    return request.exclude_ids


def group_by_of(request: pb.SearchRequest) -> str | None:
    """Read the name of the column that a request groups by; None where it groups nothing.

    Raises:
        QueryError: if it is too long.
    """
    if (count := len(request.group_by)) > MAX_GROUP_BY_CHARACTERS:
        raise QueryError(
            "group_by",
            f"has {count:,} characters; at most {MAX_GROUP_BY_CHARACTERS:,} are accepted.",
        )
    return request.group_by or None


class _Reading:
    """Reads one filter, and counts what it has; it stops at the first limit."""

    def __init__(self) -> None:
        self._conditions, self._values = 0, 0

    def filter(self, message: pb.Filter, depth: int) -> Filter:
        if depth > MAX_DEPTH:
            raise _too_large(f"is deeper than {MAX_DEPTH} filters in one another")
        kind = message.WhichOneof("kind")
        if kind is None:
            raise QueryError("filter", f"a part of it is empty; set one of {_KINDS}.")
        part = getattr(message, kind)
        if kind in _COMBINATIONS:
            return _COMBINATIONS[kind](tuple(self.filter(each, depth + 1) for each in part.filters))
        return self._condition(kind, part)

    def _condition(
        self, kind: str, part: pb.Equals | pb.OneOf | pb.Range | pb.IsMissing
    ) -> Condition:
        self._conditions += 1
        if self._conditions > MAX_CONDITIONS:
            raise _too_large(f"has more than {MAX_CONDITIONS:,} conditions")
        match part:
            case pb.Equals():
                return Equals(part.column, self._value(kind, part.column, part.value))
            case pb.OneOf():
                values = (self._value(kind, part.column, each) for each in part.values)
                return OneOf(part.column, tuple(values))
            case pb.Range():
                ends = {end.name: value for end, value in part.ListFields() if end.name != "column"}
                return Range(part.column, **ends)
            case _:
                return IsMissing(part.column)

    def _value(self, kind: str, column: str, value: pb.Value) -> Value:
        self._values += 1
        if self._values > MAX_VALUES:
            raise _too_large(f"has more than {MAX_VALUES:,} values")
        which = value.WhichOneof("kind")
        if which is None:
            problem = f"{kind} on column {column!r} has a value that is neither text, number nor "
            raise QueryError("filter", f"{problem}truth value.")
        found: Value = getattr(value, which)
        return found


def _too_large(problem: str) -> QueryError:
    return QueryError("filter", f"{problem}. Send a smaller one.")
