"""The interface of a store of descriptors in another engine, and what is asked of it.

The store holds one vector for each row: the descriptors of all backbones side by side. Fusion, the
certificate, refinement and ties are above it, in code of our own: see store_search.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval_server.filters.expression import Filter

StoredValue = str | int | float  # of a column, as the store holds it; a text by its digest


@dataclass(frozen=True)
class ColumnValues:
    """Values of a column.

    Attributes:
        column: its name.
        values: some of its values.
    """

    column: str
    values: tuple[StoredValue, ...]


@dataclass(frozen=True)
class Selection:
    """Which rows a search may find.

    Attributes:
        filter: what the catalogue's columns must have; None for anything.
        excluded: rows that may not be found.
        among: a row must have one of these values; None for any value, or none.
        beside: a row may have none of these values; None for any.
    """

    filter: Filter | None = None
    excluded: frozenset[int] = frozenset()
    among: ColumnValues | None = None
    beside: ColumnValues | None = None

    def without(self, row: int | None) -> Selection:
        """This selection without a further row; None changes nothing."""
        return self if row is None else self.without_rows([row])

    def without_rows(self, rows: Iterable[int]) -> Selection:
        """This selection without further rows."""
        return replace(self, excluded=self.excluded.union(rows))

    def only(self, values: ColumnValues) -> Selection:
        """This selection's rows that have one of some values."""
        return replace(self, among=values)

    def without_values(self, values: ColumnValues) -> Selection:
        """This selection without the rows that have one of some values of one column."""
        before = () if self.beside is None else self.beside.values
        both = tuple(dict.fromkeys((*before, *values.values)))
        return replace(self, beside=ColumnValues(values.column, both)) if both else self


@dataclass(frozen=True)
class SumList:
    """The rows with the largest inner products, as the engine returns them.

    Attributes:
        rows: (M,) int64, distinct.
        sums: (M,) float64, the engine's inner products, descending.
    """

    rows: NDArray[np.int64]
    sums: NDArray[np.float64]


class CandidateStore(Protocol):
    """Descriptors in another engine; any number of threads may call.

    Every method raises a StoreError if the engine cannot be reached, refuses, or is too slow.

    Attributes:
        rectified: by backbone, whether no descriptor has a negative value.
        approximation: empty if the engine compares every vector; else the kind of its index.
        longest_list: most rows that the engine returns at once.
    """

    rectified: tuple[bool, ...]
    approximation: str
    longest_list: int

    def search_sum(self, query: NDArray[np.float32], top_m: int, selection: Selection) -> SumList:
        """Find the rows with the largest inner products.

        Args:
            query: (D,) for the descriptors side by side.
            top_m: how many, at most ``longest_list``; fewer where the selection has fewer.
            selection: which rows may be found.
        """

    def fetch(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.float32], ...]:
        """The descriptors of one or more rows, (m, C_n) by backbone, in the order of the rows."""

    def passing(self, rows: NDArray[np.int64], selection: Selection) -> NDArray[np.bool_]:
        """Which of some rows (m,) may be found."""

    def values(self, rows: NDArray[np.int64], column: str) -> list[StoredValue | None]:
        """The values of a column in some rows, in their order; None where a row has none."""

    def count(self, selection: Selection, below: int | None = None) -> int:
        """Count the rows that may be found.

        Args:
            selection: which rows may be found.
            below: count the rows below this one; None counts all.
        """

    def rows_below(self, row: int, selection: Selection) -> NDArray[np.int64]:
        """The rows below some row that may be found, ascending; at most ``longest_list``."""


@dataclass(frozen=True)
class StoredRows:
    """The rows of a store that one search may find.

    Attributes:
        store: the store.
        selection: which of its rows may be found.
    """

    store: CandidateStore
    selection: Selection

    def __getitem__(self, rows: NDArray[Any]) -> NDArray[np.bool_]:
        """Whether each of some rows may be found; asks the store."""
        return self.store.passing(rows.astype(np.int64), self.selection)
