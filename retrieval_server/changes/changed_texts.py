"""D of eq. (7) over a version and its changes: old rows get new neighbours, and new rows get lists.

The result equals the join of all descriptions under the IDF of the version, which a build renews.
Lists that involve a change are computed when a search asks for them.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from retrieval_server.changes.changeable_version import ChangeableVersion
from retrieval_server.changes.frozen_terms import FrozenTerms
from retrieval_server.changes.sparse_vectors import GrowingVectors, SparseVector, SparseVectors
from retrieval_server.errors import ChangeLogError
from retrieval_server.text.neighbours import COSINE_SCALE
from retrieval_server.text.tokens import TOKENISERS

_LISTS_KEPT = 4096  # of neighbours in the version

Neighbours = tuple[NDArray[np.int32], NDArray[np.float64]]


class ChangedTexts:
    """The descriptions of changed products; one thread appends, any number reads.

    Args:
        version: the version that they change.

    Raises:
        ChangeLogError: if its lists were cut, so that what belongs behind their ends is not known.
        IndexBundleError: if a file of its descriptions is missing or damaged.
        StoreError: if it is in a store that cannot be read.
    """

    def __init__(self, version: ChangeableVersion) -> None:
        text = version.manifest.text
        if text["cut_lists"]:
            raise ChangeLogError(
                f"The lists of similar descriptions in {version.place} were cut at "
                f"{text['max_neighbours']:,}, so they cannot follow changes. Build the index again "
                "without --max-neighbours."
            )
        self.index = version.text_index
        self.threshold: float = text["threshold"]
        self.longest: int | None = text["max_neighbours"]
        self.terms = FrozenTerms(
            version.open_terms(), text["idf_documents"], TOKENISERS[text["tokeniser"]]
        )
        # Takes half a second for half a million products; only searches that find a change need it.
        threading.Thread(target=self.terms.warm_up, name="terms-of-changes").start()
        self._vectors = GrowingVectors()
        self._of_slots: list[SparseVector] = []
        # Not a method of this object: that would be a cycle, which keeps the version's files open.
        self.in_version = lru_cache(_LISTS_KEPT)(
            partial(_in_version, self.terms, self._of_slots, self.threshold)
        )

    def append(self, text: str) -> None:
        """Append a description; empty for one that is to have no neighbours."""
        vector = self.terms.vector_of(text)
        self._vectors.append(vector)
        self._of_slots.append(vector)

    def read(self) -> SparseVectors:
        """The vectors that there are now."""
        return self._vectors.read()

    def vector_of(self, slot: int) -> SparseVector:
        """The vector of a changed product."""
        return self._of_slots[slot]


class ChangedNeighbours:
    """The lists of similar descriptions at one position of the log.

    Args:
        texts: the changed descriptions.
        rows: number of rows of the version.
        is_there: (N + M,) whether a row is part of the catalogue.
    """

    def __init__(self, texts: ChangedTexts, rows: int, is_there: NDArray[np.bool_]) -> None:
        self._texts, self._rows, self._is_there = texts, rows, is_there
        self._vectors = texts.read()

    def neighbours(self, row: int) -> Neighbours:
        """Look up D(row); see ``NeighbourLists``."""
        texts, slot = self._texts, row - self._rows
        if slot < 0:
            rows, cosines = texts.index.neighbours(row)
            vector = texts.terms.vector_of_row(row)
        else:
            rows, cosines = texts.in_version(slot)
            vector = texts.vector_of(slot)
        changed, changed_cosines = above(self._vectors.inner_products(vector), texts.threshold)
        rows = np.concatenate([rows, changed + np.int32(self._rows)])
        cosines = np.concatenate([cosines, changed_cosines])
        stays = self._is_there[rows] & (rows != row)
        rows, cosines = rows[stays], cosines[stays]
        order = np.lexsort((rows, -cosines))[: texts.longest]
        return rows[order], cosines[order]


def _in_version(
    terms: FrozenTerms, of_slots: Sequence[SparseVector], threshold: float, slot: int
) -> Neighbours:
    """The rows of the version that are similar to a changed product."""
    return above(terms.cosines(of_slots[slot]), threshold)


def above(cosines: NDArray[np.float64], threshold: float) -> Neighbours:
    """The rows with a cosine above τ, ascending, and the cosines as the lists have them."""
    rows = np.flatnonzero(cosines > threshold).astype(np.int32)
    stored = np.rint(np.minimum(cosines[rows], 1.0) * COSINE_SCALE)
    return rows, stored / COSINE_SCALE
