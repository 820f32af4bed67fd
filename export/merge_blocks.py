"""From the blocks of a feature extraction to one array for each model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from export.extract_features import Block, FeatureExtraction, Reject
from retrieval_server.errors import EngineError, RetrievalError
from retrieval_server.feature_store import create_descriptors
from retrieval_server.model_repository import ModelFolder
from retrieval_server.similarity import NORM_TOLERANCE


def kept_rows(extraction: FeatureExtraction) -> tuple[NDArray[np.int64], list[Reject]]:
    """Catalogue rows whose image could be read, (M,) int64 ascending, and the other ones.

    Raises:
        RetrievalError: if a block is missing or outdated.
    """
    rows: list[NDArray[np.int64]] = []
    rejects: list[Reject] = []
    for block in read_blocks(extraction):
        rows.append(block.rows)
        rejects += block.rejects
    return np.concatenate(rows), rejects


def write_descriptors(
    folder: Path,
    extraction: FeatureExtraction,
    models: tuple[ModelFolder, ...],
    rows: int,
    dtype: str = "<f4",
) -> Mapping[str, int]:
    """Put the blocks together, in the order of the catalogue.

    Args:
        folder: where each model's file is written; overwrites.
        extraction: all blocks made.
        models: the models, by name and dimension.
        rows: how many rows ``kept_rows`` found.
        dtype: float32 or float16.

    Returns:
        The number of all-zero descriptors by model name.

    Raises:
        RetrievalError: if a block is missing or outdated.
        EngineError: if a descriptor is neither of unit L2 norm nor all zero.
    """
    arrays = {
        model.name: create_descriptors(folder, model.name, rows, model.dimension, dtype)
        for model in models
    }
    zeros = dict.fromkeys(arrays, 0)
    first = 0
    for block in read_blocks(extraction):
        for name, descriptors in block.descriptors.items():
            if len(descriptors):
                norms = np.linalg.norm(descriptors, axis=1)
                unusable = ~((norms == 0) | (np.abs(norms - 1) <= NORM_TOLERANCE))
                if unusable.any():
                    row = extraction.catalogue.rows[block.rows[unusable][0]]
                    raise EngineError(
                        f"Model {name} gave {row.image} a descriptor of L2 norm "
                        f"{norms[unusable][0]:.3g} instead of 1. Check its weights, then export it "
                        "again with: beauty-export onnx --profile PROFILE"
                    )
                arrays[name][first : first + len(descriptors)] = descriptors
                zeros[name] += int((norms == 0).sum())
        first += len(block.rows)
    return zeros


def read_blocks(extraction: FeatureExtraction) -> Iterator[Block]:
    """The blocks of an extraction in order, one at a time.

    Raises:
        RetrievalError: if one is missing or outdated.
    """
    for number in range(extraction.block_count):
        block = extraction.read(number)
        if block is None:
            raise RetrievalError(
                "An image or a model changed during the build. Run the same command again."
            )
        yield block
