"""Database descriptors on disk: one memory-mapped array for each backbone.

===========================  =======  ============================================================
file                         dtype    content
===========================  =======  ============================================================
``descriptors.<model>.npy``  float32  (N, C), row-major, little-endian; L2 norm 1, or all zero;
                                      float16 if the build has this setting: the search is then
                                      exact for the rounded descriptors
===========================  =======  ============================================================
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval_server.storage.arrays import create_array, open_array

DescriptorShape = tuple[np.dtype[Any], int]  # type of the components, and their number


def descriptor_file(model: str) -> str:
    """Name of the file with a model's descriptors."""
    return f"descriptors.{model}.npy"


def open_descriptors(folder: Path, model: str) -> NDArray[Any]:
    """Open a model's descriptors by memory map, (N, C) float32 or float16.

    Raises:
        IndexBundleError: if the file is missing or damaged.
    """
    return open_array(folder / descriptor_file(model), (np.float32, np.float16), 2)


def create_descriptors(
    folder: Path, model: str, rows: int, dimension: int, dtype: str = "<f4"
) -> NDArray[Any]:
    """Make a model's file and map it for writing, (rows, dimension); overwrites.

    Args:
        folder: folder of the bundle.
        model: name of the model.
        rows: N.
        dimension: C.
        dtype: float32 or float16, little-endian.

    Raises:
        OSError: if the disk has no space for the file.
    """
    return create_array(folder / descriptor_file(model), dtype, (rows, dimension))
