"""The shards merged: their blocks into one array for each model, and what was read, row by row.

The order is that of the catalogue.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from export.dataset.catalogue import Catalogue
from export.descriptors.block import Reject
from export.descriptors.finished_shards import FinishedShard
from retrieval_server.errors import EngineError
from retrieval_server.exact_search.similarity import NORM_TOLERANCE
from retrieval_server.index.descriptors import create_descriptors
from retrieval_server.index.images import IMAGE_DIGEST_BYTES, IMAGE_DIGESTS_FILE
from retrieval_server.models.image_model import ModelFolder
from retrieval_server.text.read_text import NOT_READ

FLOAT32, FLOAT16 = "<f4", "<f2"  # what an index can store


def readable_rows(shards: Sequence[FinishedShard]) -> tuple[NDArray[np.int64], list[Reject]]:
    """Catalogue rows whose image could be read, (M,) int64 ascending, and the other rows.

    Args:
        shards: all shards of a catalogue.
    """
    readable: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    rejects: list[tuple[int, Reject]] = []
    for shard in shards:
        is_readable = np.zeros(len(shard.rows), bool)
        in_shard: list[Reject] = []
        for block in shard.blocks():
            is_readable[block.rows] = True
            in_shard += block.rejects
        readable.append(shard.rows[is_readable])
        rejects += zip(shard.rows[~is_readable].tolist(), in_shard, strict=True)
    rejects.sort(key=lambda entry: entry[0])
    return np.sort(np.concatenate(readable)), [reject for _, reject in rejects]


def write_descriptors(
    folder: Path,
    shards: Sequence[FinishedShard],
    catalogue: Catalogue,
    models: tuple[ModelFolder, ...],
    rows: NDArray[np.int64],
    dtype: str = FLOAT32,
) -> Mapping[str, int]:
    """Write the descriptors of all blocks in the order of the catalogue; overwrites.

    Args:
        folder: gets one file for each model and one with the digests of the images.
        shards: all shards of a catalogue.
        catalogue: the products.
        models: the models of the profile; give the name and the dimension of each file.
        rows: (M,) the rows that ``readable_rows`` returns.
        dtype: ``FLOAT32`` or ``FLOAT16``.

    Returns:
        The number of all-zero descriptors by model name.

    Raises:
        EngineError: if a descriptor is neither of unit L2 norm nor all zero.
    """
    arrays = {
        model.name: create_descriptors(folder, model.name, len(rows), model.dimension, dtype)
        for model in models
    }
    digests = np.empty((len(rows), IMAGE_DIGEST_BYTES), np.uint8)
    zeros = dict.fromkeys(arrays, 0)
    for shard in shards:
        for block in shard.blocks():
            described = shard.rows[block.rows]
            if not len(described):
                continue
            positions = np.searchsorted(rows, described)
            digests[positions] = block.image_digests
            for name, descriptors in block.descriptors.items():
                norms = np.linalg.norm(descriptors, axis=1)
                _check_norms(name, norms, catalogue, described)
                arrays[name][positions] = descriptors
                zeros[name] += int((norms == 0).sum())
    np.save(folder / IMAGE_DIGESTS_FILE, digests)
    return zeros


def merged_words(folder: Path, shards: Sequence[FinishedShard]) -> list[str]:
    """What was read on the image of each row, as an entry of ``text.read_text``.

    Args:
        folder: the folder in which ``write_descriptors`` wrote.
        shards: all shards of a catalogue, whose images were read.
    """
    entries: dict[bytes, str] = {}
    for shard in shards:
        for digest, entry in shard.words().items():
            if entries.get(digest, NOT_READ) == NOT_READ:
                entries[digest] = entry
    return [entries[digest.tobytes()] for digest in np.load(folder / IMAGE_DIGESTS_FILE)]


def _check_norms(
    model: str, norms: NDArray[np.floating], catalogue: Catalogue, rows: NDArray[np.int64]
) -> None:
    unusable = ~((norms == 0) | (np.abs(norms - 1) <= NORM_TOLERANCE))
    if unusable.any():
        raise EngineError(
            f"Model {model} gave {catalogue.rows[rows[unusable][0]].image} a descriptor of L2 norm "
            f"{norms[unusable][0]:.3g} instead of 1. Check its weights, then export it again with: "
            "beauty-export onnx --profile PROFILE"
        )
