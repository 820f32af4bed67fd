"""The levels of a database: their arrays, and how rows are encoded into them.

Rows are encoded with a fit that never saw them as well as with one that did: every bound is that of
the row. What suffers as the database drifts away from its fit is only how much the levels prune.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval_server.exact_search import byte_level, coarse_level, middle_level, residual_level
from retrieval_server.exact_search.byte_level import ByteLevel
from retrieval_server.exact_search.encoders import encode_axes
from retrieval_server.exact_search.fit_parameters import SearchRecord
from retrieval_server.exact_search.rotation import AXES, LONGEST, REGIONS, SearchFit, rotate_rows
from retrieval_server.storage.arrays import release_pages

ENCODED_AT_ONCE = 4096  # rows; a multiple of a block, so that two encoders never share one

Descriptors = Sequence[NDArray[Any]]


@dataclass(frozen=True)
class Levels:
    """A database's levels.

    Attributes:
        fit: what they were encoded with.
        arrays: by the names of the files of the coarse, middle and residual level.
        bytes_: the byte level.
        outliers: (M,) int32.
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
        """What the manifest has to say about them."""
        return SearchRecord(self.fit.parameters, self.rectified)

    def sizes(self) -> dict[str, int]:
        """Bytes of each level."""
        sizes = {
            level: sum(a.nbytes for name, a in self.arrays.items() if name.startswith(level))
            for level in ("coarse", "middle", "residual")
        }
        sizes["rotation"] = self.fit.rotation.nbytes
        sizes["bytes"] = self.bytes_.codes.nbytes + self.bytes_.bounds.nbytes
        return sizes


@dataclass(frozen=True)
class Encoded:
    """What encoded rows add to the levels beside their arrays.

    Attributes:
        outliers: (M,) int32, ascending.
        rectified: by backbone, whether none has a negative value.
    """

    outliers: NDArray[np.int32]
    rectified: tuple[bool, ...]


def encode(
    fit: SearchFit,
    descriptors: Descriptors,
    target: Levels,
    first_row: int,
) -> Encoded:
    """Encode rows into their place.

    Args:
        fit: the axes.
        descriptors: (m, C_n) float32 or float16 by backbone.
        target: has room for them, zero so far; or with these rows encoded by the same fit, whole
            or in part, which changes nothing.
        first_row: row of the first.

    Returns:
        What they add to the levels beside the arrays.

    Raises:
        ValueError: if a descriptor is longer than a unit vector, naming its row.
    """
    parts = [np.ascontiguousarray(part, dtype=np.float32) for part in descriptors]
    rows = len(parts[0])
    for part in parts:
        norms = np.sqrt(np.einsum("ij,ij->i", part, part, dtype=np.float64))
        if not (norms <= LONGEST).all():
            row = int(np.argmin(norms <= LONGEST))
            raise ValueError(f"Row {first_row + row} has L2 norm {norms[row]:.6g} instead of 1.")
    rotated = rotate_rows(fit, parts)
    squares, decoded = np.empty((rows, 5)), np.empty((rows, AXES), np.float32)
    arrays, where = target.arrays, slice(first_row, first_row + rows)
    encode_axes(
        rotated.coordinates, fit.steps, first_row,
        arrays["coarse.codes"], arrays["middle.codes"], decoded, squares,
    )  # fmt: skip
    stored, is_outlier = coarse_level.encode_bounds(fit.parameters, rotated, squares)
    coarse_level.store_bounds(arrays["coarse.bounds"], first_row, stored)
    arrays["middle.bounds"][where] = middle_level.encode_bounds(
        fit.parameters.rotation_error, rotated, squares
    )
    arrays["residual.bounds"][where] = residual_level.encode_rows(
        fit, rotated, decoded, arrays["residual.codes"][where]
    )
    byte_level.encode_rows(target.bytes_, first_row, parts, fit.parameters.code_offsets)
    outliers = (first_row + np.flatnonzero(is_outlier)).astype(np.int32)
    return Encoded(outliers, tuple(bool((part >= 0).all()) for part in parts))


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
        descriptors: (N, C_n) by backbone, may lie on disk.
        target: the levels to fill.
        executor: its threads encode side by side. The result does not depend on their number if
            BLAS works with one thread.
        advance: is told the rows finished.
        finished: what ``on_finished`` was told earlier, about the same database and target.
        on_finished: is told, from the executor's threads, the first row of what was encoded.

    Returns:
        The levels, complete.
    """
    rows = len(descriptors[0])

    used: list[NDArray[Any]] = [*descriptors, *target.arrays.values()]
    used += [target.bytes_.codes, target.bytes_.bounds]

    def encode_from(first: int) -> Encoded:
        part = slice(first, min(first + ENCODED_AT_ONCE, rows))
        encoded = finished.get(first)
        if encoded is None:
            encoded = encode(fit, [array[part] for array in descriptors], target, first)
            for array in used:
                release_pages(array)
            on_finished(first, encoded)
        advance(part.stop - part.start)
        return encoded

    return _completed(target, list(executor.map(encode_from, range(0, rows, ENCODED_AT_ONCE))))


def empty_levels(fit: SearchFit, dimensions: Sequence[int], rows: int) -> Levels:
    """Levels in memory, with room for so many rows."""
    shapes, (codes, bounds) = level_shapes(dimensions, rows), byte_shapes(dimensions, rows)
    return Levels(
        fit,
        {name: np.zeros(*shape) for name, shape in shapes.items()},
        ByteLevel(np.zeros(*codes), np.zeros(*bounds)),
        np.empty(0, np.int32),
        rows,
        (True,) * len(dimensions),
    )


def append_rows(levels: Levels, descriptors: Descriptors) -> Levels:
    """Add rows with the fit as it is.

    Args:
        levels: the levels so far; they stay as they are.
        descriptors: (m, C_n) float32 or float16 by backbone.

    Returns:
        New levels in memory.

    Raises:
        ValueError: if a descriptor is longer than a unit vector, naming its row.
    """
    dimensions = [part.shape[1] for part in descriptors]
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
        outliers=np.concatenate([np.empty(0, np.int32), *(part.outliers for part in encoded)]),
        rectified=tuple(
            all(flags) for flags in zip(*(part.rectified for part in encoded), strict=True)
        ),
    )


def level_shapes(dimensions: Sequence[int], rows: int) -> dict[str, tuple[tuple[int, ...], Any]]:
    """Shape and dtype of the arrays of the coarse, the middle and the residual level."""
    blocks = -(-rows // coarse_level.BLOCK_ROWS)
    words = coarse_level.bound_words(len(dimensions))
    return {
        "coarse.codes": ((blocks, REGIONS[0] // 8, 4 * coarse_level.BLOCK_ROWS), np.uint8),
        "coarse.bounds": ((blocks, words, 4 * coarse_level.BLOCK_ROWS), np.uint8),
        "middle.codes": ((rows, middle_level.CODE_BYTES), np.uint8),
        "middle.bounds": ((rows, 3), np.float32),
        "residual.codes": ((rows, residual_level.code_bytes(sum(dimensions))), np.uint8),
        "residual.bounds": ((rows, 2), np.float32),
    }


def byte_shapes(
    dimensions: Sequence[int], rows: int
) -> tuple[tuple[tuple[int, int], Any], tuple[tuple[int, int], Any]]:
    """Shape and dtype of the codes and the bounds of the byte level."""
    width = sum(map(byte_level.code_width, dimensions))
    return ((rows, width), np.uint8), ((rows, 2 * len(dimensions)), np.float32)
