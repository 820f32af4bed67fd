"""Query expansion and database-side augmentation: descriptors moved towards their neighbours.

Both add to a descriptor 2/3 of the descriptor of its nearest neighbour and 1/3 of that of the
second, for each backbone separately, and scale the sum to unit length:

    q' = (q + 2/3 d1 + 1/3 d2) / |q + 2/3 d1 + 1/3 d2|.

Query expansion is that of the challenge's winner of 2020 (USTC-NELSLIP), who left q' unscaled; with
eq. (8) its length would change α, so here it is a cosine again. On the database's side the weights
are the same: those of Gordo et al. 2017 (*End-to-end learning of deep visual representations for
image retrieval*), (r - i) / r for the i-th neighbour, with r = 3. Neighbours are ranked by the
fused similarity; a database image is no neighbour of itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from export.progress import Advance
from export.tuning.described_dataset import cosine_matrix
from export.tuning.rate_settings import best_rows
from retrieval_server.exact_search.similarity import fused_similarity

NEIGHBOUR_WEIGHTS = (2 / 3, 1 / 3)
BLOCK_ROWS = 256  # of the database, compared with all of it at once

Parts = Sequence[NDArray[np.float32]]


def fused(queries: Parts, database: Parts, alphas: Sequence[float]) -> NDArray[np.float64]:
    """Fused similarities, eq. (8).

    Args:
        queries: (Q, C_n) by backbone.
        database: (N, C_n) by backbone.
        alphas: α by backbone.

    Returns:
        (Q, N) float64.
    """
    pairs = zip(queries, database, strict=True)
    return fused_similarity(np.stack([cosine_matrix(q, d) for q, d in pairs], axis=-1), alphas)


def expanded(
    descriptors: Parts, database: Parts, neighbours: NDArray[np.int64]
) -> list[NDArray[np.float32]]:
    """Move descriptors towards their neighbours.

    Args:
        descriptors: (M, C_n) by backbone, of unit norm or zero.
        database: (N, C_n) by backbone.
        neighbours: (M, R) rows of ``database``, nearest first; R is at least the number of weights,
            or N.

    Returns:
        (M, C_n) by backbone, of unit norm or zero.
    """
    moved = []
    for matrix, rows in zip(descriptors, database, strict=True):
        total = matrix.astype(np.float64)
        for rank, weight in enumerate(NEIGHBOUR_WEIGHTS[: neighbours.shape[1]]):
            total += weight * rows[neighbours[:, rank]]
        total[~matrix.any(axis=1)] = 0  # an all-zero descriptor has no neighbours
        moved.append(_unit(total))
    return moved


def augmented_database(
    database: Parts, alphas: Sequence[float], advance: Advance
) -> list[NDArray[np.float32]]:
    """Move every database descriptor towards its neighbours; the time is quadratic in N.

    Args:
        database: (N, C_n) by backbone.
        alphas: α by backbone, of the similarity that ranks the neighbours.
        advance: told the number of images finished.

    Returns:
        (N, C_n) by backbone.
    """
    count = len(database[0])
    nearest = np.empty((count, min(len(NEIGHBOUR_WEIGHTS), count - 1)), np.int64)
    for first in range(0, count, BLOCK_ROWS):
        rows = np.arange(first, min(first + BLOCK_ROWS, count))
        similarities = fused([matrix[rows] for matrix in database], database, alphas)
        similarities[rows - first, rows] = -np.inf
        nearest[rows] = best_rows(similarities)[:, : nearest.shape[1]]
        advance(len(rows))
    return expanded(database, database, nearest)


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float32]:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled = np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)
    unit: NDArray[np.float32] = scaled.astype(np.float32)
    return unit
