"""The index bundle: everything a search needs, in one immutable folder.

::

    index/
      current                     text file: the name of the version to serve
      lite-3f2a9c01d7e4/          a version; never changed after it is published
        manifest.json             origin of the index and checksums of its files, see manifest
        descriptors.<model>.npy   see descriptors
        search.*, coarse.*, middle.*, residual.*, bytes.*: .npy, see exact_search.levels.files; with
                                  more than 4,096 products only
        text_neighbours.*.npy     see text.neighbours
        terms.*, text_terms.*     TF-IDF vectors, for new descriptions, see export.text_index.tfidf
        canary.<model>.npy        see reference_image
        image_digests.npy         uint8 (N, 32): SHA-256 of each image file
        ids, descriptions, images, attributes: .offsets.npy and .bytes.npy, see storage.string_table
        read.*                    likewise; what was read on the images, see text.read_text
        calibration.json          how verdicts become probabilities, see calibration; optional
        ids.order.npy             int32 (N,): rows by ascending id bytes, to find an id
        rejects.jsonl             catalogue rows that are not in the index, with the reasons

The name of a version is its profile and a digest of its manifest. The manifest holds the digests of
all files, so equal input gives an equal folder, byte for byte. The build writes a version under
another name, syncs it to disk and renames it.
"""

from __future__ import annotations

import bisect
import json
import os
import weakref
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from retrieval_server.errors import IndexBundleError, ModelMismatchError
from retrieval_server.exact_search.levels.encoding import Levels
from retrieval_server.exact_search.levels.files import open_levels
from retrieval_server.index.calibration import CALIBRATION_FILE, Calibration, read_calibration
from retrieval_server.index.descriptors import open_descriptors
from retrieval_server.index.manifest import MANIFEST_FILE, has_its_digest, read_manifest
from retrieval_server.index.reference_image import open_reference
from retrieval_server.index.version_lock import share_version
from retrieval_server.models.preprocessing import PREPROCESSING
from retrieval_server.storage.arrays import REBUILD, open_array
from retrieval_server.storage.digest import file_digest
from retrieval_server.storage.string_table import StringTable
from retrieval_server.text.neighbours import TextIndex
from retrieval_server.text.read_text import READ_TABLE, ReadText, decode_read
from retrieval_server.text.word_search import WordSearch

REJECTS_FILE = "rejects.jsonl"
STRING_TABLES = ("ids", "descriptions", "images", "attributes")
ID_ORDER_FILE = "ids.order.npy"
IMAGE_DIGESTS_FILE, IMAGE_DIGEST_BYTES = "image_digests.npy", 32


@dataclass(frozen=True)
class Product:
    """A product, with the values of its catalogue row.

    Attributes:
        product_id: the product's id.
        description: the description, verbatim.
        image: path of the image relative to the catalogue file, verbatim.
        attributes: values of the catalogue's further columns, by column name.
    """

    product_id: str
    description: str
    image: str
    attributes: dict[str, str]


