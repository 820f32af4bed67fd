"""The sparse vectors of changed texts, which are few enough to be read whole by every query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from retrieval_server.changes.growing_array import GrowingArray


@dataclass(frozen=True)
class SparseVector:
    """A vector by the keys of its components.

    Attributes:
        keys: (m,) ascending, distinct.
        weights: (m,) float64.
    """

    keys: NDArray[Any]
    weights: NDArray[np.float64]


@dataclass(frozen=True)
class SparseVectors:
    """Some vectors.

    Attributes:
        count: how many.
        numbers: (E,) int32, the vector of each component, from 0.
        keys: (E,).
        weights: (E,) float64.
    """

    count: int
    numbers: NDArray[np.int32]
    keys: NDArray[Any]
    weights: NDArray[np.float64]

    def inner_products(self, query: SparseVector) -> NDArray[np.float64]:
        """The inner product of each vector with another one, (count,); added in one order."""
        if not len(query.keys):
            return np.zeros(self.count)
        places = np.searchsorted(query.keys, self.keys)
        places[places == len(query.keys)] = 0
        shared = np.flatnonzero(query.keys[places] == self.keys)
        products = self.weights[shared] * query.weights[places[shared]]
        sums: NDArray[np.float64] = np.zeros(self.count)
        np.add.at(sums, self.numbers[shared], products)
        return sums


class GrowingVectors:
    """Sparse vectors that are appended one by one; see ``GrowingArray``.

    Args:
        keys: type of the keys.
    """

    def __init__(self, keys: DTypeLike) -> None:
        self._count = 0
        self._numbers = GrowingArray(np.int32)
        self._keys, self._weights = GrowingArray(keys), GrowingArray(np.float64)

    def append(self, vector: SparseVector) -> None:
        """Append a vector."""
        self._numbers.append(np.full(len(vector.keys), self._count, np.int32))
        self._keys.append(vector.keys)
        self._weights.append(vector.weights)
        self._count += 1

    def read(self) -> SparseVectors:
        """All vectors that there are now."""
        return SparseVectors(
            self._count, self._numbers.read(), self._keys.read(), self._weights.read()
        )
