"""Pairs of rows in a scratch file, between the join and the lists: memory holds none of them."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

PAIR = np.dtype([("first", "<i4"), ("second", "<i4"), ("cosine", "<u2")])  # as text_index has it
CHUNK_PAIRS = 1 << 21  # read at once


class PairFile:
    """Pairs of rows with their cosines, in a nameless scratch file.

    Args:
        folder: a folder on the disk to use; not even a kill leaves a file there.
    """

    def __init__(self, folder: Path) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed in __exit__
        self._lock = threading.Lock()
        self._count = 0

    def __enter__(self) -> PairFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        return self._count

    def append(self, pairs: NDArray[Any]) -> None:
        """Add pairs (M,) of dtype ``PAIR``; safe from several threads."""
        with self._lock:
            self._file.write(pairs.tobytes())
            self._count += len(pairs)

    def chunks(self) -> Iterator[NDArray[Any]]:
        """Read all pairs added so far, (M,) of dtype ``PAIR`` at a time."""
        self._file.flush()
        self._file.seek(0)
        while data := self._file.read(CHUNK_PAIRS * PAIR.itemsize):
            yield np.frombuffer(data, PAIR)
