"""The build of an index from a catalogue: describe, encode, index the texts, seal, publish.

A build works in ``<index>/.building``. The same command resumes a build that was killed. The
finished version gets its name in one step, so no reader sees an incomplete one.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from export.dataset.catalogue import Catalogue
from export.descriptors.engine_choice import EngineChoice
from export.descriptors.extract_shard import ShardExtraction, profile_models
from export.descriptors.finished_shards import (
    FinishedShard,
    check_reader,
    finished_manifests,
    open_shards,
    remove_shards,
    shards_reader,
)
from export.descriptors.image_reading import chosen_reader
from export.descriptors.merge_blocks import FLOAT16, FLOAT32
from export.descriptors.shard_manifest import ShardManifest, Unread, all_unread
from export.descriptors.shards import WHOLE
from export.index.assembly import Assembly
from export.index.carried_calibration import CarriedCalibration, carry_calibration
from export.index.last_build import LastBuild, read_last_build, write_last_build
from export.index.taken_changes import TakenChanges, check_upserts, write_taken
from export.index.words import word_columns
from export.output.folder import output_folder
from export.text_index.joined_texts import JoinedTexts, open_joined_texts, remove_joined_texts
from export.text_index.settings import TextSettings
from retrieval_server.index.loss import DEFAULT_MAX_LOSS
from retrieval_server.index.manifest import Manifest
from retrieval_server.index.publish import is_intact, publish, readable_current, seal, store
from retrieval_server.index.retention import Retention, remove_old_versions
from retrieval_server.models.image_model import ModelFolder
from retrieval_server.models.profile import Profile
from retrieval_server.text.grams import GRAMS


@dataclass(frozen=True)
class BuiltIndex:
    """Outcome of a build.

    Attributes:
        folder: the version's folder.
        manifest: the version's manifest; None if it had been built before.
        reused: number of images whose descriptors come from the version that was current.
        no_reuse: why that version could not be used; empty if it could, or if there was none.
        unread: the images on which the reader failed.
        published: whether this run made the version current.
        retention: the old versions that were removed, and those that could not be.
        calibration: what has become of the calibration of the version that was current; None if it
            had none, or nothing was built.
    """

    folder: Path
    manifest: Manifest | None
    reused: int = 0
    no_reuse: str = ""
    unread: Unread = field(default_factory=Unread)
    published: bool = True
    retention: Retention = field(default_factory=Retention)
    calibration: CarriedCalibration | None = None


@dataclass(frozen=True)
class IndexBuild:
    """One build of an index.

    Attributes:
        catalogue: the products.
        profile: backbones, side and default α.
        engine: what computes the descriptors.
        root: the index folder to publish in.
        text: settings of the textual index.
        word_columns: columns whose values are searched by words like the description; None takes
            the brand.
        half_precision: whether to store float16 descriptors; the ranking is exact for these.
        from_shards: folder of finished shards; None describes the images in this build.
        shard_count: how many shards there are; None takes the only count that the folder holds.
        joined_texts: folder of texts that several machines have joined; None joins them in this
            build.
        reuse: whether to reuse the descriptors of unchanged images from the current version.
        max_loss: the largest share of the current version that the new one may lose.
        reads_images: whether to read the words on the images, for queries with words; None takes
            what the shards have, and reads none without shards.
        keep_versions: how many versions stay in the index folder; None for all.
        removes_shards: whether to remove the shards, and the texts that were joined, once the index
            is current.
    """

    catalogue: Catalogue
    profile: Profile
    engine: EngineChoice
    root: Path
    text: TextSettings = field(default_factory=TextSettings)
    word_columns: tuple[str, ...] | None = None
    half_precision: bool = False
    from_shards: Path | None = None
    shard_count: int | None = None
    joined_texts: Path | None = None
    reuse: bool = True
    max_loss: float = DEFAULT_MAX_LOSS
    reads_images: bool | None = None
    keep_versions: int | None = None
    removes_shards: bool = False

    def run(self) -> BuiltIndex:
        """Build the index, or resume a build that was interrupted.

        Old versions are removed before the build, to make room, and after it. The version that the
        new one replaces stays until the next build: servers have yet to change to the new one.

        Raises:
            IndexLossError: if the finished version has lost more than ``max_loss``; it is stored
                in the index folder, and the current version stays current. Nothing is built if the
                catalogue lacks products that were upserted.
            RetrievalError: if the models are missing or do not fit the profile, the engine
                fails, a shard is refused, no image can be read, the disk is full, or another build
                works in the same folder.
        """
        models = profile_models(self.engine.repository, self.profile)
        _ = self._word_columns  # what cannot work is refused before the long work
        if self.reads_images:
            chosen_reader(self.profile, self.engine.repository)
        with output_folder(self.root):
            replaced = readable_current(self.root)
            if replaced is not None:
                check_upserts(self.catalogue, self.root / replaced, self.max_loss)
            before = self._remove_old_versions()
            if self.from_shards is None:
                built = self._build_from_images(models)
            else:
                built = self._build_from_shards(self.from_shards, models)
            if self.removes_shards and self.joined_texts is not None:
                remove_joined_texts(self.joined_texts)
            write_taken(built.folder, TakenChanges())
            after = self._remove_old_versions(replaced)
            return replace(built, retention=before.followed_by(after))

    def _remove_old_versions(self, replaced: str | None = None) -> Retention:
        """Remove old versions, but neither a replaced one nor one that waits to be published."""
        if self.keep_versions is None:
            return Retention()
        last = read_last_build(self.root)
        spared = {replaced, None if last is None else last.version}
        return remove_old_versions(self.root, self.keep_versions, spared)

    def _build_from_images(self, models: tuple[ModelFolder, ...]) -> BuiltIndex:
        extraction = ShardExtraction(
            catalogue=self.catalogue,
            shard=WHOLE,
            profile=self.profile,
            engine=self.engine,
            folder=self._scratch / "blocks",
            reuse=self.root if self.reuse else None,
            dtype=self.dtype,
            reads_images=bool(self.reads_images),
        )
        source = self._source_key(extraction.source(), has_words=bool(self.reads_images))
        if (existing := self._existing(source)) is not None:
            return existing
        texts = self._joined_texts()
        extracted = extraction.run()
        reader = extracted.shard.manifest.reader
        built = self._assemble([extracted.shard], models, source, reader, texts)
        return replace(built, reused=extracted.reused, no_reuse=extracted.no_reuse)

    def _build_from_shards(self, folder: Path, models: tuple[ModelFolder, ...]) -> BuiltIndex:
        manifests = finished_manifests(folder, self.shard_count)
        described = [manifest.to_json() for manifest in manifests]
        reader = self._reader_of(folder, manifests)
        source = self._source_key(json.dumps(described, sort_keys=True), has_words=bool(reader))
        built = self._existing(source)
        if built is None:
            texts = self._joined_texts()
            digests = {model.name: model.digest for model in models}
            shards = open_shards(folder, manifests, self.catalogue, digests, self.profile.side)
            built = self._assemble(shards, models, source, reader, texts)
        if self.removes_shards:
            remove_shards(folder, manifests)
        return built

    def _joined_texts(self) -> JoinedTexts | None:
        folder = self.joined_texts
        return None if folder is None else open_joined_texts(folder, self.text)

    def _reader_of(self, folder: Path, manifests: Sequence[ShardManifest]) -> str:
        """Digest of the reader of shards; empty if the index gets no words from them."""
        if self.reads_images is False:
            return ""
        if self.reads_images is None and not shards_reader(folder, manifests):
            return ""
        reader = chosen_reader(self.profile, self.engine.repository)
        check_reader(folder, manifests, reader)
        return reader

    @property
    def dtype(self) -> str:
        """The dtype of the stored descriptors."""
        return FLOAT16 if self.half_precision else FLOAT32

    @cached_property
    def _word_columns(self) -> tuple[str, ...]:
        return word_columns(self.catalogue, self.word_columns)

    @property
    def _scratch(self) -> Path:
        return self.root / ".building"

    def _assemble(
        self,
        shards: Sequence[FinishedShard],
        models: tuple[ModelFolder, ...],
        source: str,
        reader: str,
        joined_texts: JoinedTexts | None,
    ) -> BuiltIndex:
        assembly = Assembly(
            catalogue=self.catalogue,
            profile=self.profile,
            models=models,
            text=self.text,
            word_columns=self._word_columns,
            dtype=self.dtype,
            reader=reader,
            joined_texts=joined_texts,
            scratch=self._scratch,
        )
        manifest = assembly.run(shards, source)
        calibration = carry_calibration(self.root, assembly.folder, manifest)
        version = seal(assembly.folder, manifest)
        stored = store(assembly.folder, self.root, version)
        write_last_build(self.root, LastBuild(source, version))
        shutil.rmtree(self._scratch)
        publish(self.root, version, self.max_loss)
        unread = all_unread(shard.manifest for shard in shards if reader)
        return BuiltIndex(stored, manifest, unread=unread, calibration=calibration)

    def _source_key(self, images: str, *, has_words: bool) -> str:
        """Digest of all that the bundle depends on, to tell whether a version is up to date.

        Args:
            images: what the descriptors depend on, and what was read.
            has_words: whether the bundle gets what was read.
        """
        parameters = {
            "profile": self.profile.to_json(),
            "text": self.text.to_json(),
            "words": [GRAMS, *self._word_columns],
            "columns": self.catalogue.columns,
            "has_words": has_words,
            "dtype": self.dtype,
        }
        source = hashlib.sha256(json.dumps([images, parameters]).encode())
        for row in self.catalogue.rows:
            product = (row.product_id, row.image, row.description, row.attributes)
            source.update(json.dumps(product).encode())
        return source.hexdigest()

    def _existing(self, source: str) -> BuiltIndex | None:
        """The version that this build would make, now current; None if it is not intact."""
        last = read_last_build(self.root)
        if last is None or last.source != source:
            return None
        folder = self.root / last.version
        if not is_intact(folder):
            return None
        shutil.rmtree(self._scratch, ignore_errors=True)  # of a build that was killed at its end
        published = publish(self.root, folder.name, self.max_loss)
        return BuiltIndex(folder, None, published=published)
