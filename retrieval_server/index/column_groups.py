"""The groups of an index's rows by a column: rows with the same value are a group.

A row without a value is a group of its own.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retrieval_server.attributes.columns import Column
from retrieval_server.attributes.values import ColumnKind
from retrieval_server.exact_search.groups import Groups


def groups_by(column: Column) -> Groups:
    """The groups by a column, which has the values of all rows."""
    missing = column.is_missing(column.values)
    present: NDArray[np.integer] = column.values[~missing]
    if column.kind is not ColumnKind.TEXT:  # texts are numbered already
        _, present = np.unique(present, return_inverse=True)
    numbers = np.empty(len(missing), np.int32)
    numbers[~missing] = present
    count = column.distinct + column.missing_count
    numbers[missing] = np.arange(column.distinct, count)
    return Groups(numbers, count)
