"""What an index knows of the image files: their descriptors, their digests, the words on them.

A build takes this over for every image that has not changed. An index of a former format has it
too, in the same files, so a new format does not have the images described again.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Collection, Iterable
from pathlib import Path

import numpy as np

from retrieval_server.errors import IndexBundleError
from retrieval_server.index.descriptors import descriptor_file, open_descriptors
from retrieval_server.index.manifest import (
    FORMAT_VERSION,
    MANIFEST_FILE,
    Manifest,
    has_its_digest,
    read_manifest,
)
from retrieval_server.index.reference_image import open_reference
from retrieval_server.index.version_lock import share_version
from retrieval_server.models.preprocessing import PREPROCESSING
from retrieval_server.storage.arrays import REBUILD, open_array
from retrieval_server.storage.digest import file_digest
from retrieval_server.storage.string_table import StringTable, table_files
from retrieval_server.text.read_text import NOT_READ, READ_TABLE, ReadText, decode_read

IMAGE_DIGESTS_FILE, IMAGE_DIGEST_BYTES = "image_digests.npy", 32


class IndexedImages:
    """The images of a version of the index; no build removes the version while it is open.

    Args:
        folder: the version's folder.
        oldest: the oldest format that will do.

    Raises:
        IndexBundleError: if the version is missing, damaged, of another format, or being removed.
    """

    def __init__(self, folder: Path, oldest: int = FORMAT_VERSION) -> None:
        self.folder = folder
        weakref.finalize(self, os.close, share_version(folder))
        self.version = folder.resolve().name
        self.manifest, self._files = read_manifest(folder, oldest)
        check_preprocessing(self.manifest, str(folder))
        self._check_sizes()
        self.profile = self.manifest.profile
        self.descriptors = tuple(open_descriptors(folder, m) for m in self.profile.models)
        self.reference_descriptors = open_reference(folder, self.profile.models)
        self.image_digests = open_array(folder / IMAGE_DIGESTS_FILE, np.uint8, 2)
        self._read = StringTable(folder, READ_TABLE) if self.manifest.words.reader else None
        self._check_images()

    def __len__(self) -> int:
        return self.manifest.products

    @property
    def image_files(self) -> list[str]:
        """The names of the files that are read here, but for the words on the images."""
        return [IMAGE_DIGESTS_FILE, *map(descriptor_file, self.profile.models)]

    @property
    def word_files(self) -> list[str]:
        """The names of the files that say what was read on which image."""
        return [IMAGE_DIGESTS_FILE, *table_files(READ_TABLE)]

    def read(self, row: int) -> tuple[ReadText, ...]:
        """What was read on the image of a row; nothing in an index whose images were not read."""
        return decode_read(self.read_entry(row))

    def lines_read(self, rows: Iterable[int]) -> dict[int, tuple[ReadText, ...]]:
        """What was read on the images of some rows, by row; see ``read``."""
        return {row: self.read(row) for row in rows}

    def read_entries(self, rows: Iterable[int]) -> dict[int, str]:
        """The entries of some rows, by row; see ``read_entry``."""
        return {row: self.read_entry(row) for row in rows}

    def read_entry(self, row: int) -> str:
        """The entry of a row among what was read, see ``text.read_text``."""
        return NOT_READ if self._read is None else self._read[row]

    def verify(self, files: Collection[str] | None = None) -> None:
        """Compare files with their checksums; takes 1 to 2 seconds per gigabyte.

        Args:
            files: names of the files to read; None for all.

        Raises:
            IndexBundleError: naming the first file that differs from its checksum.
        """
        if not has_its_digest(self.folder.resolve()):
            raise IndexBundleError(
                f"{self.folder / MANIFEST_FILE} has another digest than the name of its folder "
                f"{self.version}. {REBUILD}"
            )
        for name, expected in self._files.items():
            if files is not None and name not in files:
                continue
            if file_digest(self.folder / name) != expected.sha256:
                raise IndexBundleError(
                    f"The index file {self.folder / name} differs from its checksum. {REBUILD}"
                )

    def _check_sizes(self) -> None:
        for name, expected in self._files.items():
            path = self.folder / name
            try:
                size = path.stat().st_size
            except FileNotFoundError as error:
                raise IndexBundleError(f"The index file {path} is missing. {REBUILD}") from error
            if size != expected.bytes:
                raise IndexBundleError(
                    f"The index file {path} is truncated or overwritten: the manifest says "
                    f"{expected.bytes:,} bytes, the file has {size:,}. {REBUILD}"
                )

    def _check_images(self) -> None:
        if set(self.manifest.models) != set(self.profile.models):
            raise IndexBundleError(
                f"The manifest of {self.folder} describes the models "
                f"{sorted(self.manifest.models)}, its profile has {sorted(self.profile.models)}. "
                f"{REBUILD}"
            )
        dimensions = tuple(descriptors.shape[1] for descriptors in self.descriptors)
        expected = tuple(self.manifest.models[m].dimension for m in self.profile.models)
        if dimensions != expected or self.image_digests.shape[1] != IMAGE_DIGEST_BYTES:
            raise IndexBundleError(
                f"The descriptors in {self.folder} do not match its manifest (dimensions "
                f"{expected}). {REBUILD}"
            )
        rows = {len(descriptors) for descriptors in self.descriptors} | {len(self.image_digests)}
        if self._read is not None:
            rows.add(len(self._read))
        self._check_rows(rows)

    def _check_rows(self, counts: set[int]) -> None:
        """Refuse arrays with other numbers of rows than the manifest's."""
        if counts != {self.manifest.products}:
            raise IndexBundleError(
                f"The arrays in {self.folder} do not match its manifest "
                f"({self.manifest.products:,} products). {REBUILD}"
            )


def check_preprocessing(manifest: Manifest, place: str) -> None:
    """Refuse an index whose images became pixels by other rules than this program's.

    Args:
        manifest: the manifest of the index.
        place: where the index is, for the message.

    Raises:
        IndexBundleError: naming both rules.
    """
    if manifest.preprocessing != PREPROCESSING:
        raise IndexBundleError(
            f"Index {place} was built from images pre-processed by "
            f"{manifest.preprocessing!r}, this program does {PREPROCESSING!r}. {REBUILD}"
        )
