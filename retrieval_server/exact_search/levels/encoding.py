"""The levels of a database: their arrays, and how rows are encoded into them.

Rows may be encoded with a fit that was made without them: their bounds hold all the same. As the
database drifts away from its fit, the levels only leave more rows to the next level.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval_server.exact_search.kernels.layout import AXES, Shape
from retrieval_server.exact_search.levels.fit_parameters import SearchRecord
from retrieval_server.exact_search.levels.level import LevelArrays, NewRows
from retrieval_server.exact_search.levels.order import LEVELS
from retrieval_server.exact_search.levels.rotation import LONGEST, SearchFit, rotate_rows, row_norms
from retrieval_server.exact_search.search import SearchLevel
from retrieval_server.storage.arrays import release_pages

ENCODED_AT_ONCE = 4096  # rows; a multiple of a block, so that two threads never share a block
ROWS_IN_CACHE = 512  # of them, which every step encodes before the next ones are begun

Descriptors = Sequence[NDArray[Any]]


@dataclass(frozen=True)
class Levels:
    """The levels of a database.

    Attributes:
        fit: the fit that the rows were encoded with.
        arrays: codes and bounds by the name of the level.
        outliers: (M,) int32, rows that the coarse level cannot hold, ascending.
        rows: N.
        rectified: by backbone, whether no descriptor has a negative value.
    """

    fit: SearchFit
    arrays: Mapping[str, LevelArrays]
    outliers: NDArray[np.int32]
    rows: int
    rectified: tuple[bool, ...]

    @property
    def record(self) -> SearchRecord:
        """What the manifest of an index records about these levels."""
        return SearchRecord(self.fit.parameters, self.rectified)

    def sizes(self) -> tuple[SearchLevel, ...]:
        """The levels and the rotation: those in memory, then those on disk."""
        sizes = [
            SearchLevel(level.name, self.arrays[level.name].nbytes, level.is_resident)
            for level in LEVELS
        ]
        sizes.append(SearchLevel("rotation", self.fit.rotation.nbytes, is_resident=True))
        return tuple(sorted(sizes, key=lambda size: not size.is_resident))


def levels_of(
    fit: SearchFit,
    dimensions: Sequence[int],
    rows: int,
    array: Callable[[str, Shape, type[np.generic]], NDArray[Any]],
) -> Levels:
    """Make or open the arrays of every level; there are no outliers so far.

    Args:
        fit: the fit of the rows.
        dimensions: C by backbone.
        rows: N.
        array: gives an array of some name, such as "coarse.codes", shape and dtype.
    """
    arrays = {}
    for level in LEVELS:
        codes, bounds = level.shapes(dimensions, rows)
        arrays[level.name] = LevelArrays(
            array(f"{level.name}.codes", *codes), array(f"{level.name}.bounds", *bounds)
        )
    return Levels(fit, arrays, np.empty(0, np.int32), rows, (True,) * len(dimensions))


@dataclass(frozen=True)
class Encoded:
    """What some encoded rows add to ``Levels`` beside the arrays.

    Attributes:
        outliers: (M,) int32, rows that the coarse level cannot hold, ascending.
        rectified: by backbone, whether no descriptor of them has a negative value.
    """

    outliers: NDArray[np.int32]
    rectified: tuple[bool, ...]


def encode(
    fit: SearchFit,
    descriptors: Descriptors,
    target: Levels,
    first_row: int,
) -> Encoded:
    """Write the codes and bounds of rows.

    Args:
        fit: the axes.
        descriptors: (m, C_n) float32 or float16 by backbone.
        target: levels whose arrays have room for the rows, zero so far. Rows that the same fit
            encoded before, all or some, do not change.
        first_row: row of the first.

    Returns:
        What the rows add to the levels beside the arrays.

    Raises:
        ValueError: if a descriptor is longer than a unit vector, naming its row.
    """
    single = [np.ascontiguousarray(matrix, dtype=np.float32) for matrix in descriptors]
    for matrix in single:
        _require_unit_vectors(matrix, first_row)
    pieces = [Encoded(np.empty(0, np.int32), (True,) * len(single))]  # of no rows
    for first in range(0, len(single[0]), ROWS_IN_CACHE):
        piece = [matrix[first : first + ROWS_IN_CACHE] for matrix in single]
        pieces.append(_encode(fit, piece, target, first_row + first))
    return _joined(pieces)


def _encode(
    fit: SearchFit, descriptors: Sequence[NDArray[np.float32]], target: Levels, first_row: int
) -> Encoded:
    count = len(descriptors[0])
    decoded, is_outlier = np.zeros((count, AXES)), np.zeros(count, np.bool_)
    rows = NewRows(first_row, descriptors, rotate_rows(fit, descriptors), decoded, is_outlier)
    for level in LEVELS:
        level.encode_rows(fit, rows, target.arrays[level.name])
    outliers = (first_row + np.flatnonzero(is_outlier)).astype(np.int32)
    return Encoded(outliers, tuple(bool((matrix >= 0).all()) for matrix in descriptors))


def _joined(pieces: Sequence[Encoded]) -> Encoded:
    """What pieces that follow each other add together."""
    return Encoded(
        np.concatenate([np.empty(0, np.int32), *(piece.outliers for piece in pieces)]),
        tuple(all(flags) for flags in zip(*(piece.rectified for piece in pieces), strict=True)),
    )


def _require_unit_vectors(matrix: NDArray[np.float32], first_row: int) -> None:
    norms = row_norms(matrix)
    if not (norms <= LONGEST).all():
        row = int(np.argmin(norms <= LONGEST))
        raise ValueError(f"Row {first_row + row} has L2 norm {norms[row]:.6g} instead of 1.")


def encode_all(
    fit: SearchFit,
    descriptors: Descriptors,
    target: Levels,
    executor: Executor,
    advance: Callable[[int], object] = lambda rows: None,
    finished: Mapping[int, Encoded] = MappingProxyType({}),
    on_finished: Callable[[int, Encoded], object] = lambda first_row, encoded: None,
) -> Levels:
    """Encode a whole database, some thousand rows at a time.

    Args:
        fit: the axes.
        descriptors: (N, C_n) by backbone, may be mapped from disk.
        target: the levels to fill.
        executor: its threads encode side by side; the result does not depend on their number.
        advance: called with the number of rows of each finished piece.
        finished: pieces that need not be encoded again, by their first row: what ``on_finished``
            was called with earlier, for the same database and target.
        on_finished: called from the executor's threads with the first row of a piece, and what
            its rows add to the levels.

    Returns:
        The levels, complete.
    """
    rows = len(descriptors[0])
    used = list(descriptors)
    for arrays in target.arrays.values():
        used += [arrays.codes, arrays.bounds]

    def encode_from(first: int) -> Encoded:
        piece = slice(first, min(first + ENCODED_AT_ONCE, rows))
        encoded = finished.get(first)
        if encoded is None:
            encoded = encode(fit, [matrix[piece] for matrix in descriptors], target, first)
            for array in used:
                release_pages(array)
            on_finished(first, encoded)
        advance(piece.stop - piece.start)
        return encoded

    return _completed(target, list(executor.map(encode_from, range(0, rows, ENCODED_AT_ONCE))))


def empty_levels(fit: SearchFit, dimensions: Sequence[int], rows: int) -> Levels:
    """Make levels in memory, with room for so many rows.

    Args:
        fit: the fit that the rows will be encoded with.
        dimensions: C by backbone.
        rows: N.
    """
    return levels_of(fit, dimensions, rows, lambda name, *form: np.zeros(*form))


class GrowingLevels:
    """Levels in memory that grow; one thread appends, and what others have read of them stays.

    Args:
        levels: the levels of the first rows, which do not change.
        dimensions: C by backbone.

    Attributes:
        levels: those of all rows that there are now.
    """

    def __init__(self, levels: Levels, dimensions: Sequence[int]) -> None:
        self.levels = levels
        self._dimensions = dimensions
        self._room = levels  # with as many rows as its arrays have room for

    def append(self, descriptors: Descriptors) -> None:
        """Add rows, encoded with the fit of the other rows.

        Args:
            descriptors: (m, C_n) float32 or float16 by backbone.

        Raises:
            ValueError: if a descriptor is longer than a unit vector, naming its row.
        """
        first, last = self.levels.rows, self.levels.rows + len(descriptors[0])
        if last > self._room.rows:
            self._grow(max(last, 2 * self._room.rows))
        added = encode(self.levels.fit, descriptors, self._room, first)
        so_far = Encoded(self.levels.outliers, self.levels.rectified)
        self.levels = _completed(self._first(last), [so_far, added])

    def _grow(self, rows: int) -> None:
        """Move the levels to arrays with room for so many rows."""
        room = empty_levels(self.levels.fit, self._dimensions, rows)
        for name, arrays in self.levels.arrays.items():
            room.arrays[name].codes[: len(arrays.codes)] = arrays.codes
            room.arrays[name].bounds[: len(arrays.bounds)] = arrays.bounds
        self._room = room

    def _first(self, rows: int) -> Levels:
        """The first rows of the arrays."""
        arrays = {}
        for level in LEVELS:
            (codes, _), (bounds, _) = level.shapes(self._dimensions, rows)
            room = self._room.arrays[level.name]
            arrays[level.name] = LevelArrays(room.codes[: codes[0]], room.bounds[: bounds[0]])
        return replace(self._room, arrays=arrays, rows=rows)


def _completed(levels: Levels, encoded: Sequence[Encoded]) -> Levels:
    whole = _joined(encoded)
    return replace(levels, outliers=whole.outliers, rectified=whole.rectified)
