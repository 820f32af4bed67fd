"""Inner products with growing sparse vectors."""

import numpy as np

from retrieval_server.changes.sparse_vectors import GrowingVectors, SparseVector


def random_vector(rng: np.random.Generator) -> SparseVector:
    keys = np.flatnonzero(rng.random(12) < rng.random()).astype(np.uint64)
    return SparseVector(keys, rng.integers(1, 9, len(keys)) / 4)


def dense(vector: SparseVector) -> np.ndarray:
    values = np.zeros(12)
    values[vector.keys.astype(np.int64)] = vector.weights
    return values


def test_what_was_read_of_growing_vectors_stays_while_others_are_appended() -> None:
    rng = np.random.default_rng(4)
    growing, vectors, read = GrowingVectors(), [], []
    for _ in range(40):
        read.append((len(vectors), growing.read()))
        vectors.append(random_vector(rng))
        growing.append(vectors[-1])
    for count, snapshot in read:
        query, is_wanted = random_vector(rng), rng.random(count) < 0.3
        expected = [float(dense(vector) @ dense(query)) for vector in vectors[:count]]
        assert snapshot.inner_products(query).tolist() == expected
        wanted = {key for number in np.flatnonzero(is_wanted) for key in vectors[number].keys}
        found = snapshot.keys_of(query.keys, is_wanted)
        assert found.tolist() == [key for key in query.keys if key in wanted]
