"""Brute force, which the searches are compared with, and a recall that counts ties right.

The similarities of the reference are sums in float64, and each row is summed by itself, in one
order. So equal rows have equal similarities, wherever they are; a product of matrices by BLAS gives
equal rows different last bits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.descriptor_generator import KINDS
from benchmarks.search_database import (
    ALPHA,
    TOP_K,
    Query,
    SearchDatabase,
    fused_in_float32,
    open_cascade,
    queries_of,
)
from retrieval_server.exact_search.similarity import fused_similarity

# Ten times the provable error of a float32 similarity: γ of 2,048 terms, times the factors.
FLOAT32_ERROR = 0.02
_AT_ONCE = 1024  # rows, whose products are in memory together

Matrices = Sequence[NDArray[Any]]


def reference_similarities(
    matrices: Matrices, query: Query, rows: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Eq. (8) of some rows, (m,) float64.

    Args:
        matrices: (N, C_n) descriptors by backbone.
        query: (C_n,) by backbone.
        rows: (m,).
    """
    similarities = np.empty(len(rows))
    for first in range(0, len(rows), _AT_ONCE):
        some = rows[first : first + _AT_ONCE]
        cosines = [
            (matrix[some].astype(np.float64) * vector.astype(np.float64)).sum(axis=1)
            for matrix, vector in zip(matrices, query, strict=True)
        ]
        similarities[first : first + _AT_ONCE] = fused_similarity(np.stack(cosines, axis=1), ALPHA)
    return similarities


def near_the_best(
    similarities: NDArray[np.float32], rows: NDArray[np.integer], largest_factor: float = 1.0
) -> NDArray[np.integer]:
    """The rows that may be among the best seven, by similarities of float32.

    Args:
        similarities: (N,) of all rows.
        rows: (m,) the rows that may be found.
        largest_factor: of the factors that the similarities were multiplied by.
    """
    last = min(TOP_K, len(rows))
    least = np.partition(similarities[rows], -last)[-last] if last else 0
    return rows[similarities[rows] >= least - FLOAT32_ERROR * largest_factor]


def best_in_order(
    rows: NDArray[np.integer], similarities: NDArray[np.float64]
) -> tuple[NDArray[np.integer], NDArray[np.float64]]:
    """The best seven of some rows and their similarities, in the order of a ranking."""
    order = np.lexsort((rows, -similarities))[:TOP_K]
    return rows[order], similarities[order]


def hits(found: Iterable[float], wanted: Iterable[float]) -> int:
    """How many results of a ranking are right, by their similarities in the reference.

    A result counts if its similarity is one of those that are wanted, each of them once. So a row
    is not wrong for being another copy of the row that the reference ranks.
    """
    return (Counter(found) & Counter(wanted)).total()


def compare_with_brute_force(database: SearchDatabase, count: int) -> dict[str, Any]:
    """Compare rows and similarities of many queries with a brute-force search.

    The brute-force search computes every row in float32, and every row near the seventh best again
    in float64.

    Args:
        database: the database.
        count: number of queries of each kind.
    """
    queries = queries_of(database, count)
    flat = [query for kind in KINDS for query in queries[kind]]
    matrices, fused = database.descriptors(), fused_in_float32(database, flat)
    search, every = open_cascade(database), np.arange(database.rows)
    differences, ties, largest_error = 0, 0, 0.0
    for query, similarities in zip(flat, fused, strict=True):
        near = near_the_best(similarities, every)
        rows, exact = best_in_order(near, reference_similarities(matrices, query, near))
        ranking = search.rank_all(query, ALPHA, TOP_K)
        differences += ranking.rows.tolist() != rows.tolist()
        ties += len(set(exact.tolist())) < len(exact)
        largest_error = max(largest_error, float(np.abs(ranking.similarities - exact).max()))
    return {
        "queries": len(flat),
        "differences": differences,
        "with_ties": ties,
        "largest_error": largest_error,
    }
