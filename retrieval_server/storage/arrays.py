"""NumPy arrays by memory map: created, opened, released, synced to disk."""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from retrieval_server.errors import IndexBundleError

REBUILD = "Build the index again with: beauty-export index"


def create_array(path: Path, dtype: DTypeLike, shape: tuple[int, ...]) -> NDArray[Any]:
    """Make a ``.npy`` file, little-endian, and map it for writing; overwrites.

    Raises:
        OSError: if the disk has no room for it; found out here, since a write to mapped memory
            without a block behind it kills the process.
    """
    if 0 in shape:  # nothing to map
        np.save(path, np.empty(shape, dtype))
        return np.empty(shape, dtype)
    array = np.lib.format.open_memmap(path, "w+", np.dtype(dtype).newbyteorder("<"), shape)
    if hasattr(os, "posix_fallocate"):  # macOS has none
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


def mapping_of(array: NDArray[Any]) -> mmap.mmap | None:
    """The memory map behind an array, if it has one."""
    mapped: mmap.mmap | None = getattr(_mapped(array), "_mmap", None)
    return mapped


def file_of(array: NDArray[Any]) -> Path | None:
    """The file behind an array, if it has one."""
    mapped = _mapped(array)
    return None if mapped is None else Path(str(mapped.filename))


def _mapped(array: NDArray[Any]) -> np.memmap[Any, Any] | None:
    base: Any = array
    while base is not None and not isinstance(base, np.memmap):
        base = getattr(base, "base", None)
    return base


def release_pages(array: NDArray[Any]) -> None:
    """Let go of a mapped array's pages, so that they do not count as this process's memory.

    What was written stays; what is read again comes from the page cache.
    """
    mapped = mapping_of(array)
    if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


def open_array(
    path: Path,
    dtype: DTypeLike | tuple[DTypeLike, ...],
    dimensions: int,
    *,
    is_scattered: bool = False,
) -> NDArray[Any]:
    """Open a ``.npy`` file by memory map, read-only, without pickle.

    Args:
        path: the file.
        dtype: what it must hold, or one of what.
        dimensions: how many axes it must have.
        is_scattered: whether it is read here and there: then only the pages touched are read from
            disk, where the system would read on in advance (tens of milliseconds, and memory).

    Raises:
        IndexBundleError: if it is missing, truncated, or holds something else.
    """
    try:
        array = np.lib.format.open_memmap(path, "r")
    except FileNotFoundError as error:
        raise IndexBundleError(f"The index file {path} is missing. {REBUILD}") from error
    except (OSError, ValueError) as error:  # NumPy says "mmap length is greater than file size"
        raise IndexBundleError(f"The index file {path} is damaged: {error}. {REBUILD}") from error
    dtypes = [np.dtype(one) for one in (dtype if isinstance(dtype, tuple) else (dtype,))]
    if array.dtype not in dtypes or array.ndim != dimensions:
        raise IndexBundleError(
            f"The index file {path} holds {array.dtype} with {array.ndim} axes instead of "
            f"{' or '.join(map(str, dtypes))} with {dimensions}. {REBUILD}"
        )
    if is_scattered:
        assert isinstance(array.base, mmap.mmap)
        array.base.madvise(mmap.MADV_RANDOM)
    return np.asarray(array)  # a plain view is several times faster to slice


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
