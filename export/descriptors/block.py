"""A block: the descriptors of ``BLOCK_ROWS`` catalogue rows, and the file that holds them.

The file is an ``.npz`` archive without pickled arrays:

=======================  ===========  ==============================================================
array                    dtype        content
=======================  ===========  ==============================================================
``key``                  uint8        the digest of all that the block depends on, as ASCII
``rows``                 int64        (M,): catalogue rows whose image could be read, ascending
``rejects``              uint8        the other rows, as UTF-8 JSON
``image_digests``        uint8        (M, 32): SHA-256 of the image files
``descriptors.<model>``  float32      (M, C): one array for each model
=======================  ===========  ==============================================================
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

BLOCK_ROWS = 64
CHANGED_MEANWHILE = "An image or a model changed during the build. Run the same command again."


@dataclass(frozen=True)
class Reject:
    """A catalogue row that is not in the index.

    Attributes:
        product_id: its id.
        image: its image, as the catalogue has it.
        reason: why the image could not be read.
    """

    product_id: str
    image: str
    reason: str


@dataclass(frozen=True)
class Block:
    """Descriptors of consecutive catalogue rows.

    Attributes:
        rows: (M,) int64, catalogue rows whose image could be read, ascending.
        descriptors: (M, C) float32 by model name.
        image_digests: (M, 32) uint8, SHA-256 of their image files.
        rejects: the other rows.
        key: digest of all that the block depends on.
    """

    rows: NDArray[np.int64]
    descriptors: Mapping[str, NDArray[np.float32]]
    image_digests: NDArray[np.uint8]
    rejects: tuple[Reject, ...]
    key: str


def write_block(path: Path, block: Block) -> None:
    """Write the file of a block under another name, then rename it; overwrites."""
    rejects = [asdict(reject) for reject in block.rejects]
    arrays = {_array(model): rows for model, rows in block.descriptors.items()}
    scratch = path.with_suffix(".partial")
    with scratch.open("wb") as file:
        np.savez(
            file,
            key=np.frombuffer(block.key.encode(), np.uint8),
            rows=block.rows,
            rejects=np.frombuffer(json.dumps(rejects).encode(), np.uint8),
            image_digests=block.image_digests,
            allow_pickle=False,
            **arrays,
        )
    scratch.replace(path)


def read_block(path: Path, models: Sequence[str]) -> Block:
    """Read the file of a block.

    Args:
        path: the file.
        models: names of the models.

    Raises:
        Exception: of any class, if the file is missing or damaged.
    """
    # np.load closes a file that it opened itself only if it can read it.
    with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
        rejects = json.loads(file["rejects"].tobytes())
        return Block(
            rows=file["rows"],
            descriptors={model: file[_array(model)] for model in models},
            image_digests=file["image_digests"],
            rejects=tuple(Reject(**reject) for reject in rejects),
            key=file["key"].tobytes().decode(),
        )


def _array(model: str) -> str:
    """Name of a model's array in the file; a model may be called ``rows``."""
    return f"descriptors.{model}"
