"""The files of the levels, beside the descriptors in an index.

===========================  ==========================  =========================================
file                         dtype, shape                content
===========================  ==========================  =========================================
``search.means.npy``         float32 (D,)                see rotation
``search.rotation.npy``      float32 (K, D)              see rotation
``search.steps.npy``         float32 (1536,)             see rotation
``coarse.codes.npy``         uint8 (blocks, 32, 256)     see coarse_level
``coarse.bounds.npy``        uint8 (blocks, W, 256)      see coarse_level
``coarse.outliers.npy``      int32 (M,)                  rows it cannot hold, ascending
``middle.codes.npy``         uint8 (N, 320)              see digit_levels
``middle.bounds.npy``        float32 (N, 3)              see digit_levels
``fine.codes.npy``           uint8 (N, 192)              see digit_levels
``fine.bounds.npy``          float32 (N, 2)              see digit_levels
``bytes.<model>.npy``        uint8 (N, C up to 64)       see byte_level
``bytes.<model>.bounds.npy`` float32 (N, 2)              see byte_level
===========================  ==========================  =========================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from retrieval_server.errors import IndexBundleError
from retrieval_server.exact_search import byte_level
from retrieval_server.exact_search.fit_parameters import SearchRecord
from retrieval_server.exact_search.levels import Levels, level_shapes
from retrieval_server.exact_search.rotation import AXES, SearchFit
from retrieval_server.feature_store import REBUILD, create_array, open_array

OUTLIERS_FILE = "coarse.outliers.npy"


def create_levels(
    folder: Path, fit: SearchFit, models: Sequence[str], dimensions: Sequence[int], rows: int
) -> Levels:
    """Make the files of the levels, and map them for writing; overwrites.

    Raises:
        OSError: if the disk has no room for them.
    """
    for name, array in _fit_arrays(fit).items():
        np.save(folder / f"{name}.npy", array)
    shapes = level_shapes(len(dimensions), rows)
    arrays = {
        name: create_array(folder / f"{name}.npy", dtype, shape)
        for name, (dtype, shape) in shapes.items()
    }
    bytes_ = tuple(
        (
            create_array(folder / f"bytes.{model}.npy", np.uint8, (rows, byte_level.code_width(c))),
            create_array(folder / f"bytes.{model}.bounds.npy", np.float32, (rows, 2)),
        )
        for model, c in zip(models, dimensions, strict=True)
    )
    rectified = (True,) * len(models)
    return Levels(fit, arrays, bytes_, np.empty(0, np.int32), rows, rectified)


def write_outliers(folder: Path, levels: Levels) -> None:
    """Write the last file, once the others are filled; overwrites."""
    np.save(folder / OUTLIERS_FILE, levels.outliers)


def open_levels(
    folder: Path,
    record: SearchRecord,
    dimensions: Mapping[str, int],
    rows: int,
) -> Levels:
    """Open the levels by memory map.

    Args:
        folder: the bundle.
        record: what the manifest says about them.
        dimensions: by model name, in the order of eq. (8).
        rows: N.

    Raises:
        IndexBundleError: if a file is missing, damaged, or of another shape.
    """
    dimension = sum(dimensions.values())
    means, rotation, steps = (
        _open(folder / f"search.{name}.npy", np.float32, shape)
        for name, shape in (
            ("means", (dimension,)),
            ("rotation", (min(dimension, AXES), dimension)),
            ("steps", (AXES,)),
        )
    )
    arrays = {
        name: _open(folder / f"{name}.npy", dtype, shape)
        for name, (dtype, shape) in level_shapes(len(dimensions), rows).items()
    }
    bytes_ = tuple(
        (
            _open(folder / f"bytes.{model}.npy", np.uint8, (rows, byte_level.code_width(c))),
            _open(folder / f"bytes.{model}.bounds.npy", np.float32, (rows, 2)),
        )
        for model, c in dimensions.items()
    )
    outliers = np.array(open_array(folder / OUTLIERS_FILE, np.int32, 1))
    if len(outliers) and not (0 <= outliers[0] and outliers[-1] < rows):
        raise IndexBundleError(f"The index file {folder / OUTLIERS_FILE} is damaged. {REBUILD}")
    search_fit = SearchFit(record.fit, *map(np.array, (means, rotation, steps)))
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
    }
