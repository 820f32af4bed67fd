"""Texts by row, as two memory-mapped arrays: nothing is parsed when an index is opened.

=======================  =========  ==============================================================
file                     dtype      content
=======================  =========  ==============================================================
``<name>.offsets.npy``   int64      (N + 1,): row i's text is bytes offsets[i] to offsets[i + 1]
``<name>.bytes.npy``     uint8      the texts in UTF-8, one after the other
=======================  =========  ==============================================================
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from retrieval_server.errors import IndexBundleError
from retrieval_server.storage.arrays import REBUILD, open_array


class StringTable:
    """Read-only sequence of texts.

    Args:
        folder: where the two files stand.
        name: their stem.

    Raises:
        IndexBundleError: if a file is missing, damaged, or contradicts the other.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._offsets = open_array(folder / f"{name}.offsets.npy", np.int64, 1)
        self._bytes = open_array(folder / f"{name}.bytes.npy", np.uint8, 1)
        if not len(self._offsets) or self._offsets[-1] != len(self._bytes):
            raise IndexBundleError(f"The texts {name} in {folder} contradict each other. {REBUILD}")

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __getitem__(self, row: int) -> str:
        return self.raw(row).decode("utf-8")

    def raw(self, row: int) -> bytes:
        """Row's text in UTF-8."""
        return self._bytes[self._offsets[row] : self._offsets[row + 1]].tobytes()


def write_string_table(folder: Path, name: str, texts: Iterable[str]) -> None:
    """Write texts in row order; overwrites."""
    encoded = [text.encode("utf-8") for text in texts]
    offsets = np.zeros(len(encoded) + 1, dtype=np.int64)
    np.cumsum([len(text) for text in encoded], out=offsets[1:])
    np.save(folder / f"{name}.offsets.npy", offsets)
    np.save(folder / f"{name}.bytes.npy", np.frombuffer(b"".join(encoded), dtype=np.uint8))
