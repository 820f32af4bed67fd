"""Which products of an index a search may find: the catalogue without those that are excluded.

It holds before anything is ranked, in both stages of Algorithm 1: seeds, text neighbours and the
products that fill the result are found among these alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retrieval_server.index.bundle import IndexBundle
from retrieval_server.retrieval.search_request import SearchParameters


def allowed_rows(bundle: IndexBundle, parameters: SearchParameters) -> NDArray[np.bool_] | None:
    """The rows that a search may find.

    Args:
        bundle: the index.
        parameters: the ids that are excluded.

    Returns:
        (N,) whether a row may be found; None where all may.
    """
    found = (bundle.row_of(product_id) for product_id in parameters.exclude_ids)
    excluded = [row for row in found if row is not None]
    if not excluded:
        return None
    allowed = np.ones(len(bundle), np.bool_)
    allowed[excluded] = False
    return allowed
