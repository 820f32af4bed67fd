"""From an index to its search: what stays in memory and what stays on disk."""

from __future__ import annotations

import mmap
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval_server.exact_search.cascade import DEFAULT_TUNING, CascadeSearch, Tuning
from retrieval_server.exact_search.levels import Levels
from retrieval_server.exact_search.scan import ExactSearch, ScanSearch

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
    resident = {name: np.array(array) for name, array in levels.arrays.items()}
    return CascadeSearch(descriptors, replace(levels, arrays=resident), tuning)


def _mapping(array: NDArray[Any]) -> np.memmap[Any, Any] | None:
    base: Any = array
    while base is not None and not isinstance(base, np.memmap):
        base = getattr(base, "base", None)
    return base


def _read_ahead(array: NDArray[Any]) -> None:
    """Read a mapped array into the page cache without mapping its pages."""
    mapped = _mapping(array)
    if mapped is None:
        return
    buffer = bytearray(_READ_AT_ONCE)
    with Path(str(mapped.filename)).open("rb", buffering=0) as file:
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
        while file.readinto(buffer):
            pass


def _advise_random(array: NDArray[Any]) -> None:
    mapped = _mapping(array)
    memory = getattr(mapped, "_mmap", None)
    if memory is not None and hasattr(mmap, "MADV_RANDOM"):
        memory.madvise(mmap.MADV_RANDOM)
