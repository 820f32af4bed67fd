"""From a catalogue to a version of the index: describe, join the texts, seal, publish.

All work happens in ``<index>/.building``; a run that was killed is taken up again by the same
command. The finished version appears under its name at once, whole.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from export.build_search_levels import build_search_levels
from export.build_text_index import build_text_index
from export.catalogue import Catalogue, CatalogueRow
from export.extract_features import FeatureExtraction, Reject
from export.folder_lock import lock_folder
from export.merge_blocks import kept_rows, write_descriptors
from export.onnx_metadata import read_metadata
from export.progress import progress
from export.text_settings import TextSettings
from retrieval_server.canary import canary_image, write_canary
from retrieval_server.engines import TritonConnection, create_engine
from retrieval_server.errors import (
    CatalogueError,
    ModelRepositoryError,
    RetrievalError,
)
from retrieval_server.index_bundle import (
    ID_ORDER_FILE,
    REJECTS_FILE,
    is_intact,
    make_current,
    publish,
    seal,
)
from retrieval_server.manifest import IndexedModel, Manifest
from retrieval_server.model_repository import ModelFolder, ModelRepository
from retrieval_server.preprocessing import PREPROCESSING
from retrieval_server.profile import Profile
from retrieval_server.settings import available_cores
from retrieval_server.string_table import write_string_table


@dataclass(frozen=True)
class BuiltIndex:
    """Outcome of a build.

    Attributes:
        folder: the version's folder.
        manifest: what it was built from; None if there was nothing to do.
        warnings: about its descriptions; mostly empty.
    """

    folder: Path
    manifest: Manifest | None
    warnings: Sequence[str] = ()


@dataclass(frozen=True)
class IndexBuild:
    """One build of an index.

    Attributes:
        catalogue: the products.
        profile: backbones, side and default α.
        model_repository: the folder with the profile's models.
        root: the index folder to publish in.
        engine: what computes the descriptors.
        text: how the textual index is made.
        triton: where Triton is, for the engine ``triton``.
        half_precision: store the descriptors as float16; the ranking is exact for those.
    """

    catalogue: Catalogue
    profile: Profile
    model_repository: Path
    root: Path
    engine: str = "embedded"
    text: TextSettings = field(default_factory=TextSettings)
    triton: TritonConnection | None = None
    half_precision: bool = False

    def run(self) -> BuiltIndex:
        """Build the index, or take up a build that was interrupted.

        Raises:
            RetrievalError: if the models are missing or do not fit the profile, the engine
                fails, no image can be read, the disk is full, or another build is at work in the
                same folder.
        """
        models = self._models()
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with lock_folder(self.root, "Wait for it, or choose another --output."):
                return self._build(models)
        except OSError as error:
            raise RetrievalError(
                f"Cannot write the index {self.root}: {error.strerror or error}. Mend that and run "
                "the same command again; what is finished is kept."
            ) from error

    def _build(self, models: tuple[ModelFolder, ...]) -> BuiltIndex:
        extraction = FeatureExtraction(
            catalogue=self.catalogue,
            profile=self.profile,
            digests={model.name: model.digest for model in models},
            folder=self._scratch / "blocks",
        )
        source = self._source_key(extraction)
        if (built := self._already_built(source)) is not None:
            make_current(self.root, built.name)
            shutil.rmtree(self._scratch, ignore_errors=True)  # of a run killed at its very end
            return BuiltIndex(built, None)
        canary = asyncio.run(self._extract(extraction))
        return self._assemble(extraction, models, canary, source)

    @property
    def dtype(self) -> str:
        """Of the stored descriptors."""
        return "<f2" if self.half_precision else "<f4"

    @property
    def _scratch(self) -> Path:
        return self.root / ".building"

    def _models(self) -> tuple[ModelFolder, ...]:
        members = ModelRepository(self.model_repository).ensemble(self.profile.name)
        served = tuple(member.name for member in members)
        if served != self.profile.models or members[0].side != self.profile.side:
            raise ModelRepositoryError(
                f"The ensemble {self.profile.name} in {self.model_repository} has the models "
                f"{list(served)} of side {members[0].side}, the profile wants "
                f"{list(self.profile.models)} of side {self.profile.side}. "
                "Export it again with: beauty-export onnx --profile PROFILE"
            )
        return members

    async def _extract(self, extraction: FeatureExtraction) -> Mapping[str, NDArray[np.float32]]:
        """Make the blocks; return the canary's descriptors (1, C) by model name."""
        cores = available_cores()
        engine = create_engine(
            self.engine,
            self.model_repository,
            self.profile.name,
            workers=cores,
            threads_per_run=1,
            triton=self.triton,
        )
        try:
            with progress("images", len(self.catalogue.rows)) as advance:
                await extraction.run(engine, engine.in_flight, advance)
            return await engine.infer(self.profile.name, canary_image(self.profile.side)[None])
        finally:
            await engine.close()

    def _assemble(
        self,
        extraction: FeatureExtraction,
        models: tuple[ModelFolder, ...],
        canary: Mapping[str, NDArray[np.float32]],
        source: str,
    ) -> BuiltIndex:
        folder = self._scratch / "bundle"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        rows, rejects = kept_rows(extraction)
        if not len(rows):
            raise CatalogueError(
                f"None of the {len(self.catalogue.rows):,} images of {self.catalogue.path} could "
                f"be read; the first: {rejects[0].image} {rejects[0].reason}"
            )
        zeros = write_descriptors(folder, extraction, models, len(rows), self.dtype)
        search = build_search_levels(folder, self.profile.alphas)
        write_canary(folder, canary)
        products = [self.catalogue.rows[row] for row in rows]
        _write_products(folder, products, rejects)
        with progress("descriptions", len(products)) as advance:
            report = build_text_index(
                [product.description for product in products], self.text, folder, advance
            )
        manifest = Manifest(
            profile=self.profile,
            models={
                model.name: IndexedModel(
                    model.digest,
                    model.dimension,
                    read_metadata(model.onnx_path).get("weights", "unknown"),
                    zeros[model.name],
                )
                for model in models
            },
            preprocessing=PREPROCESSING,
            products=len(products),
            rejected=len(rejects),
            documents=report.documents,
            text_pairs=report.sizes.neighbours,
            text=self.text.to_json() | report.to_json(),
            search=search,
        )
        version = seal(folder, manifest)
        published = publish(folder, self.root, version)
        self._built_file.write_text(json.dumps({"source": source, "version": version}))
        shutil.rmtree(self._scratch)
        return BuiltIndex(published, manifest, report.warnings)

    @property
    def _built_file(self) -> Path:
        return self.root / ".built.json"

    def _source_key(self, extraction: FeatureExtraction) -> str:
        """All that the bundle depends on, for the question whether there is anything to do."""
        parameters = {
            "profile": self.profile.to_json(),
            "text": self.text.to_json(),
            "dtype": self.dtype,
        }
        texts = [(row.description, row.attributes) for row in self.catalogue.rows]
        return extraction.key(json.dumps([parameters, texts]))

    def _already_built(self, source: str) -> Path | None:
        """The version that this build would make, if it is there and intact."""
        try:
            built = json.loads(self._built_file.read_text())
            folder = self.root / built["version"]
            is_same = built["source"] == source
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return folder if is_same and is_intact(folder) else None


def _write_products(folder: Path, products: list[CatalogueRow], rejects: list[Reject]) -> None:
    write_string_table(folder, "ids", [product.product_id for product in products])
    write_string_table(folder, "descriptions", [product.description for product in products])
    write_string_table(folder, "images", [product.image for product in products])
    write_string_table(
        folder,
        "attributes",
        [json.dumps(product.attributes, ensure_ascii=False) for product in products],
    )
    order = sorted(range(len(products)), key=lambda row: products[row].product_id.encode())
    np.save(folder / ID_ORDER_FILE, np.array(order, dtype=np.int32))
    lines = [json.dumps(asdict(reject), ensure_ascii=False) + "\n" for reject in rejects]
    (folder / REJECTS_FILE).write_text("".join(lines), encoding="utf-8")
