"""Arrays that only grow: what was read of one stays as it is while others append."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

_FIRST_ROWS = 64


class GrowingArray:
    """An array of rows in memory; one thread appends, any number reads.

    Args:
        dtype: of the components.
        shape: of a row.
    """

    def __init__(self, dtype: DTypeLike, shape: tuple[int, ...] = ()) -> None:
        self._rows = np.empty((_FIRST_ROWS, *shape), dtype)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, rows: NDArray[Any]) -> None:
        """Append some rows (m, ...); the arrays that were read do not change."""
        count = self._count + len(rows)
        if count > len(self._rows):
            longer = np.empty((max(count, 2 * len(self._rows)), *self._rows.shape[1:]), rows.dtype)
            longer[: self._count] = self._rows[: self._count]
            self._rows = longer
        self._rows[self._count : count] = rows
        self._count = count

    def read(self) -> NDArray[Any]:
        """All rows that there are now; read-only."""
        rows = self._rows[: self._count]
        rows.flags.writeable = False
        return rows
