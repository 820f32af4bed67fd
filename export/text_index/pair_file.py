"""Pairs of rows in a file, between the join and the lists: memory holds none of them."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
from numpy.typing import NDArray

PAIR = np.dtype([("first", "<i4"), ("second", "<i4"), ("cosine", "<u2")])  # as text_index has it
CHUNK_PAIRS = 1 << 21  # read at once


class Pairs(Protocol):
    """Pairs of rows with their cosines, as often as they are needed."""

    def chunks(self) -> Iterator[NDArray[Any]]:
        """Read all pairs, (M,) of dtype ``PAIR`` at a time."""
        ...


class PairFile:
    """Pairs of rows with their cosines, in a scratch file.

    Args:
        folder: a folder on the disk to use.
        name: name of the file, which stays; by default the file has no name, and not even a kill
            leaves it in the folder.
        numbers: (N,) int32, the number to write for each row; None writes the row itself.
    """

    def __init__(
        self, folder: Path, *, name: str | None = None, numbers: NDArray[np.int32] | None = None
    ) -> None:
        self._file: IO[bytes] = (
            tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed in __exit__
            if name is None
            else (folder / name).open("w+b")
        )
        self._numbers = numbers
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
        if self._numbers is not None:
            pairs = pairs.copy()
            for side in ("first", "second"):
                pairs[side] = self._numbers[pairs[side]]
        with self._lock:
            self._file.write(pairs.tobytes())
            self._count += len(pairs)

    def chunks(self) -> Iterator[NDArray[Any]]:
        """Read all pairs added so far, (M,) of dtype ``PAIR`` at a time."""
        self._file.flush()
        self._file.seek(0)
        yield from _chunks(self._file)


class PairFiles:
    """Pairs in several finished files.

    Args:
        paths: the files.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths

    def chunks(self) -> Iterator[NDArray[Any]]:
        """Read all pairs, (M,) of dtype ``PAIR`` at a time."""
        for path in self._paths:
            with path.open("rb") as file:
                yield from _chunks(file)


def _chunks(file: IO[bytes]) -> Iterator[NDArray[Any]]:
    while data := file.read(CHUNK_PAIRS * PAIR.itemsize):
        yield np.frombuffer(data, PAIR)
