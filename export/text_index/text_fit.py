"""The fit of a catalogue's texts for a join by several machines (see fit_folder)."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from export.output.finished_folder import damaged_files, write_manifest, written_files
from export.output.folder import output_folder
from export.text_index.fit import fit_texts
from export.text_index.fit_folder import (
    COUNTS_FOLDER,
    FIT_FILE,
    FitManifest,
    fit_settings,
    read_fit,
    texts_digest,
    write_fitted,
)
from export.text_index.pair_join import read_joined_pair
from export.text_index.settings import TextSettings
from retrieval_server.errors import ShardError


@dataclass(frozen=True)
class TextFit:
    """The fit of texts, which runs once.

    Attributes:
        folder: gets the fit, and later what the pairs of shards have in common.
        shards: K, the number of shards.
        settings: the settings of the textual index.
    """

    folder: Path
    shards: int
    settings: TextSettings

    def run(self, descriptions: Sequence[str]) -> tuple[FitManifest, bool]:
        """Fit the texts, unless they are fitted.

        Pairs of shards that are joined stay if they are of the same fit; others are removed.

        Args:
            descriptions: one text for each product of the index.

        Returns:
            The fit, and whether this run made it.

        Raises:
            RetrievalError: if the disk is full, or another process fits in the same folder.
        """
        texts = texts_digest(descriptions)
        with output_folder(self.folder):
            if (finished := self._finished(texts)) is not None:
                return finished, False
            manifest = self._fit(descriptions, texts)
            self._remove_pairs_of_others(manifest)
            return manifest, True

    def _fit(self, descriptions: Sequence[str], texts: str) -> FitManifest:
        (self.folder / FIT_FILE).unlink(missing_ok=True)
        for path in self.folder.glob("vectors-*"):
            path.unlink()
        (self.folder / COUNTS_FOLDER).mkdir(exist_ok=True)
        fitted = fit_texts(descriptions, self.settings, self.folder / COUNTS_FOLDER)
        names = write_fitted(self.folder, fitted, self.shards)
        manifest = FitManifest(
            shards=self.shards,
            settings=fit_settings(self.settings),
            texts=texts,
            products=len(descriptions),
            counts=fitted.counts,
            files=written_files(self.folder, names),
        )
        write_manifest(self.folder / FIT_FILE, manifest.to_json(), manifest.files)
        return manifest

    def _finished(self, texts: str) -> FitManifest | None:
        """The fit that is there, if it is whole and up to date."""
        try:
            manifest = read_fit(self.folder)
        except ShardError:
            return None
        if (
            manifest is None
            or (manifest.shards, manifest.texts) != (self.shards, texts)
            or manifest.settings != fit_settings(self.settings)
            or any(damaged_files(self.folder, manifest.files))
        ):
            return None
        return manifest

    def _remove_pairs_of_others(self, manifest: FitManifest) -> None:
        for path in self.folder.glob("pair-*"):
            try:
                joined = read_joined_pair(path)
            except ShardError:
                joined = None
            if joined is None or joined.fit != manifest.digest:
                shutil.rmtree(path)
