"""The part of an index that a filter lets through, and the queries that it can answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from export.ground_truth.queries import GroundTruth
from retrieval_server.errors import CatalogueError
from retrieval_server.filters.evaluation import passing_rows
from retrieval_server.filters.typed import TypedFilter
from retrieval_server.index.bundle import IndexBundle


def searched_rows(bundle: IndexBundle, where: TypedFilter) -> NDArray[np.bool_]:
    """Find the products that meet some conditions.

    Args:
        bundle: the index.
        where: the conditions.

    Returns:
        (N,) whether a product meets them all.

    Raises:
        QueryError: naming the column of a condition that does not suit it.
    """
    if where.filter is None:
        return np.ones(len(bundle), np.bool_)
    return passing_rows(where.filter, bundle.columns)


def answerable(truth: GroundTruth, bundle: IndexBundle, searched: NDArray[np.bool_]) -> GroundTruth:
    """Find the queries with a true match that may be found, and only these matches of each.

    Args:
        truth: the queries with all of their true matches.
        bundle: the index.
        searched: (N,) whether a product may be found.

    Raises:
        CatalogueError: if there is no such query.
    """
    rows = {
        name: [row for image in images if (row := bundle.row_of(image)) is not None]
        for name, images in truth.images.items()
    }
    found = {name for name in rows if searched[rows[name]].any()}
    kept = [
        replace(query, relevant=query.relevant & found, unsearched=query.relevant - found)
        for query in truth.queries
        if query.relevant & found
    ]
    if not kept:
        raise CatalogueError(
            f"None of the {len(truth.queries):,} queries has a true match among the "
            f"{np.count_nonzero(searched):,} of {len(bundle):,} products that meet the "
            "conditions: there is nothing to measure. Change --where."
        )
    return replace(truth, queries=tuple(kept))
