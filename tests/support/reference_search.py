"""The search by its definition: eq. (8) in float64 and Algorithm 1."""

import numpy as np
from numpy.typing import NDArray

from retrieval_server.index.bundle import IndexBundle
from retrieval_server.retrieval.search_request import QueryDescriptors


class NoEngine:
    """An engine for searches by descriptors, which never call it."""

    name = "none"


def random_query(bundle: IndexBundle, seed: int) -> QueryDescriptors:
    """Unit vectors: some anywhere, negative cosines included, some close to a product."""
    generator = np.random.default_rng(seed)
    query = []
    row = generator.integers(len(bundle))
    for database in bundle.descriptors:
        vector = generator.normal(size=database.shape[1])
        if seed % 2:
            vector = database[row] + 0.05 * vector
        query.append((vector / np.linalg.norm(vector)).astype(np.float32))
    return tuple(query)


def brute_force(
    bundle: IndexBundle, query: QueryDescriptors, alphas: tuple[float, ...]
) -> NDArray[np.float64]:
    """Eq. (8) for every row, in float64."""
    similarities = np.ones(len(bundle))
    for database, vector, alpha in zip(bundle.descriptors, query, alphas, strict=True):
        similarities *= 1 + alpha * (database.astype(np.float64) @ vector.astype(np.float64))
    return similarities


def best(similarities: NDArray[np.float64], rows: list[int], count: int) -> list[int]:
    return sorted(rows, key=lambda row: (-similarities[row], row))[:count]
