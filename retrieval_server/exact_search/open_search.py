"""Opens the search of an index: which levels are copied to memory, which are read from disk."""

from __future__ import annotations

import contextlib
import mmap
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval_server.exact_search.cascade import DEFAULT_SETTINGS, CascadeSearch, CascadeSettings
from retrieval_server.exact_search.levels.encoding import Levels
from retrieval_server.exact_search.levels.level import Level, LevelArrays
from retrieval_server.exact_search.levels.order import LEVELS
from retrieval_server.exact_search.parallelism import IntraQueryParallelism
from retrieval_server.exact_search.row_file import RowFile
from retrieval_server.exact_search.scan import ScanSearch
from retrieval_server.exact_search.search import ExactSearch
from retrieval_server.storage.arrays import file_of, mapping_of, release_pages

_READ_AT_ONCE = 2**24  # bytes
_COPIED_AT_ONCE = 2**14  # rows, or blocks of rows


def open_search(
    descriptors: tuple[NDArray[Any], ...],
    levels: Levels | None,
    settings: CascadeSettings = DEFAULT_SETTINGS,
    parallelism: IntraQueryParallelism | None = None,
) -> ExactSearch:
    """Open the search of an index.

    The coarse, the middle and the residual level are copied to memory: every search reads the whole
    coarse level and scattered rows of the others. The byte level is read once into the page cache.
    Searches read it and the originals a row at a time, without read-ahead of the system.

    Args:
        descriptors: (N, C_n) float32 or float16 by backbone, mapped.
        levels: levels of the descriptors, mapped; None for a small database.
        settings: what the speed of a large database's search depends on.
        parallelism: divides a search of a large database among idle cores; None for one core.
    """
    if levels is None:
        return ScanSearch(descriptors)
    for array in descriptors:
        _advise_random(array)
    arrays = {level.name: _opened(levels.arrays[level.name], level) for level in LEVELS}
    levels = replace(levels, arrays=arrays)
    originals = [_row_file(array) or array for array in descriptors]
    return CascadeSearch(descriptors, levels, settings, parallelism, originals)


def _opened(mapped: LevelArrays, level: Level) -> LevelArrays:
    bounds = _in_memory(mapped.bounds)
    if level.is_resident:
        return LevelArrays(_in_memory(mapped.codes), bounds)
    _read_once(mapped.codes)
    return LevelArrays(mapped.codes, bounds, _row_file(mapped.codes))


def _in_memory(array: NDArray[Any]) -> NDArray[Any]:
    """A copy in huge pages, where the system has them; it starts with a cache line."""
    if array.nbytes == 0:
        return np.array(array)
    memory = mmap.mmap(-1, array.nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a kernel without them
            memory.madvise(mmap.MADV_HUGEPAGE)
    copy = np.frombuffer(memory, array.dtype).reshape(array.shape)
    for first in range(0, len(array), _COPIED_AT_ONCE):
        piece = slice(first, first + _COPIED_AT_ONCE)
        copy[piece] = array[piece]
        release_pages(array)
    return copy


def _row_file(array: NDArray[Any]) -> RowFile | None:
    """The file of a mapped array; None for an array in memory."""
    if (path := file_of(array)) is None:
        return None
    return RowFile(path, array, path.stat().st_size - array.nbytes)


def _read_once(array: NDArray[Any]) -> None:
    """Read a mapped array's file into the page cache."""
    if (path := file_of(array)) is not None:
        buffer = bytearray(_READ_AT_ONCE)
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass


def _advise_random(array: NDArray[Any]) -> None:
    mapped = mapping_of(array)
    if mapped is not None and hasattr(mmap, "MADV_RANDOM"):
        mapped.madvise(mmap.MADV_RANDOM)
