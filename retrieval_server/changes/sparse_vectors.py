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
        hashes: (E,) uint16, those of the keys.
        weights: (E,) float64.
    """

    count: int
    numbers: NDArray[np.int32]
    keys: NDArray[Any]
    hashes: NDArray[np.uint16]
    weights: NDArray[np.float64]

    def inner_products(self, query: SparseVector) -> NDArray[np.float64]:
        """The inner product of each vector with another one, (count,); added in one order."""
        if not len(query.keys):
            return np.zeros(self.count)
        may_be_shared = np.zeros(2**16, np.bool_)
        may_be_shared[_hashes(query.keys)] = True
        near = np.flatnonzero(may_be_shared[self.hashes])  # a few per cent of all components
        places = np.searchsorted(query.keys, self.keys[near])
        places[places == len(query.keys)] = 0
        is_shared = query.keys[places] == self.keys[near]
        shared, places = near[is_shared], places[is_shared]
        products = self.weights[shared] * query.weights[places]
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
        self._hashes = GrowingArray(np.uint16)

    def append(self, vector: SparseVector) -> None:
        """Append a vector."""
        self._numbers.append(np.full(len(vector.keys), self._count, np.int32))
        self._keys.append(vector.keys)
        self._hashes.append(_hashes(vector.keys))
        self._weights.append(vector.weights)
        self._count += 1

    def read(self) -> SparseVectors:
        """All vectors that there are now."""
        return SparseVectors(
            self._count,
            self._numbers.read(),
            self._keys.read(),
            self._hashes.read(),
            self._weights.read(),
        )


def _hashes(keys: NDArray[Any]) -> NDArray[np.uint16]:
    """16 bits of each key."""
    mixed = keys.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)  # 2**64 over the golden ratio
    return (mixed >> np.uint64(48)).astype(np.uint16)
