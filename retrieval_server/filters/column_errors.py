"""The errors of a request that does not suit the columns; each lists the columns that there are."""

from __future__ import annotations

from difflib import get_close_matches

from retrieval_server.attributes.columns import Column, Columns
from retrieval_server.attributes.values import ColumnKind
from retrieval_server.errors import QueryError
from retrieval_server.filters.expression import Value

_LISTED = 20  # columns in a message
_COMPARED = 1000  # characters of a name that is compared with the columns'; 10 million take 2 s
_QUOTED = 60  # characters of a name or a value in a message
_CONTENTS = {
    ColumnKind.TEXT: "texts",
    ColumnKind.NUMBER: "numbers",
    ColumnKind.TRUTH: "truth values",
}
_VALUES = {
    ColumnKind.TEXT: "a text",
    ColumnKind.NUMBER: "a number",
    ColumnKind.TRUTH: "a truth value",
}


def kind_of_value(value: Value) -> ColumnKind:
    """The kind of the columns that a value can be compared with."""
    if isinstance(value, str):
        return ColumnKind.TEXT
    return ColumnKind.TRUTH if isinstance(value, bool) else ColumnKind.NUMBER


class ColumnErrors:
    """Makes the errors of one index.

    Args:
        columns: the columns of the index.
        field: the field of the request that names columns.
    """

    def __init__(self, columns: Columns, field: str = "filter") -> None:
        self._columns, self._field = columns, field

    def no_such_column(self, name: str) -> QueryError:
        """The request names a column that the index does not have."""
        close: list[str] = []
        if len(name) <= _COMPARED:
            close = get_close_matches(name, self._columns.names, n=1, cutoff=0.7)
        hint = f" Did you mean {_quoted(close[0])}?" if close else ""
        return self._error(f"there is no column {_quoted(name)}.{hint}")

    def empty_one_of(self, name: str) -> QueryError:
        """A list of values is empty."""
        return self._error(f"one_of on column {_quoted(name)} has no values; give at least one.")

    def other_kind(self, column: Column, value: Value) -> QueryError:
        """A value is compared with a column of another kind."""
        shown = _quoted(value) if isinstance(value, str) else repr(value).lower().removesuffix(".0")
        hint = "; in quotes it is a text" if column.kind is ColumnKind.TEXT else ""
        return self._error(
            f"column {_quoted(column.name)} holds {_CONTENTS[column.kind]}, and {shown} is "
            f"{_VALUES[kind_of_value(value)]}{hint}."
        )

    def no_numbers(self, column: Column) -> QueryError:
        """A range is on a column that holds no numbers."""
        return self._error(
            f"column {_quoted(column.name)} holds {_CONTENTS[column.kind]}; only numbers have a "
            "range."
        )

    def open_range(self, name: str) -> QueryError:
        """A range has no end."""
        return self._error(
            f"range on column {_quoted(name)} has no end; give at_least, above, at_most or below."
        )

    def not_a_number(self, name: str) -> QueryError:
        """A column is compared with NaN."""
        return self._error(f"column {_quoted(name)} is compared with NaN; give a number.")

    def _error(self, problem: str) -> QueryError:
        names = self._columns.names
        listed = ", ".join(
            f"{_quoted(name)} ({self._columns[name].kind.value})" for name in names[:_LISTED]
        )
        if not names:
            listed = "none"
        if len(names) > _LISTED:
            listed += f" and {len(names) - _LISTED:,} more"
        return QueryError(self._field, f"{problem} Columns: {listed}.")


def _quoted(value: str) -> str:
    quoted = repr(value)
    return quoted if len(quoted) <= _QUOTED else f"{quoted[:_QUOTED]}…{quoted[0]}"
