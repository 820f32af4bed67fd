"""NumPy arrays by memory map: create, open, release, sync to disk."""

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
        OSError: if the disk has no space for the file. The space is allocated here, because a
            write to mapped memory without a disk block kills the process.
    """
    if 0 in shape:  # an empty file cannot be mapped
        np.save(path, np.empty(shape, dtype))
        return np.empty(shape, dtype)
    array = np.lib.format.open_memmap(path, "w+", np.dtype(dtype).newbyteorder("<"), shape)
    if hasattr(os, "posix_fallocate"):  # not on macOS
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


def mapping_of(array: NDArray[Any]) -> mmap.mmap | None:
    """The memory map of an array; None for an array in ordinary memory."""
    mapping: mmap.mmap | None = getattr(_memmap_of(array), "_mmap", None)
    return mapping


def file_of(array: NDArray[Any]) -> Path | None:
    """The file of a mapped array; None for an array in ordinary memory."""
    memmap = _memmap_of(array)
    return None if memmap is None else Path(str(memmap.filename))


def _memmap_of(array: NDArray[Any]) -> np.memmap[Any, Any] | None:
    base: Any = array
    while base is not None and not isinstance(base, np.memmap):
        base = getattr(base, "base", None)
    return base


def release_pages(array: NDArray[Any]) -> None:
    """Release a mapped array's pages, so that they no longer count as this process's memory.

    Written data is kept. The next read takes the pages from the page cache.
    """
    mapping = mapping_of(array)
    if mapping is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapping.madvise(mmap.MADV_DONTNEED)


def open_array(
    path: Path,
    dtype: DTypeLike | tuple[DTypeLike, ...],
    axes: int,
    *,
    random_access: bool = False,
) -> NDArray[Any]:
    """Open a ``.npy`` file by memory map, read-only, without pickle.

    Args:
        path: the file.
        dtype: the expected type, or several allowed types.
        axes: the expected number of axes.
        random_access: whether readers jump in the file. The system then reads only the requested
            pages from disk; its read-ahead would cost tens of milliseconds, and memory.

    Raises:
        IndexBundleError: if the file is missing, truncated, or holds another type or number of
            axes.
    """
    try:
        array = np.lib.format.open_memmap(path, "r")
    except FileNotFoundError as error:
        raise IndexBundleError(f"The index file {path} is missing. {REBUILD}") from error
    except (OSError, ValueError) as error:  # such as "mmap length is greater than file size"
        raise IndexBundleError(f"The index file {path} is damaged: {error}. {REBUILD}") from error
    dtypes = [np.dtype(allowed) for allowed in (dtype if isinstance(dtype, tuple) else (dtype,))]
    if array.dtype not in dtypes or array.ndim != axes:
        raise IndexBundleError(
            f"The index file {path} holds {array.dtype} with {array.ndim} axes instead of "
            f"{' or '.join(map(str, dtypes))} with {axes}. {REBUILD}"
        )
    if random_access:
        assert isinstance(array.base, mmap.mmap)
        array.base.madvise(mmap.MADV_RANDOM)
    return np.asarray(array)  # a plain view is several times faster to slice


def sync(path: Path) -> None:
    """Wait until a file's content, or the list of files of a folder, is on the disk."""
    file_descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file_descriptor)
    finally:
        os.close(file_descriptor)
