"""A version in a store with its changes at one position of the log, as one index to search.

The rows of the version stay in the store, and a search leaves out those that were replaced or
deleted. The changed rows are in memory, as with an index in files.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast, overload

import numpy as np
from numpy.typing import NDArray

from retrieval_server.attributes.columns import Column, ColumnRecord
from retrieval_server.attributes.values import ColumnKind
from retrieval_server.changes.changeable_version import ChangeableVersion
from retrieval_server.changes.changed_columns import ChangedColumns
from retrieval_server.changes.changed_index import ChangedIndex, ChangedRows
from retrieval_server.changes.changed_search import ChangedSearch
from retrieval_server.changes.changed_texts import ChangedNeighbours
from retrieval_server.changes.changed_version import ChangedVersion
from retrieval_server.changes.changed_words import ChangedWords
from retrieval_server.exact_search.groups import AllowedRows, Groups
from retrieval_server.filters.evaluation import check_filter
from retrieval_server.filters.expression import Filter
from retrieval_server.index.column_groups import groups_by
from retrieval_server.index.row_mask import RowMask, row_mask
from retrieval_server.index.searched_index import IndexSearch
from retrieval_server.stores.candidate_store import (
    CandidateStore,
    Selection,
    StoredRows,
    StoredValue,
)
from retrieval_server.stores.layout import text_digest
from retrieval_server.stores.stored_columns import StoredColumns
from retrieval_server.stores.stored_groups import StoredGroups
from retrieval_server.stores.stored_index import StoredIndex


@dataclass(frozen=True)
class ChangedStoreRows:
    """Which rows of a version in a store and of its changes may be found.

    Attributes:
        version: those of the version.
        changed: (M,) whether a changed row may be found.
        first: the row of the first change.
    """

    version: StoredRows
    changed: RowMask
    first: int

    @overload
    def __getitem__(self, rows: slice) -> AllowedRows: ...

    @overload
    def __getitem__(self, rows: NDArray[Any]) -> RowMask: ...

    def __getitem__(self, rows: slice | NDArray[Any]) -> AllowedRows | RowMask:
        """Whether each of some rows may be found; of a run of rows see ``PartedRows``."""
        if isinstance(rows, slice):
            if rows.start < self.first:
                return self.version
            return self.changed[rows.start - self.first : rows.stop - self.first]
        is_changed = rows >= self.first
        found = np.empty(len(rows), np.bool_)
        found[is_changed] = self.changed[rows[is_changed] - self.first]
        if not is_changed.all():
            found[~is_changed] = self.version[rows[~is_changed]]
        return found


class ChangedStoreGroups(StoredGroups):
    """The groups of a version in a store and of its changes, for one search.

    Args:
        store: holds the values of the version.
        column: the column of the changed rows.
        count: number of groups of the version.
        first: the row of the first change.
    """

    def __init__(self, store: CandidateStore, column: Column, count: int, first: int) -> None:
        self._first, self._column_of_changes = first, column
        self._changed = [_stored_value(column, value) for value in column.values.tolist()]
        super().__init__(store, column.name, count + len(self._changed))  # or fewer: a value twice

    @property
    def version(self) -> ChangedStoreGroups:
        """The groups of the rows of the version, which have their own numbers."""
        return self

    @property
    def changed(self) -> Groups:
        """The groups of the changed rows; see ``PartedGroups``."""
        return groups_by(self._column_of_changes)

    def values(  # noqa: D102 - see StoredGroups
        self, rows: NDArray[np.int64]
    ) -> list[StoredValue | None]:
        stored = rows[rows < self._first]
        values = iter(super().values(stored) if len(stored) else ())
        return [
            next(values) if row < self._first else self._changed[row - self._first]
            for row in rows.tolist()
        ]

    def count_of(  # noqa: D102 - see StoredGroups
        self, value: StoredValue, allowed: AllowedRows | None, exclude: int | None
    ) -> int:
        assert allowed is not None, "a store with changes always says which rows are there"
        rows = cast("ChangedStoreRows", allowed)  # what a ChangedStoreIndex has made
        has_value = np.array([each == value for each in self._changed], np.bool_)
        if exclude is not None and exclude >= self._first:
            has_value[exclude - self._first] = False
            exclude = None
        count = super().count_of(value, rows.version, exclude)
        return count + int(np.count_nonzero(has_value & rows.changed))


class ChangedStoreIndex(ChangedIndex):
    """A version in a store with its changes up to a position; see ``ChangedIndex``.

    The columns are those of the version: how many values they have is not counted again.

    Args:
        base: the version.
        search: ranks the rows.
        position: of the log.
        rows: the changed rows.
        text_index: the lists of similar descriptions.
        words: compares words with the texts.
    """

    def __init__(
        self,
        base: ChangeableVersion,
        search: ChangedSearch,
        position: int,
        rows: ChangedRows,
        text_index: ChangedNeighbours,
        words: ChangedWords,
    ) -> None:
        super().__init__(base, search, position, rows, text_index, words)
        self._store = cast("StoredIndex", base).store
        self._first = len(base)
        self._is_changed_there = rows.is_there[self._first :]
        self._gone = frozenset(np.flatnonzero(~rows.is_there[: self._first]).tolist())
        attributes = [
            each.product.attributes for each in rows.upserts[: len(self._is_changed_there)]
        ]
        self._changed_columns = ChangedColumns(_without_rows(base.manifest.columns), attributes)
        self.columns = base.columns

    def allowed_rows(self, wanted: Filter | None, exclude_ids: Collection[str]) -> ChangedStoreRows:
        """The rows that a search may find; see ``SearchedIndex``."""
        if wanted is not None:
            check_filter(wanted, self.columns)
        excluded = self.rows_of(exclude_ids).values() if exclude_ids else ()
        stored = frozenset(row for row in excluded if row < self._first)
        changed = [row - self._first for row in excluded if row >= self._first]
        passes = row_mask(len(self._is_changed_there), wanted, self._changed_columns, changed)
        there = self._is_changed_there
        return ChangedStoreRows(
            StoredRows(self._store, Selection(wanted, self._gone | stored)),
            there if passes is None else passes & there,
            self._first,
        )

    def count_allowed(self, allowed: AllowedRows | None, exclude: int | None) -> int:
        """Count the rows that a search may find; see ``SearchedIndex``."""
        rows = cast("ChangedStoreRows", allowed)
        changed = int(np.count_nonzero(rows.changed))
        if exclude is not None and exclude >= self._first:
            changed -= bool(rows.changed[exclude - self._first])
            exclude = None
        selection = rows.version.selection
        if selection.filter is None:  # its rows are known without a call
            stored = selection.without(exclude).excluded
            return self._first - len(stored) + changed
        return self._base.count_allowed(rows.version, exclude) + changed

    def groups_by(self, column: str) -> ChangedStoreGroups:
        """The groups by a column; see ``SearchedIndex``."""
        known = self.columns[column]
        changed = self._changed_columns[column]
        count = known.distinct + known.missing_count
        return ChangedStoreGroups(self._store, changed, count, self._first)

    def check_served(self) -> None:
        """Read an entity of each collection; see ``SearchedIndex``."""
        self._base.check_served()


def changed_store(version: StoredIndex, search: IndexSearch) -> ChangedVersion:
    """A version in a store, which follows its log; see ``ChangedVersion``.

    Args:
        version: the version.
        search: ranks its rows.
    """
    return ChangedVersion(version, search, version.open_log, ChangedStoreIndex)


def _without_rows(records: Sequence[ColumnRecord]) -> StoredColumns:
    """The columns of an index, as if it had no rows."""
    return StoredColumns([replace(record, distinct=0, missing=0) for record in records], {})


def _stored_value(column: Column, value: Any) -> StoredValue | None:
    """A value of a column in memory, as the store would hold it."""
    if bool(column.is_missing(np.array([value]))[0]):
        return None
    is_text = column.kind is ColumnKind.TEXT
    return text_digest(column.text(value)) if is_text else cast("StoredValue", value)
