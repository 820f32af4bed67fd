"""Groups of rows, such as the images of one product: a ranking then holds the best row of each.

The ranking is that of brute force over the groups: a group has the similarity of its best row, of
equally similar rows the smaller one; groups are in the order of their best rows.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray


class Groups:
    """The group of each row of a database.

    Args:
        numbers: (N,) int32, the number of the group of each row, from 0.
        count: number of groups, at most N; every number is below it.
    """

    def __init__(self, numbers: NDArray[np.int32], count: int) -> None:
        assert count <= len(numbers), "the working memory of a search is that of its rows"
        self.numbers, self.count = numbers, count

    def of(self, rows: NDArray[np.integer]) -> NDArray[np.int32]:
        """The groups of some rows, (M,)."""
        found: NDArray[np.int32] = self.numbers[rows]
        return found

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
