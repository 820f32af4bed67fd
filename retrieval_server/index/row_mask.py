"""Which rows of an index a search may find, as a mask: those that pass its filter.

It holds before anything is ranked, in both stages of Algorithm 1: seeds, text neighbours and the
products that fill the result are found among these alone.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from retrieval_server.attributes.columns import Columns
from retrieval_server.filters.evaluation import passing_rows
from retrieval_server.filters.expression import Filter

RowMask = NDArray[np.bool_]


def count_rows(rows: int, allowed: RowMask | None, exclude: int | None) -> int:
    """Count the rows that a search may find.

    Args:
        rows: N.
        allowed: (N,) which rows may be found; None for all.
        exclude: a further row to leave out.
    """
    count = rows if allowed is None else int(np.count_nonzero(allowed))
    is_counted = exclude is not None and (allowed is None or bool(allowed[exclude]))
    return count - is_counted


def row_mask(
    rows: int, wanted: Filter | None, columns: Columns, excluded: Iterable[int]
) -> RowMask | None:
    """The rows that a search may find.

    Args:
        rows: N.
        wanted: the filter; None for none.
        columns: the columns of the index.
        excluded: rows to leave out.

    Returns:
        (N,) whether a row may be found; None where all may.

    Raises:
        QueryError: if the filter does not suit the columns of the index.
    """
    allowed = None if wanted is None else passing_rows(wanted, columns)
    left_out = list(excluded)
    if left_out:
        allowed = np.ones(rows, np.bool_) if allowed is None else allowed
        allowed[left_out] = False
    return allowed