class IndexBundle:
    """A version of the index, opened by memory map; no build removes it while it is open.

    Args:
        folder: the version's folder.

    Raises:
        IndexBundleError: if the version is missing, damaged, of another format, or being removed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        weakref.finalize(self, os.close, share_version(folder))
        self.version = folder.resolve().name
        self.manifest, self._files = read_manifest(folder)
        self._check_preprocessing()
        self._check_sizes()
        self.profile = self.manifest.profile
        self.descriptors = tuple(open_descriptors(folder, m) for m in self.profile.models)
        self.levels = self._open_levels()
        self.reference_descriptors = open_reference(folder, self.profile.models)
        self.image_digests = open_array(folder / IMAGE_DIGESTS_FILE, np.uint8, 2)
        self.text_index = TextIndex(folder)
        self.words = WordSearch(folder, self.manifest.words)
        tables = (*STRING_TABLES, READ_TABLE) if self.manifest.words.reader else STRING_TABLES
        self._tables = {name: StringTable(folder, name) for name in tables}
        self._id_order = open_array(folder / ID_ORDER_FILE, np.int32, 1)
        self.calibration = self._open_calibration()
        self._check_rows()

    def __len__(self) -> int:
        return self.manifest.products

    @property
    def built_at(self) -> float:
        """Modification time of the manifest, in seconds since 1970."""
        return (self.folder / MANIFEST_FILE).stat().st_mtime

    def product(self, row: int) -> Product:
        """The product of a row."""
        ids, descriptions, images, attributes = (self._tables[name] for name in STRING_TABLES)
        return Product(ids[row], descriptions[row], images[row], json.loads(attributes[row]))

    def read(self, row: int) -> tuple[ReadText, ...]:
        """What was read on the image of a row; nothing in an index whose images were not read."""
        table = self._tables.get(READ_TABLE)
        return () if table is None else decode_read(table[row])

    def product_id(self, row: int) -> str:
        """The product id of a row."""
        return self._tables["ids"][row]

    def row_of(self, product_id: str) -> int | None:
        """The row of a product id; None if the id is not in the index."""
        ids, id_bytes = self._tables["ids"], product_id.encode("utf-8", "surrogatepass")
        position = bisect.bisect_left(self._id_order, id_bytes, key=ids.raw)
        if position == len(self) or ids.raw(row := int(self._id_order[position])) != id_bytes:
            return None
        return row

    def require_models(self, digests: Mapping[str, str]) -> None:
        """Refuse models other than those that computed the index's descriptors.

        Args:
            digests: SHA-256 of the served ONNX files by model name.

        Raises:
            ModelMismatchError: naming the model and both digests.
        """
        for name, indexed in self.manifest.models.items():
            served = digests.get(name)
            if served != indexed.digest:
                raise ModelMismatchError(
                    f"Index {self.folder} was built with model {name} of digest "
                    f"{indexed.digest[:12]}, but the model repository has "
                    f"{served[:12] if served else 'none'}. Serve the model it was built with, or "
                    "build the index again with: beauty-export index"
                )

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

    def _open_levels(self) -> Levels | None:
        record = self.manifest.search
        if record is None:
            return None
        dimensions = [descriptors.shape[1] for descriptors in self.descriptors]
        return open_levels(self.folder, record, dimensions, self.manifest.products)

    def _open_calibration(self) -> Calibration | None:
        return read_calibration(self.folder) if CALIBRATION_FILE in self._files else None

    def _check_preprocessing(self) -> None:
        if self.manifest.preprocessing != PREPROCESSING:
            raise IndexBundleError(
                f"Index {self.folder} was built from images pre-processed by "
                f"{self.manifest.preprocessing!r}, this program does {PREPROCESSING!r}. {REBUILD}"
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

    def _check_rows(self) -> None:
        if set(self.manifest.models) != set(self.profile.models):
            raise IndexBundleError(
                f"The manifest of {self.folder} describes the models "
                f"{sorted(self.manifest.models)}, its profile has {sorted(self.profile.models)}. "
                f"{REBUILD}"
            )
        row_counts = {descriptors.shape[0] for descriptors in self.descriptors}
        row_counts |= {len(self.text_index), len(self._id_order), len(self.image_digests)}
        row_counts |= {len(table) for table in self._tables.values()} | self.words.lengths()
        dimensions = tuple(descriptors.shape[1] for descriptors in self.descriptors)
        expected = tuple(self.manifest.models[m].dimension for m in self.profile.models)
        is_digest = self.image_digests.shape[1] == IMAGE_DIGEST_BYTES
        if row_counts != {self.manifest.products} or dimensions != expected or not is_digest:
            raise IndexBundleError(
                f"The arrays in {self.folder} do not match its manifest "
                f"({self.manifest.products:,} products of dimensions {expected}). {REBUILD}"
            )
