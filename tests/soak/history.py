"""The right answers while a catalogue changes: brute force in float64 over each of its states."""

import threading
from bisect import bisect_right
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval_server.index.bundle import IndexBundle
from tests.support.tiny_world import TINY_PROFILE

TOP_K = 7
TOLERANCE = 1e-5  # of a similarity: float32 against float64
ALPHAS = tuple(TINY_PROFILE.alphas.values())

Descriptors = tuple[NDArray[np.float32], ...]


class Found(Protocol):
    """A result of a search."""

    product_id: str
    similarity: float


@dataclass(frozen=True)
class Change:
    """A change to one product.

    Attributes:
        product_id: its id.
        description: what it has from then on.
        descriptors: likewise; None for a product that is deleted.
    """

    product_id: str
    description: str = ""
    descriptors: Descriptors | None = None


class History:
    """The states of a catalogue: the first one is a version, each change makes the next one.

    Changes are added when they were answered, one after the other. Several threads may ask.

    Args:
        bundle: the version.
    """

    def __init__(self, bundle: IndexBundle) -> None:
        self._lock = threading.Lock()
        self._ids = [bundle.product_id(row) for row in range(len(bundle))]
        self._rows = {product_id: row for row, product_id in enumerate(self._ids)}
        self._vectors = [list(np.asarray(matrix, np.float64)) for matrix in bundle.descriptors]
        self._since, self._until = [0] * len(bundle), [np.inf] * len(bundle)
        self._positions = [0]
        self.texts: dict[str, str | None] = {}  # of what was changed; None for what is deleted

    @property
    def position(self) -> int:
        """That of the last change."""
        return self._positions[-1]

    def add(self, change: Change, position: int) -> None:
        """Add a change that was answered, with its position in the log."""
        with self._lock:
            state = len(self._positions)
            row = self._rows.pop(change.product_id, None)
            if row is not None:
                self._until[row] = state
            if change.descriptors is not None:
                self._rows[change.product_id] = len(self._ids)
                self._ids.append(change.product_id)
                for matrix, vector in zip(self._vectors, change.descriptors, strict=True):
                    matrix.append(vector.astype(np.float64))
                self._since.append(state)
                self._until.append(np.inf)
            self.texts[change.product_id] = (
                None if change.descriptors is None else change.description
            )
            self._positions.append(position)

    def agrees(
        self, query: Descriptors, left_out: str, position: int, found: list[Found]
    ) -> bool | None:
        """Whether an answer has the best products, with their similarities.

        Args:
            query: the descriptors that were searched for.
            left_out: id of a product that the search leaves out; empty for none.
            position: what the answer says that it saw.
            found: its results.

        Returns:
            None if the position is that of a change that is not answered yet.
        """
        with self._lock:
            states = self._states(position)
            if states is None:
                return None
            ids = np.array(self._ids)
            since, until = np.array(self._since), np.array(self._until)
            similarities = np.ones(len(ids))
            for matrix, vector, alpha in zip(self._vectors, query, ALPHAS, strict=True):
                similarities *= 1 + alpha * (np.stack(matrix) @ vector.astype(np.float64))
        is_found = np.array([match.similarity for match in found])
        for state in states:
            there = (since <= state) & (state < until) & (ids != left_out)
            best = np.sort(similarities[there])[::-1][:TOP_K]
            named = dict(zip(ids[there].tolist(), similarities[there].tolist(), strict=True))
            of_named = np.array([named.get(match.product_id, -1.0) for match in found])
            if len(is_found) == len(best) and all(
                np.allclose(is_found, right, rtol=0, atol=TOLERANCE) for right in (best, of_named)
            ):
                return True
        return False

    def _states(self, position: int) -> list[int] | None:
        """The states that a search may have seen; several while a change was sent again."""
        state = bisect_right(self._positions, position) - 1
        if self._positions[state] == position:
            return [state]
        return None if state == len(self._positions) - 1 else [state, state + 1]
