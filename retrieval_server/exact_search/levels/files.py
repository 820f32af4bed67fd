"""The files of the levels, beside the descriptors in an index.

============================  ================  =======================================
file                          dtype, shape      content
============================  ================  =======================================
``search.means.npy``          float32 (D,)      means, see rotation
``search.rotation.npy``       float32 (K, D)    rotation, see rotation
``search.ranges.npy``         float32 (768,)    ranges of the codes on the axes
``residual.steps.npy``        float32 (D,)      steps of the residual level's codes
``coarse.outliers.npy``       int32 (M,)        rows that it cannot hold, ascending
``LEVEL.codes.npy``           uint8             see layout
``LEVEL.bounds.npy``          uint8 or float32  see layout
============================  ================  =======================================

LEVEL is the name of a level: ``coarse``, ``middle``, ``residual``, ``bytes``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from retrieval_server.errors import IndexBundleError
from retrieval_server.exact_search.kernels.layout import Shape
from retrieval_server.exact_search.levels.encoding import Levels, levels_of
from retrieval_server.exact_search.levels.fit_parameters import SearchRecord
from retrieval_server.exact_search.levels.rotation import SearchFit
from retrieval_server.storage.arrays import REBUILD, create_array, open_array

OUTLIERS_FILE = "coarse.outliers.npy"
_FIT_FILES = {  # attributes of a SearchFit, by the name of their file
    "search.means": "means",
    "search.rotation": "rotation",
    "search.ranges": "ranges",
    "residual.steps": "residual_steps",
}


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

    def array(name: str, shape: Shape, dtype: DTypeLike) -> NDArray[Any]:
        if keep:
            return np.lib.format.open_memmap(folder / f"{name}.npy", "r+")
        return create_array(folder / f"{name}.npy", dtype, shape)

    for name, attribute in _FIT_FILES.items():
        np.save(folder / f"{name}.npy", getattr(fit, attribute))
    return levels_of(fit, dimensions, rows, array)


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

    def array(name: str, shape: Shape, dtype: DTypeLike) -> NDArray[Any]:
        return _open(folder / f"{name}.npy", dtype, shape)

    shapes = SearchFit.shapes(sum(dimensions))
    fitted = {
        attribute: np.array(array(name, shapes[attribute], np.float32))
        for name, attribute in _FIT_FILES.items()
    }
    levels = levels_of(SearchFit(record.fit, **fitted), dimensions, rows, array)
    outliers = np.array(open_array(folder / OUTLIERS_FILE, np.int32, 1))
    if len(outliers) and not (0 <= outliers[0] and outliers[-1] < rows):
        raise IndexBundleError(f"The index file {folder / OUTLIERS_FILE} is damaged. {REBUILD}")
    return replace(levels, outliers=outliers, rectified=record.rectified)


def _open(path: Path, dtype: DTypeLike, shape: tuple[int, ...]) -> NDArray[Any]:
    array = open_array(path, dtype, len(shape))
    if array.shape != shape:
        raise IndexBundleError(
            f"The index file {path} is {array.shape} instead of {shape}. {REBUILD}"
        )
    return array
