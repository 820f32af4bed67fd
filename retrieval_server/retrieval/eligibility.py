"""Which products of an index a search may find: those that pass its filter and are not excluded.

It holds before anything is ranked, in both stages of Algorithm 1: seeds, text neighbours and the
products that fill the result are found among these alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retrieval_server.filters.evaluation import passing_rows
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.retrieval.search_request import SearchParameters


def count_allowed(
    bundle: IndexBundle, allowed: NDArray[np.bool_] | None, exclude: int | None
) -> int:
    """Count the rows that a search may find.

    Args:
        bundle: the index.
        allowed: (N,) which rows may be found; None for all.
        exclude: a further row to leave out.
    """
    count = len(bundle) if allowed is None else int(np.count_nonzero(allowed))
    is_counted = exclude is not None and (allowed is None or bool(allowed[exclude]))
    return count - is_counted


def allowed_rows(bundle: IndexBundle, parameters: SearchParameters) -> NDArray[np.bool_] | None:
    """The rows that a search may find.

    Args:
        bundle: the index.
        parameters: the filter, and the ids that are excluded.

    Returns:
        (N,) whether a row may be found; None where all may.

    Raises:
        QueryError: if the filter does not suit the columns of the index.
    """
    allowed = None
    if parameters.filter is not None:
        allowed = passing_rows(parameters.filter, bundle.columns)
    found = (bundle.row_of(product_id) for product_id in parameters.exclude_ids)
    excluded = [row for row in found if row is not None]
    if excluded:
        allowed = np.ones(len(bundle), np.bool_) if allowed is None else allowed
        allowed[excluded] = False
    return allowed
