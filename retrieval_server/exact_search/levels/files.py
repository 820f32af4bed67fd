"""The files of the levels, beside the descriptors in an index.

============================  ================  =======================================
file                          dtype, shape      content
============================  ================  =======================================
``search.means.npy``          float32 (D,)      means, see rotation
``search.rotation.npy``       float32 (K, D)    rotation, see rotation
``search.steps.npy``          float32 (768,)    steps of the codes on the axes
``residual.steps.npy``        float32 (D,)      steps of the residual level's codes
``coarse.outliers.npy``       int32 (M,)        rows that it cannot hold, ascending
``LEVEL.codes.npy``           uint8             see layout
``LEVEL.bounds.npy``          uint8 or float32  see layout
============================  ================  =======================================

LEVEL is ``coarse``, ``middle``, ``residual`` or ``bytes``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from retrieval_server.errors import IndexBundleError
from retrieval_server.exact_search.kernels.layout import AXES, byte_shapes, level_shapes
from retrieval_server.exact_search.levels.byte import ByteLevel
from retrieval_server.exact_search.levels.encoding import Levels
from retrieval_server.exact_search.levels.fit_parameters import SearchRecord
from retrieval_server.exact_search.levels.rotation import SearchFit
from retrieval_server.storage.arrays import REBUILD, create_array, open_array

OUTLIERS_FILE = "coarse.outliers.npy"
BYTE_CODES_FILE, BYTE_BOUNDS_FILE = "bytes.codes.npy", "bytes.bounds.npy"


def create_levels(
    folder: Path, fit: SearchFit, dimensions: Sequence[int], rows: int, *, keep: bool = False
) -> Levels:
    """Make the files of the levels, and map them for writing; overwrites.

    Args:
        folder: holds the descriptors.
        fit: the fit that the rows will be encoded with.
        dimensions: C by backbone.
        rows: N.
        keep: whether to keep files that are there, with rows that the same fit encoded.

    Raises:
        OSError: if the disk has no room for them.
    """

    def array(file: str, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        if keep:
            return np.lib.format.open_memmap(folder / file, "r+")
        return create_array(folder / file, dtype, shape)

    for name, fitted in _fit_arrays(fit).items():
        np.save(folder / f"{name}.npy", fitted)
    arrays = {
        name: array(f"{name}.npy", *shape) for name, shape in level_shapes(dimensions, rows).items()
    }
    codes, bounds = byte_shapes(dimensions, rows)
    bytes_ = ByteLevel(array(BYTE_CODES_FILE, *codes), array(BYTE_BOUNDS_FILE, *bounds))
    rectified = (True,) * len(dimensions)
    no_outliers = np.empty(0, np.int32)
    return Levels(fit, arrays, bytes_, no_outliers, rows, rectified)


def write_outliers(folder: Path, levels: Levels) -> None:
    """Write the file of the outliers, once the other files are filled; overwrites."""
    np.save(folder / OUTLIERS_FILE, levels.outliers)


def open_levels(
    folder: Path,
    record: SearchRecord,
    dimensions: Sequence[int],
    rows: int,
) -> Levels:
    """Open the levels by memory map.

    Args:
        folder: the bundle.
        record: what the manifest records about the levels.
        dimensions: C by backbone.
        rows: N.

    Raises:
        IndexBundleError: if a file is missing, damaged, or of another shape.
    """
    dimension = sum(dimensions)
    means, rotation, steps, residual_steps = (
        _open(folder / f"{name}.npy", np.float32, shape)
        for name, shape in (
            ("search.means", (dimension,)),
            ("search.rotation", (min(dimension, AXES), dimension)),
            ("search.steps", (AXES,)),
            ("residual.steps", (dimension,)),
        )
    )
    arrays = {
        name: _open(folder / f"{name}.npy", dtype, shape)
        for name, (shape, dtype) in level_shapes(dimensions, rows).items()
    }
    codes, bounds = byte_shapes(dimensions, rows)
    bytes_ = ByteLevel(
        _open(folder / BYTE_CODES_FILE, codes[1], codes[0]),
        _open(folder / BYTE_BOUNDS_FILE, bounds[1], bounds[0]),
    )
    outliers = np.array(open_array(folder / OUTLIERS_FILE, np.int32, 1))
    if len(outliers) and not (0 <= outliers[0] and outliers[-1] < rows):
        raise IndexBundleError(f"The index file {folder / OUTLIERS_FILE} is damaged. {REBUILD}")
    fitted = map(np.array, (means, rotation, steps, residual_steps))
    search_fit = SearchFit(record.fit, *fitted)
    return Levels(search_fit, arrays, bytes_, outliers, rows, record.rectified)


def _open(path: Path, dtype: DTypeLike, shape: tuple[int, ...]) -> NDArray[Any]:
    array = open_array(path, dtype, len(shape))
    if array.shape != shape:
        raise IndexBundleError(
            f"The index file {path} is {array.shape} instead of {shape}. {REBUILD}"
        )
    return array


def _fit_arrays(fit: SearchFit) -> dict[str, NDArray[np.float32]]:
    return {
        "search.means": fit.means,
        "search.rotation": fit.rotation,
        "search.steps": fit.steps,
        "residual.steps": fit.residual_steps,
    }
