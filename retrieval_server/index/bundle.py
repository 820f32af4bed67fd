"""The index bundle: everything a search needs, in one immutable folder.

::

    index/
      current                     text file: the version to serve
      lite-3f2a9c01d7e4/          one version, never changed once it is there
        manifest.json             what was built from what, see manifest
        descriptors.<model>.npy   see descriptors
        search.*, coarse.*, middle.*, residual.*, bytes.*: .npy, see exact_search.level_files; with
                                  more than 4,096 products only
        text_neighbours.*.npy     see text.neighbours
        terms.*, text_terms.*     TF-IDF vectors, for new descriptions, see export.text_index.tfidf
        canary.<model>.npy        see reference_image
        image_digests.npy         uint8 (N, 32): SHA-256 of each image file
        ids, descriptions, images, attributes: .offsets.npy and .bytes.npy, see storage.string_table
        ids.order.npy             int32 (N,): rows by ascending id bytes, to find an id
        rejects.jsonl             catalogue rows that are not in the index, and why

A version is named by its profile and by a digest of its manifest, which holds the digests of all
files: equal input gives an equal folder, byte for byte. It is written under another name, synced
and renamed.
"""

from __future__ import annotations

import bisect
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from retrieval_server.errors import IndexBundleError, ModelMismatchError
from retrieval_server.exact_search.level_files import open_levels
from retrieval_server.exact_search.levels import Levels
from retrieval_server.index.descriptors import open_descriptors
from retrieval_server.index.manifest import MANIFEST_FILE, read_manifest
from retrieval_server.index.reference_image import open_reference
from retrieval_server.models.preprocessing import PREPROCESSING
from retrieval_server.storage.arrays import REBUILD, open_array
from retrieval_server.storage.digest import file_digest
from retrieval_server.storage.string_table import StringTable
from retrieval_server.text.neighbours import TextIndex

REJECTS_FILE = "rejects.jsonl"
STRING_TABLES = ("ids", "descriptions", "images", "attributes")
ID_ORDER_FILE = "ids.order.npy"
IMAGE_DIGESTS_FILE, IMAGE_DIGEST_BYTES = "image_digests.npy", 32
DIGEST_LENGTH = 12  # characters of the manifest's digest in a version's name


@dataclass(frozen=True)
class Product:
    """A product as the catalogue describes it.

    Attributes:
        product_id: its id.
        description: its description, verbatim.
        image: its image, verbatim: a path relative to the catalogue file.
        attributes: the catalogue's further columns.
    """

    product_id: str
    description: str
    image: str
    attributes: dict[str, str]


class IndexBundle:
    """A version of the index, opened by memory map.

    Args:
        folder: the version's folder.

    Raises:
        IndexBundleError: if it is missing, damaged, or of another format.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
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
        self._tables = {name: StringTable(folder, name) for name in STRING_TABLES}
        self._id_order = open_array(folder / ID_ORDER_FILE, np.int32, 1)
        self._check_rows()

    def __len__(self) -> int:
        return self.manifest.products

    @property
    def built_at(self) -> float:
        """When its manifest was written, in seconds since 1970; as the file system knows it."""
        return (self.folder / MANIFEST_FILE).stat().st_mtime

    def product(self, row: int) -> Product:
        """What the catalogue says about a row."""
        ids, descriptions, images, attributes = (self._tables[name] for name in STRING_TABLES)
        return Product(ids[row], descriptions[row], images[row], json.loads(attributes[row]))

    def product_id(self, row: int) -> str:
        """The id of a row."""
        return self._tables["ids"][row]

    def row_of(self, product_id: str) -> int | None:
        """The row of an id, or None."""
        ids, wanted = self._tables["ids"], product_id.encode("utf-8", "surrogatepass")
        place = bisect.bisect_left(self._id_order, wanted, key=ids.raw)
        if place == len(self) or ids.raw(row := int(self._id_order[place])) != wanted:
            return None
        return row

    def require_models(self, digests: Mapping[str, str]) -> None:
        """Refuse models other than those that made the descriptors.

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
        """Read files and compare them with their checksums; takes a second or two per gigabyte.

        Args:
            files: names of some of them; None for every one.

        Raises:
            IndexBundleError: naming the first file that differs.
        """
        manifest = self.folder / MANIFEST_FILE
        if not self.version.endswith(f"-{file_digest(manifest)[:DIGEST_LENGTH]}"):
            raise IndexBundleError(
                f"{manifest} is not the one that its folder {self.version} is named after. "
                f"{REBUILD}"
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
        rows = {descriptor_rows.shape[0] for descriptor_rows in self.descriptors}
        rows |= {len(self.text_index), len(self._id_order), len(self.image_digests)}
        rows |= {len(table) for table in self._tables.values()}
        widths = tuple(descriptor_rows.shape[1] for descriptor_rows in self.descriptors)
        expected = tuple(self.manifest.models[m].dimension for m in self.profile.models)
        is_digest = self.image_digests.shape[1] == IMAGE_DIGEST_BYTES
        if rows != {self.manifest.products} or widths != expected or not is_digest:
            raise IndexBundleError(
                f"The arrays in {self.folder} contradict its manifest ({self.manifest.products:,} "
                f"products of dimensions {expected}). {REBUILD}"
            )
