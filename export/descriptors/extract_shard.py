"""The extraction of one shard of a catalogue; the whole catalogue is shard 0 of 1.

The extraction can run twice, and resumes after a kill: it keeps every block that is up to date, and
every image that was read. If all are, it loads no model. It reuses the descriptors and the words
that an index has of the same images.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from export.dataset.catalogue import Catalogue
from export.descriptors.engine_choice import EngineChoice
from export.descriptors.extract_features import FeatureExtraction
from export.descriptors.finished_shards import FinishedShard
from export.descriptors.image_reading import ImageReading, chosen_reader
from export.descriptors.merge_blocks import FLOAT32
from export.descriptors.reuse import ReusableDescriptors, open_reusable
from export.descriptors.shard_manifest import (
    PRODUCTS_FILE,
    SHARD_FILE,
    ShardManifest,
    Unread,
    read_shard_manifest,
    write_shard_manifest,
)
from export.descriptors.shards import Shard
from export.descriptors.words_file import words_file
from export.output.finished_folder import damaged_files, written_files
from export.output.folder import output_folder
from export.progress import progress
from retrieval_server.engines.engine import Engine
from retrieval_server.errors import (
    IndexBundleError,
    ModelMismatchError,
    ModelRepositoryError,
    ShardError,
)
from retrieval_server.index.reference_image import reference_file, reference_image, write_reference
from retrieval_server.models.image_model import ModelFolder
from retrieval_server.models.model_repository import ModelRepository
from retrieval_server.models.preprocessing import PREPROCESSING
from retrieval_server.models.profile import Profile
from retrieval_server.models.reader import READER_MODELS


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
    """Outcome of the extraction of a shard.

    Attributes:
        shard: the finished shard.
        is_new: whether this run finished it; False if there was nothing to do.
        reused: number of images whose descriptors come from an index.
        no_reuse: why the index could not be used; empty if it could, or if there is none.
    """

    shard: FinishedShard
    is_new: bool
    reused: int = 0
    no_reuse: str = ""


@dataclass(frozen=True)
class ShardExtraction:
    """The extraction of one shard.

    Attributes:
        catalogue: all products, with those of the other shards.
        shard: which shard to extract.
        profile: the backbones.
        engine: what computes the descriptors.
        folder: the folder of this shard.
        reuse: an index from which the descriptors and the words of unchanged images are taken; None
            for none.
        dtype: what the new index will store; descriptors of another dtype are not reused.
        reads_images: whether to read the words on the images, too.
    """

    catalogue: Catalogue
    shard: Shard
    profile: Profile
    engine: EngineChoice
    folder: Path
    reuse: Path | None = None
    dtype: str = FLOAT32
    reads_images: bool = False

    def run(self) -> ExtractedShard:
        """Describe and read the images that were not yet, and finish the shard.

        Raises:
            RetrievalError: if the models are missing or do not fit the profile, the engine fails,
                the disk is full, or another process works on the same shard.
        """
        extraction = self.features()
        _ = self._reader  # what cannot work is refused before the long work
        rows = self.shard.rows(self.catalogue)
        with output_folder(self.folder):
            if (finished := self._finished(extraction)) is not None:
                return ExtractedShard(FinishedShard(self.folder, finished, rows), False)
            (self.folder / SHARD_FILE).unlink(missing_ok=True)
            reused, no_reuse, unread = asyncio.run(self._describe(extraction))
            shard = FinishedShard(self.folder, self._finish(extraction, unread), rows)
            return ExtractedShard(shard, True, reused, no_reuse)

    def features(self) -> FeatureExtraction:
        """The extraction of this shard's blocks.

        Raises:
            ModelRepositoryError: if the models are missing or do not fit the profile.
        """
        models = profile_models(self.engine.repository, self.profile)
        return FeatureExtraction(
            catalogue=self.shard.part(self.catalogue),
            profile=self.profile,
            digests={model.name: model.digest for model in models},
            folder=self.folder,
            precision=self.engine.precision,
        )

    def source(self) -> str:
        """Digest of all that the shard depends on, with sizes and times of the images.

        Raises:
            ModelRepositoryError: if the models are missing or do not fit the profile.
        """
        return self.features().key(self._reader)

    @cached_property
    def _reader(self) -> str:
        """Digest of the reader; empty if no image is read."""
        return chosen_reader(self.profile, self.engine.repository) if self.reads_images else ""

    def _finished(self, extraction: FeatureExtraction) -> ShardManifest | None:
        """The manifest of the shard, if it is finished and up to date; removes damaged files.

        It is not finished while there are images on which the reader has failed.
        """
        try:
            manifest = read_shard_manifest(self.folder)
        except ShardError:
            return None
        if manifest is None:
            return None
        damaged = list(damaged_files(self.folder, manifest.files))
        for path in damaged:
            path.unlink(missing_ok=True)
        described = replace(manifest, products=0, rejected=0, files={})  # an unread image differs
        return manifest if described == self._source(extraction) and not damaged else None

    def _source(self, extraction: FeatureExtraction) -> ShardManifest:
        """The manifest without what the extraction finds out: counts and files."""
        return ShardManifest(
            shard=self.shard,
            models=extraction.digests,
            side=self.profile.side,
            preprocessing=PREPROCESSING,
            precision=extraction.precision,
            source=extraction.key(self._reader),
            reader=self._reader,
            unread=Unread(),
            products=0,
            rejected=0,
            files={},
        )

    async def _describe(self, extraction: FeatureExtraction) -> tuple[int, str, Unread]:
        """Make the blocks and the descriptors of the reference image, and read the images.

        Returns:
            The number of images with reused descriptors, why the index could not be used, and the
            images on which the reader failed.
        """
        engine = self.engine.open(self.profile.name, READER_MODELS if self._reader else ())
        try:
            image = reference_image(self.profile.side)[None]
            reference = await engine.infer(self.profile.name, image)
            write_reference(self.folder, reference)
            reusable, no_reuse = self._reusable(extraction.digests, reference)
            with progress("images", len(extraction.catalogue.rows)) as advance:
                reused = await extraction.run(engine, engine.in_flight, advance, reusable)
            unread = await self._read(extraction, engine) if self._reader else Unread()
            return reused, no_reuse, unread
        finally:
            await engine.close()

    async def _read(self, extraction: FeatureExtraction, engine: Engine) -> Unread:
        """Read the images that have descriptors, each file once."""
        images: dict[bytes, Path] = {}
        rows = extraction.catalogue.rows
        for block in extraction.blocks():
            for row, digest in zip(block.rows, block.image_digests, strict=True):
                images.setdefault(digest.tobytes(), self.catalogue.image_path(rows[row]))
        reading = ImageReading(self.engine.repository, self._reader, self.folder, self.reuse)
        with progress("words on images", len(images)) as advance:
            return await reading.run(engine, images, advance)

    def _reusable(
        self, digests: Mapping[str, str], reference: Mapping[str, NDArray[np.float32]]
    ) -> tuple[ReusableDescriptors | None, str]:
        """The descriptors that need not be computed again, or why there are none."""
        if self.reuse is None:
            return None, ""
        try:
            precision = self.engine.precision
            return open_reusable(
                self.reuse, self.profile, digests, reference, precision, self.dtype
            ), ""
        except (IndexBundleError, ModelMismatchError) as error:
            return None, str(error)

    def _finish(self, extraction: FeatureExtraction, unread: Unread) -> ShardManifest:
        """Check every block again, remove what an earlier run left, write the manifest.

        What a run with --read-images has read stays for the next one.

        Raises:
            RetrievalError: if an image or a model has changed since its block was made.
        """
        products = rejected = 0
        for block in extraction.blocks():
            products += len(block.rows)
            rejected += len(block.rejects)
        blocks = [extraction.path(number).name for number in range(extraction.block_count)]
        words = [words_file(self._reader)] if self._reader else []
        left = [*self.folder.glob("block-*"), *(self.folder.glob(words_file("*")) if words else ())]
        for path in left:
            if path.name not in (*blocks, *words):
                path.unlink()
        rows = [(row.product_id, row.image) for row in extraction.catalogue.rows]
        (self.folder / PRODUCTS_FILE).write_text(json.dumps(rows, ensure_ascii=False), "utf-8")
        references = [reference_file(model) for model in self.profile.models]
        files = written_files(self.folder, [*blocks, *words, PRODUCTS_FILE, *references])
        manifest = replace(
            self._source(extraction),
            products=products,
            rejected=rejected,
            unread=unread,
            files=files,
        )
        write_shard_manifest(self.folder, manifest)
        return manifest
