"""Groups of rows, such as the images of one product: a ranking then holds the best row of each.

The ranking is that of brute force over the groups: a group has the similarity of its best row, of
equally similar rows the smaller one; groups are in the order of their best rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class AllowedRows(Protocol):
    """Which rows may be found."""

    def __getitem__(self, rows: NDArray[Any], /) -> NDArray[np.bool_]:
        """Whether each of some rows may be found."""


class RowGroups(ABC):
    """Groups of rows, wherever their numbers are.

    Attributes:
        count: number of groups.
    """

    count: int

    @abstractmethod
    def of(self, rows: NDArray[np.integer]) -> NDArray[np.int32]:
        """The groups of some rows, (M,)."""

    @abstractmethod
    def size(self, row: int, allowed: AllowedRows | None, exclude: int | None) -> int:
        """Count the rows of a group that may be found.

        Args:
            row: a row of the group.
            allowed: which rows may be found; None for all.
            exclude: a further row to leave out.
        """

    def first_of_each(self, rows: NDArray[np.integer], count: int) -> NDArray[np.int64]:
        """Positions of the rows that are the first of their group, ascending; ``count`` at most.

        Args:
            rows: (M,) rows in any order, such as best first.
            count: how many positions at most.
        """
        positions: list[int] = []
        seen: set[int] = set()
        for position, group in enumerate(self.of(rows).tolist()):
            if len(positions) == count:
                break
            if group not in seen:
                seen.add(group)
                positions.append(position)
        return np.array(positions, np.int64)


class Groups(RowGroups):
    """The group of each row of a database, in memory.

    Args:
        numbers: (N,) int32, the number of the group of each row, from 0.
        count: number of groups, at most N; every number is below it.
    """

    def __init__(self, numbers: NDArray[np.int32], count: int) -> None:
        assert count <= len(numbers), "the working memory of a search is that of its rows"
        self.numbers, self.count = numbers, count

    def of(self, rows: NDArray[np.integer]) -> NDArray[np.int32]:  # noqa: D102 - see RowGroups
        found: NDArray[np.int32] = self.numbers[rows]
        return found

    def size(  # noqa: D102 - see RowGroups
        self, row: int, allowed: AllowedRows | None, exclude: int | None
    ) -> int:
        rows = self.rows_of(int(self.numbers[row]))
        if exclude is not None:
            rows = rows[rows != exclude]
        return len(rows) if allowed is None else int(np.count_nonzero(allowed[rows]))

    def rows_of(self, group: int) -> NDArray[np.int32]:
        """The rows of a group, ascending."""
        rows, ends = self._by_group
        found: NDArray[np.int32] = rows[ends[group] : ends[group + 1]]
        return found

    @cached_property
    def _by_group(self) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """All rows by group, and where each group begins; made for the first answer."""
        rows = np.argsort(self.numbers, kind="stable").astype(np.int32)
        sizes = np.bincount(self.numbers, minlength=self.count)
        return rows, np.concatenate([[0], np.cumsum(sizes)])
