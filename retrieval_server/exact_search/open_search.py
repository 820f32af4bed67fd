"""From an index to its search: what stays in memory and what stays on disk."""

from __future__ import annotations

import contextlib
import mmap
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval_server.exact_search.cascade import DEFAULT_TUNING, CascadeSearch, Tuning
from retrieval_server.exact_search.levels import Levels
from retrieval_server.exact_search.scan import ExactSearch, ScanSearch
from retrieval_server.feature_store import file_of, mapping_of

_READ_AT_ONCE = 2**24  # bytes


def open_search(
    descriptors: tuple[NDArray[Any], ...], levels: Levels | None, tuning: Tuning = DEFAULT_TUNING
) -> ExactSearch:
    """Search an index.

    The coarse, the middle and the fine level are copied to memory: every search reads the first
    whole and the others here and there. The byte level is read once into the page cache. It and the
    originals are read a row at a time, for which the kernel is told not to read ahead.

    Args:
        descriptors: (N, C_n) float32 or float16 by backbone, mapped.
        levels: their levels, mapped; None for a small database.
        tuning: what the speed depends on.
    """
    if levels is None:
        return ScanSearch(descriptors)
    for codes, bounds in levels.bytes_:
        for array in (codes, bounds):
            _read_ahead(array)
    for array in (*descriptors, *(codes for codes, _ in levels.bytes_)):
        _advise_random(array)
    resident = {name: _in_memory(array) for name, array in levels.arrays.items()}
    return CascadeSearch(descriptors, replace(levels, arrays=resident), tuning)


def _in_memory(array: NDArray[Any]) -> NDArray[Any]:
    """A copy in huge pages, where there are any, that starts with a cache line."""
    if array.nbytes == 0:
        return np.array(array)
    memory = mmap.mmap(-1, array.nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a kernel without them
            memory.madvise(mmap.MADV_HUGEPAGE)
    copy = np.frombuffer(memory, array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def _read_ahead(array: NDArray[Any]) -> None:
    """Read a mapped array's file into the page cache without mapping its pages."""
    buffer = bytearray(_READ_AT_ONCE)
    if (path := file_of(array)) is not None:
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass


def _advise_random(array: NDArray[Any]) -> None:
    mapped = mapping_of(array)
    if mapped is not None and hasattr(mmap, "MADV_RANDOM"):
        mapped.madvise(mmap.MADV_RANDOM)
