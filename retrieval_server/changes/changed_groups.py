"""The groups of a version and its changes, which use what is known of the groups of the version."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from retrieval_server.exact_search.groups import Groups


class ChangedGroups(Groups):
    """The groups of all rows, and those of the version and of the changed rows by themselves.

    Args:
        groups: the groups of all rows.
        version: the groups of the rows of the version.

    Attributes:
        version: as given.
    """

    def __init__(self, groups: Groups, version: Groups) -> None:
        super().__init__(groups.numbers, groups.count)
        self.version = version
        self._rows = len(version.numbers)

    @cached_property
    def changed(self) -> Groups:
        """The groups of the changed rows, numbered without gaps."""
        _, numbers = np.unique(self.numbers[self._rows :], return_inverse=True)
        return Groups(numbers.astype(np.int32), int(numbers.max(initial=-1)) + 1)

    def rows_of(self, group: int) -> NDArray[np.int32]:
        """The rows of a group, ascending."""
        changed = np.flatnonzero(self.numbers[self._rows :] == group) + self._rows
        of_version = int(self._number_in_version[group])
        rows = self.version.rows_of(of_version) if of_version >= 0 else changed[:0]
        return np.concatenate([rows, changed]).astype(np.int32)

    @cached_property
    def _number_in_version(self) -> NDArray[np.int32]:
        """The number that each group has in the version; -1 for a group of changed rows only."""
        numbers = np.full(self.count, -1, np.int32)
        numbers[self.numbers[: self._rows]] = self.version.numbers
        return numbers
