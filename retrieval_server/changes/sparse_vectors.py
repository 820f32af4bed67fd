"""The sparse vectors of changed texts, with a list of the components of each key."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
        weights: (E,) float64.
        places: by key, where its components are among these, ascending; later ones may follow.
    """

    count: int
    numbers: NDArray[np.int32]
    weights: NDArray[np.float64]
    places: Mapping[int, array[int]]

    def inner_products(self, query: SparseVector) -> NDArray[np.float64]:
        """The inner product of each vector with another one, (count,); added by ascending key."""
        places, keys = self._components(query.keys)
        products = self.weights[places] * query.weights[keys]
        return np.bincount(self.numbers[places], products, self.count).astype(np.float64)

    def keys_of(self, keys: NDArray[Any], is_wanted: NDArray[np.bool_]) -> NDArray[Any]:
        """Those of some keys that one of the wanted vectors has.

        Args:
            keys: (m,).
            is_wanted: (count,) which vectors are wanted.
        """
        places, numbers = self._components(keys)
        return keys[np.unique(numbers[is_wanted[self.numbers[places]]])]

    def _components(self, keys: NDArray[Any]) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
        """The components with some keys, key by key, and the number of the key of each."""
        # A copy in one step: another thread may append to the list.
        lists = [self.places[key].tobytes() if key in self.places else b"" for key in keys.tolist()]
        places = np.frombuffer(b"".join(lists), np.int32)
        numbers = np.repeat(np.arange(len(keys)), [len(each) // places.itemsize for each in lists])
        is_here = places < len(self.numbers)
        return places[is_here], numbers[is_here]


class GrowingVectors:
    """Sparse vectors that are appended one by one; see ``GrowingArray``."""

    def __init__(self) -> None:
        self._count = 0
        self._numbers, self._weights = GrowingArray(np.int32), GrowingArray(np.float64)
        self._places: dict[int, array[int]] = {}

    def append(self, vector: SparseVector) -> None:
        """Append a vector."""
        first = len(self._numbers)
        self._numbers.append(np.full(len(vector.keys), self._count, np.int32))
        self._weights.append(vector.weights)
        for place, key in enumerate(vector.keys.tolist(), first):
            self._places.setdefault(key, array("i")).append(place)
        self._count += 1

    def read(self) -> SparseVectors:
        """All vectors that there are now."""
        return SparseVectors(self._count, self._numbers.read(), self._weights.read(), self._places)
