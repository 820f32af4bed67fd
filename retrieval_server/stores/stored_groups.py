"""The groups of the rows of a store by a column, as far as one search meets them.

A store has no numbers of groups. So the search asks for the values of the rows that it has found,
and numbers these values in the order in which they come.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import numpy as np
from numpy.typing import NDArray

from retrieval_server.exact_search.groups import AllowedRows, RowGroups
from retrieval_server.stores.candidate_store import (
    CandidateStore,
    ColumnValues,
    Selection,
    StoredRows,
    StoredValue,
)


class StoredGroups(RowGroups):
    """The groups by a column, for one search, in which always the same rows may be found.

    Args:
        store: holds the values.
        column: name of the column.
        count: number of groups.
    """

    def __init__(self, store: CandidateStore, column: str, count: int) -> None:
        self._store, self._column, self.count = store, column, count
        self._group_of: dict[int, int] = {}  # by row
        self._number_of: dict[StoredValue, int] = {}
        self._values: list[StoredValue | None] = []  # by number of the group
        self._sizes: dict[int, int] = {}  # by number of the group

    def of(self, rows: NDArray[np.integer]) -> NDArray[np.int32]:  # noqa: D102 - see RowGroups
        unknown = [row for row in dict.fromkeys(rows.tolist()) if row not in self._group_of]
        if unknown:
            values = self.values(np.array(unknown, np.int64))
            for row, value in zip(unknown, values, strict=True):
                self._group_of[row] = self._number(value)
        return np.array([self._group_of[row] for row in rows.tolist()], np.int32)

    def size(  # noqa: D102 - see RowGroups
        self, row: int, allowed: AllowedRows | None, exclude: int | None
    ) -> int:
        group = int(self.of(np.array([row]))[0])
        value = self._values[group]
        if value is None:
            return 1  # a row without a value is a group of its own
        if group not in self._sizes:
            self._sizes[group] = self.count_of(value, allowed, exclude)
        return self._sizes[group]

    def values(self, rows: NDArray[np.int64]) -> list[StoredValue | None]:
        """The values of some rows; None where one is missing."""
        return self._store.values(rows, self._column)

    def count_of(self, value: StoredValue, allowed: AllowedRows | None, exclude: int | None) -> int:
        """Count the rows with a value that may be found; see ``size``."""
        selection = Selection() if allowed is None else cast("StoredRows", allowed).selection
        among = ColumnValues(self._column, (value,))
        return self._store.count(selection.without(exclude).only(among))

    def values_of(self, groups: Iterable[int]) -> ColumnValues:
        """The values of some groups; a group of a row without a value has none."""
        values = [self._values[group] for group in groups]
        return ColumnValues(self._column, tuple(value for value in values if value is not None))

    def _number(self, value: StoredValue | None) -> int:
        """The number of a value; a new one for each row without a value."""
        if value is not None and value in self._number_of:
            return self._number_of[value]
        number = len(self._values)
        self._values.append(value)
        if value is not None:
            self._number_of[value] = number
        return number
