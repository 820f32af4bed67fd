"""Descriptors of images by several poolings; a backbone runs once for each image.

The backbone takes most of the time, so one graph computes the descriptors of all missing poolings.
A cache on disk keeps them. Its key is a digest of the images (size and modification time), the
weights, the normalisation and the side. A run that was killed resumes after its last block.

::

    <cache>/<network>-<side>-<key>/
      rows.npy                          rows of the images that could be read
      descriptors.<pooling>-p<p>.npy    (M, C) float32; renamed into place when complete
    <cache>/<network>-<side>.sweep/     model and blocks of a run that has not finished
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from export.dataset.catalogue import Catalogue
from export.descriptors.engine_choice import EngineChoice
from export.descriptors.extract_features import FeatureExtraction
from export.models.backbones import LoadedBackbone, WeightsChoice, load_backbone, weights_digest
from export.models.model_configs import (
    backbone_config,
    ensemble_config,
    write_config,
    write_model_configs,
)
from export.models.onnx_metadata import read_metadata
from export.models.pooling_choice import PoolingChoice
from export.models.to_onnx import write_onnx
from export.output.folder import lock_folder
from export.progress import Advance
from export.tuning.sweep_encoder import build_sweep_encoder
from retrieval_server.errors import EngineError
from retrieval_server.exact_search.similarity import NORM_TOLERANCE
from retrieval_server.index.descriptors import create_descriptors, descriptor_file, open_descriptors
from retrieval_server.models.model_repository import CONFIG_FILE, MODEL_FILE, ModelRepository
from retrieval_server.models.profile import Backbone, Profile

ROWS_FILE = "rows.npy"
SWEEP = "1"  # raise it when the same settings give other descriptors
CACHE_IN_USE = "Wait for it, or choose another --cache."
_ENSEMBLE = "sweep"
_BLOCKS = "blocks"


@dataclass(frozen=True)
class DescribedImages:
    """Descriptors of images by one backbone at one side.

    Attributes:
        rows: (M,) int64, rows of the catalogue whose image could be read, ascending.
        descriptors: (M, C) float32 by pooling, rows of unit L2 norm or all zero.
    """

    rows: NDArray[np.int64]
    descriptors: Mapping[PoolingChoice, NDArray[np.float32]]


class PoolingSweep:
    """Describes images, or reads the descriptors of an earlier run from its cache.

    Args:
        cache: folder that keeps the descriptors.
        choices: sources of weights that replace those of the backbones, by model name.
    """

    def __init__(self, cache: Path, choices: Mapping[str, WeightsChoice]) -> None:
        self._cache = cache
        self._choices = choices
        self._networks: dict[str, tuple[LoadedBackbone, str]] = {}

    def describe(
        self,
        catalogues: Sequence[Catalogue],
        backbone: Backbone,
        side: int,
        poolings: Sequence[PoolingChoice],
        advance: Advance,
        white_out_p: float | None = None,
    ) -> list[DescribedImages]:
        """Describe the images of catalogues.

        Args:
            catalogues: name the images; their texts are not used.
            backbone: the network; its own pooling is not used.
            side: height and width of the images, in pixels.
            poolings: one or more, distinct.
            advance: told the number of images finished, all of them in the end.
            white_out_p: as for ``sweep_encoder.SweepEncoder``.

        Raises:
            RetrievalError: if weights are missing, the side is too small for a pooling, a model
                computes no unit vectors, or another run works in the same cache.
            OSError: if the disk is full.
        """
        self._cache.mkdir(parents=True, exist_ok=True)
        with lock_folder(self._cache, CACHE_IN_USE):
            return self._describe(catalogues, backbone, side, poolings, advance, white_out_p)

    def _describe(
        self,
        catalogues: Sequence[Catalogue],
        backbone: Backbone,
        side: int,
        poolings: Sequence[PoolingChoice],
        advance: Advance,
        white_out_p: float | None,
    ) -> list[DescribedImages]:
        loaded, digest = self._network(backbone)
        profile = Profile(name=_ENSEMBLE, side=side, backbones=(replace(backbone, alpha=1.0),))
        network = re.sub("[^A-Za-z0-9_.]+", "-", backbone.timm_name)
        stem = f"{network}-{side}"
        folders, missing = [], []
        for catalogue in catalogues:
            extraction = FeatureExtraction(catalogue, profile, {"network": digest}, self._cache)
            key = extraction.key(json.dumps([SWEEP, white_out_p]))
            folder = self._cache / f"{stem}-{key[:16]}"
            absent = [p for p in poolings if not (folder / descriptor_file(p.label)).is_file()]
            folders.append(folder)
            missing.append(absent)
        wanted = [p for p in poolings if any(p in absent for absent in missing)]
        run = _SweepRun(self._cache / f"{stem}.sweep", profile, wanted, white_out_p, digest)
        if wanted:
            run.export(loaded)
        for catalogue, folder, absent in zip(catalogues, folders, missing, strict=True):
            if absent:
                run.describe(catalogue, folder, advance)
            else:
                advance(len(catalogue.rows))
        shutil.rmtree(run.scratch, ignore_errors=True)
        return [
            DescribedImages(
                np.load(folder / ROWS_FILE),
                {p: open_descriptors(folder, p.label) for p in poolings},
            )
            for folder in folders
        ]

    def _network(self, backbone: Backbone) -> tuple[LoadedBackbone, str]:
        """The loaded backbone and the digest of its weights."""
        if backbone.model not in self._networks:
            choice = self._choices.get(backbone.model, WeightsChoice())
            loaded = load_backbone(backbone, choice)
            self._networks[backbone.model] = (loaded, weights_digest(loaded))
        return self._networks[backbone.model]


@dataclass(frozen=True)
class _SweepRun:
    """One run of a backbone over images, for the poolings that the cache lacks."""

    scratch: Path
    profile: Profile
    poolings: Sequence[PoolingChoice]
    white_out_p: float | None
    digest: str

    def export(self, loaded: LoadedBackbone) -> None:
        """Write the ONNX graph of all the poolings, unless an earlier run has."""
        metadata = {"source": json.dumps([self._source, self.white_out_p])}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if self._path.is_file() and read_metadata(self._path) == metadata:
            return
        shutil.rmtree(self.scratch / _BLOCKS, ignore_errors=True)  # they are of another graph
        (backbone,) = self.profile.backbones
        side = self.profile.side
        encoder = build_sweep_encoder(backbone, side, loaded, self.poolings, self.white_out_p)
        partial = self._path.with_suffix(".partial")
        dimension = write_onnx(encoder, side, partial, metadata)
        write_model_configs(
            self._repository / backbone.model, backbone_config(backbone, side, dimension)
        )
        ensemble = self._repository / self.profile.name
        (ensemble / "1").mkdir(parents=True, exist_ok=True)
        dimensions = {backbone.model: dimension}
        write_config(ensemble / CONFIG_FILE, ensemble_config(self.profile, dimensions))
        partial.replace(self._path)

    def describe(self, catalogue: Catalogue, folder: Path, advance: Advance) -> None:
        """Write the descriptors of a catalogue's images to a folder."""
        extraction = FeatureExtraction(
            catalogue, self.profile, self._source, self.scratch / _BLOCKS / folder.name
        )
        asyncio.run(self._extract(extraction, advance))
        folder.mkdir(exist_ok=True)
        self._write(extraction, folder)

    @property
    def _source(self) -> dict[str, str]:
        """All that the descriptors depend on, except the images."""
        labels = " ".join(pooling.label for pooling in self.poolings)
        return {"network": self.digest, "poolings": labels}

    @property
    def _repository(self) -> Path:
        return self.scratch / "model_repository"

    @property
    def _path(self) -> Path:
        return self._repository / self.profile.models[0] / "1" / MODEL_FILE

    async def _extract(self, extraction: FeatureExtraction, advance: Advance) -> None:
        engine = EngineChoice(self._repository).open(self.profile.name)
        try:
            await extraction.run(engine, engine.in_flight, advance)
        finally:
            await engine.close()

    def _write(self, extraction: FeatureExtraction, folder: Path) -> None:
        """Merge the blocks into one file for each pooling."""
        rows = np.concatenate([block.rows for block in extraction.blocks()])
        (model,) = ModelRepository(self._repository).ensemble(self.profile.name)
        dimension = model.dimension // len(self.poolings)
        arrays = [
            create_descriptors(self.scratch, pooling.label, len(rows), dimension)
            for pooling in self.poolings
        ]
        first = 0
        for block in extraction.blocks():
            described = block.descriptors[model.name].reshape(len(block.rows), -1, dimension)
            norms = np.linalg.norm(described, axis=-1)
            if not ((norms == 0) | (np.abs(norms - 1) <= NORM_TOLERANCE)).all():
                raise EngineError(
                    f"{model.name} gave a descriptor whose L2 norm is not 1. Check its weights."
                )
            for position, array in enumerate(arrays):
                array[first : first + len(block.rows)] = described[:, position]
            first += len(block.rows)
        np.save(self.scratch / ROWS_FILE, rows)
        for file in (ROWS_FILE, *(descriptor_file(pooling.label) for pooling in self.poolings)):
            (self.scratch / file).replace(folder / file)
