"""The bundle of a build: its stages, from the finished shards to the manifest.

The stages that take long are logged when they end, so that the next run of a build that was killed
does not repeat them.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from export.dataset.catalogue import Catalogue
from export.descriptors.finished_shards import FinishedShard
from export.descriptors.merge_blocks import merged_words, readable_rows, write_descriptors
from export.descriptors.shard_manifest import all_unread
from export.index.products import write_products
from export.index.search_levels import build_search_levels
from export.index.stage_log import StageLog, file_names
from export.index.words import write_words
from export.models.onnx_metadata import read_metadata
from export.progress import progress
from export.text_index.build import TextIndexReport, build_text_index
from export.text_index.joined_texts import JoinedTexts
from export.text_index.settings import TextSettings
from retrieval_server.errors import CatalogueError
from retrieval_server.index.manifest import IndexedModel, Manifest
from retrieval_server.index.reference_image import write_reference
from retrieval_server.models.image_model import ModelFolder
from retrieval_server.models.preprocessing import PREPROCESSING
from retrieval_server.models.profile import Profile

STAGES_FILE = "stages.jsonl"
DESCRIPTORS_STAGE, LEVELS_STAGE = "descriptors", "levels"


@dataclass(frozen=True, kw_only=True)
class Assembly:
    """Makes the files of a bundle.

    Attributes:
        catalogue: the products.
        profile: backbones, side and default α.
        models: the models of the profile, in its order.
        text: settings of the textual index.
        word_columns: columns whose values are searched by words like the description.
        dtype: of the stored descriptors.
        reader: digest of what has read the words on the images; empty for a bundle without.
        joined_texts: the texts, if several machines have joined them; None joins them here.
        scratch: folder of the build, in which the bundle is made.
    """

    catalogue: Catalogue
    profile: Profile
    models: tuple[ModelFolder, ...]
    text: TextSettings
    word_columns: tuple[str, ...]
    dtype: str
    reader: str
    joined_texts: JoinedTexts | None
    scratch: Path

    @property
    def folder(self) -> Path:
        """The folder of the bundle."""
        return self.scratch / "bundle"

    def run(self, shards: Sequence[FinishedShard], source: str) -> Manifest:
        """Make every file but the manifest, or those that an interrupted build has not made.

        Args:
            shards: the described images.
            source: digest of all that the bundle depends on.

        Returns:
            The manifest, to seal the folder with.

        Raises:
            CatalogueError: if no image can be read.
            ShardError: if the texts that were joined are those of other products, or damaged.
        """
        self.scratch.mkdir(exist_ok=True)
        log = StageLog(self.scratch / STAGES_FILE, source)
        _resume(self.folder, log)
        rows, rejects = readable_rows(shards)
        if not len(rows):
            raise CatalogueError(
                f"None of the {len(self.catalogue.rows):,} images of {self.catalogue.path} could "
                f"be read; the first: {rejects[0].image} {rejects[0].reason}"
            )
        products = [self.catalogue.rows[row] for row in rows]
        descriptions = [product.description for product in products]
        if self.joined_texts is not None:
            self.joined_texts.check_texts(descriptions)
        if finished := log.find(DESCRIPTORS_STAGE):
            zeros = finished[-1]["zeros"]
        else:
            zeros = write_descriptors(
                self.folder, shards, self.catalogue, self.models, rows, self.dtype
            )
            log.add(DESCRIPTORS_STAGE, zeros=zeros, files=file_names(self.folder))
        search = build_search_levels(self.folder, self.profile.alphas, log)
        log.add(LEVELS_STAGE, files=file_names(self.folder))
        references = shards[0].reference_descriptors()
        write_reference(self.folder, {model: row[None] for model, row in references.items()})
        words = write_words(
            self.folder,
            products,
            self.word_columns,
            log,
            reader=self.reader,
            read=partial(merged_words, self.folder, shards),
            unread=all_unread(shard.manifest for shard in shards).count,
        )
        columns = write_products(self.folder, products, self.catalogue.columns, rejects)
        report = self._write_text_index(descriptions)
        return Manifest(
            profile=self.profile,
            models=_indexed_models(self.models, zeros),
            preprocessing=PREPROCESSING,
            precision=_precision(shards),
            products=len(products),
            rejected=len(rejects),
            documents=report.documents,
            text_pairs=report.sizes.neighbours,
            text=self.text.to_json() | report.to_json(),
            words=words,
            columns=columns,
            search=search,
        )

    def _write_text_index(self, descriptions: Sequence[str]) -> TextIndexReport:
        if self.joined_texts is not None:
            return self.joined_texts.write(descriptions, self.folder, self.text.max_neighbours)
        with progress("descriptions", len(descriptions)) as advance:
            return build_text_index(descriptions, self.text, self.folder, advance)


def _indexed_models(
    models: Sequence[ModelFolder], zeros: Mapping[str, int]
) -> dict[str, IndexedModel]:
    return {
        model.name: IndexedModel(
            model.digest,
            model.dimension,
            read_metadata(model.onnx_path).get("weights", "unknown"),
            zeros[model.name],
        )
        for model in models
    }


def _precision(shards: Sequence[FinishedShard]) -> str | None:
    """What computed all shards; None if a Triton computed some of them, with the same result."""
    first, *others = {shard.manifest.precision for shard in shards}
    return None if others else first


def _resume(folder: Path, log: StageLog) -> None:
    """Prepare the folder of a bundle: keep the files of the finished stages, remove the others.

    Where a file of a finished stage is missing, the build starts again with an empty folder.
    """
    present = set(file_names(folder)) if folder.is_dir() else set()
    if not log.find(DESCRIPTORS_STAGE) or log.files - present:
        log.clear()
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    elif log.find(LEVELS_STAGE):  # later stages leave no entry: the build runs them again
        for name in present - log.files:
            (folder / name).unlink()
