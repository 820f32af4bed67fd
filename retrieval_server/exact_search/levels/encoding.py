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

from retrieval_server.exact_search.kernels.encoders import SQUARES, encode_axes
from retrieval_server.exact_search.kernels.layout import AXES, byte_shapes, level_shapes
from retrieval_server.exact_search.levels import byte, coarse, middle, residual
from retrieval_server.exact_search.levels.byte import ByteLevel
from retrieval_server.exact_search.levels.fit_parameters import SearchRecord
from retrieval_server.exact_search.levels.rotation import LONGEST, SearchFit, rotate_rows
from retrieval_server.storage.arrays import release_pages

ENCODED_AT_ONCE = 4096  # rows; a multiple of a block, so that two threads never share a block

Descriptors = Sequence[NDArray[Any]]


@dataclass(frozen=True)
class Levels:
    """The levels of a database.

    Attributes:
        fit: the fit that the rows were encoded with.
        arrays: codes and bounds of the coarse, middle and residual level, as layout names them.
        bytes_: the byte level.
        outliers: (M,) int32, rows that the coarse level cannot hold, ascending.
        rows: N.
        rectified: by backbone, whether no descriptor has a negative value.
    """

    fit: SearchFit
    arrays: dict[str, NDArray[Any]]
    bytes_: ByteLevel
    outliers: NDArray[np.int32]
    rows: int
    rectified: tuple[bool, ...]

    @property
    def record(self) -> SearchRecord:
        """What the manifest of an index records about these levels."""
        return SearchRecord(self.fit.parameters, self.rectified)

    def sizes(self) -> dict[str, int]:
        """Size of each level, and of the rotation, in bytes."""
        sizes = {
            level: sum(a.nbytes for name, a in self.arrays.items() if name.startswith(level))
            for level in ("coarse", "middle", "residual")
        }
        sizes["rotation"] = self.fit.rotation.nbytes
        sizes["bytes"] = self.bytes_.codes.nbytes + self.bytes_.bounds.nbytes
        return sizes


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
    rotated, rows = rotate_rows(fit, single), len(single[0])
    squares, decoded = np.empty((rows, SQUARES)), np.empty((rows, AXES), np.float32)
    arrays, own = target.arrays, slice(first_row, first_row + rows)
    encode_axes(
        rotated.coordinates, fit.steps, first_row,
        arrays["coarse.codes"], arrays["middle.codes"], decoded, squares,
    )  # fmt: skip
    stored, is_outlier = coarse.encode_bounds(fit.parameters, rotated, squares)
    coarse.store_bounds(arrays["coarse.bounds"], first_row, stored)
    arrays["middle.bounds"][own] = middle.encode_bounds(
        fit.parameters.rotation_error, rotated, squares
    )
    arrays["residual.bounds"][own] = residual.encode_rows(
        fit, rotated, decoded, arrays["residual.codes"][own]
    )
    byte.encode_rows(target.bytes_, first_row, single, fit.parameters.code_offsets)
    outliers = (first_row + np.flatnonzero(is_outlier)).astype(np.int32)
    return Encoded(outliers, tuple(bool((matrix >= 0).all()) for matrix in single))


def _require_unit_vectors(matrix: NDArray[np.float32], first_row: int) -> None:
    norms = np.sqrt(np.einsum("ij,ij->i", matrix, matrix, dtype=np.float64))
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
        executor: its threads encode side by side. The result does not depend on their number if
            BLAS uses one thread.
        advance: called with the number of rows of each finished piece.
        finished: pieces that need not be encoded again, by their first row: what ``on_finished``
            was called with earlier, for the same database and target.
        on_finished: called from the executor's threads with the first row of a piece, and what
            its rows add to the levels.

    Returns:
        The levels, complete.
    """
    rows = len(descriptors[0])
    used: list[NDArray[Any]] = [*descriptors, *target.arrays.values()]
    used += [target.bytes_.codes, target.bytes_.bounds]

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
    codes, bounds = byte_shapes(dimensions, rows)
    return Levels(
        fit,
        {name: np.zeros(*shape) for name, shape in level_shapes(dimensions, rows).items()},
        ByteLevel(np.zeros(*codes), np.zeros(*bounds)),
        np.empty(0, np.int32),
        rows,
        (True,) * len(dimensions),
    )


def append_rows(levels: Levels, descriptors: Descriptors) -> Levels:
    """Add rows, encoded with the fit of the other rows.

    Args:
        levels: the levels so far; they do not change.
        descriptors: (m, C_n) float32 or float16 by backbone.

    Returns:
        New levels in memory.

    Raises:
        ValueError: if a descriptor is longer than a unit vector, naming its row.
    """
    dimensions = [matrix.shape[1] for matrix in descriptors]
    grown = empty_levels(levels.fit, dimensions, levels.rows + len(descriptors[0]))
    for name, array in levels.arrays.items():
        grown.arrays[name][: len(array)] = array
    grown.bytes_.codes[: levels.rows] = levels.bytes_.codes
    grown.bytes_.bounds[: levels.rows] = levels.bytes_.bounds
    added = encode(levels.fit, descriptors, grown, levels.rows)
    return _completed(grown, [Encoded(levels.outliers, levels.rectified), added])


def _completed(levels: Levels, encoded: Sequence[Encoded]) -> Levels:
    return replace(
        levels,
        outliers=np.concatenate([np.empty(0, np.int32), *(piece.outliers for piece in encoded)]),
        rectified=tuple(
            all(flags) for flags in zip(*(piece.rectified for piece in encoded), strict=True)
        ),
    )
