"""Describes one shard of a catalogue; the whole of it is the shard 0 of 1.

Safe to run twice, and after a kill: blocks that are there and fit are kept, and where nothing is
left to do no model is loaded. What an index has described already is taken from there.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from export.dataset.catalogue import Catalogue
from export.descriptors.engine_choice import EngineChoice
from export.descriptors.extract_features import FeatureExtraction
from export.descriptors.finished_shards import FinishedShard
from export.descriptors.known_descriptors import FLOAT32, KnownDescriptors, open_known
from export.descriptors.shard_manifest import (
    PRODUCTS_FILE,
    SHARD_FILE,
    ShardManifest,
    damaged_files,
    read_shard_manifest,
    write_shard_manifest,
    written_files,
)
from export.descriptors.shards import Shard
from export.output.folder import output_folder
from export.progress import progress
from retrieval_server.errors import (
    IndexBundleError,
    ModelMismatchError,
    ModelRepositoryError,
    ShardError,
)
from retrieval_server.index.reference_image import canary_file, canary_image, write_canary
from retrieval_server.models.model_repository import ModelFolder, ModelRepository
from retrieval_server.models.preprocessing import PREPROCESSING
from retrieval_server.models.profile import Profile


def profile_models(repository: Path, profile: Profile) -> tuple[ModelFolder, ...]:
    """The models of a profile, in its order.

    Args:
        repository: the folder with the models.
        profile: the backbones.

    Raises:
        ModelRepositoryError: if one is missing, or they do not fit the profile.
    """
    members = ModelRepository(repository).ensemble(profile.name)
    served = tuple(member.name for member in members)
    if served != profile.models or members[0].side != profile.side:
        raise ModelRepositoryError(
            f"The ensemble {profile.name} in {repository} has the models {list(served)} of side "
            f"{members[0].side}, the profile wants {list(profile.models)} of side {profile.side}. "
            "Export it again with: beauty-export onnx --profile PROFILE"
        )
    return members


@dataclass(frozen=True)
class ExtractedShard:
    """Outcome of the work on a shard.

    Attributes:
        shard: the shard, finished.
        is_new: whether there was anything to do.
        reused: images whose descriptors were taken from an index.
        no_reuse: why nothing could be taken from the index; mostly empty.
    """

    shard: FinishedShard
    is_new: bool
    reused: int = 0
    no_reuse: str = ""


@dataclass(frozen=True)
class ShardExtraction:
    """The work on one shard.

    Attributes:
        catalogue: all products, those of the other shards too.
        shard: which of them.
        profile: the backbones.
        engine: what computes the descriptors.
        folder: of this shard alone.
        reuse: an index from which the descriptors of unchanged images are taken; None for none.
        dtype: of the descriptors that the index to build will store.
    """

    catalogue: Catalogue
    shard: Shard
    profile: Profile
    engine: EngineChoice
    folder: Path
    reuse: Path | None = None
    dtype: str = FLOAT32

    def run(self) -> ExtractedShard:
        """Describe what is not described yet.

        Raises:
            RetrievalError: if the models are missing or do not fit the profile, the engine fails,
                the disk is full, or another process is at work on the same shard.
        """
        extraction = self.features()
        rows = self.shard.rows(self.catalogue)
        with output_folder(self.folder):
            manifest, is_done = self._finished(extraction)
            if manifest is not None and is_done:
                return ExtractedShard(FinishedShard(self.folder, manifest, rows), False)
            (self.folder / SHARD_FILE).unlink(missing_ok=True)
            reused, no_reuse = asyncio.run(self._describe(extraction))
            shard = FinishedShard(self.folder, self._finish(extraction), rows)
            return ExtractedShard(shard, True, reused, no_reuse)

    def features(self) -> FeatureExtraction:
        """The extraction of this shard's part of the catalogue."""
        models = profile_models(self.engine.repository, self.profile)
        return FeatureExtraction(
            catalogue=self.shard.part(self.catalogue),
            profile=self.profile,
            digests={model.name: model.digest for model in models},
            folder=self.folder,
        )

    def _finished(self, extraction: FeatureExtraction) -> tuple[ShardManifest | None, bool]:
        """The manifest, and whether it is of this work; what is damaged is removed."""
        try:
            manifest = read_shard_manifest(self.folder)
        except ShardError:
            return None, False
        if manifest is None:
            return None, False
        damaged = list(damaged_files(self.folder, manifest))
        for path in damaged:
            path.unlink(missing_ok=True)
        is_same = replace(manifest, products=0, rejected=0, files={}) == self._claim(extraction)
        return manifest, is_same and not damaged

    def _claim(self, extraction: FeatureExtraction) -> ShardManifest:
        """The manifest before anything is described."""
        return ShardManifest(
            shard=self.shard,
            models=extraction.digests,
            side=self.profile.side,
            preprocessing=PREPROCESSING,
            source=extraction.key(""),
            products=0,
            rejected=0,
            files={},
        )

    async def _describe(self, extraction: FeatureExtraction) -> tuple[int, str]:
        """Make the blocks, and the descriptors of the canary image.

        Returns:
            How many images an index had described already, and why it was of no use.
        """
        engine = self.engine.open(self.profile.name)
        try:
            image = canary_image(self.profile.side)[None]
            canary = await engine.infer(self.profile.name, image)
            write_canary(self.folder, canary)
            known, no_reuse = self._known(extraction.digests, canary)
            with progress("images", len(extraction.catalogue.rows)) as advance:
                reused = await extraction.run(engine, engine.in_flight, advance, known)
            return reused, no_reuse
        finally:
            await engine.close()

    def _known(
        self, digests: Mapping[str, str], canary: Mapping[str, NDArray[np.float32]]
    ) -> tuple[KnownDescriptors | None, str]:
        """What need not be described again, or why there is nothing."""
        if self.reuse is None:
            return None, ""
        try:
            return open_known(self.reuse, self.profile, digests, canary, self.dtype), ""
        except (IndexBundleError, ModelMismatchError) as error:
            return None, str(error)

    def _finish(self, extraction: FeatureExtraction) -> ShardManifest:
        """Look at every block once more, remove what is of former work, write the manifest."""
        products = rejected = 0
        for block in extraction.blocks():
            products += len(block.rows)
            rejected += len(block.rejects)
        blocks = [extraction.path(number).name for number in range(extraction.block_count)]
        for path in self.folder.glob("block-*"):
            if path.name not in blocks:
                path.unlink()
        rows = [(row.product_id, row.image) for row in extraction.catalogue.rows]
        (self.folder / PRODUCTS_FILE).write_text(json.dumps(rows, ensure_ascii=False), "utf-8")
        canaries = [canary_file(model) for model in self.profile.models]
        files = written_files(self.folder, [*blocks, PRODUCTS_FILE, *canaries])
        manifest = replace(
            self._claim(extraction), products=products, rejected=rejected, files=files
        )
        write_shard_manifest(self.folder, manifest)
        return manifest
