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
        columns.*                 the attributes again, column by column, see attributes.columns
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
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from retrieval_server.attributes.columns import Columns
from retrieval_server.errors import ModelMismatchError
from retrieval_server.exact_search.levels.encoding import Levels
from retrieval_server.exact_search.levels.files import open_levels
from retrieval_server.index.calibration import CALIBRATION_FILE, Calibration, read_calibration
from retrieval_server.index.images import IndexedImages
from retrieval_server.index.manifest import MANIFEST_FILE
from retrieval_server.storage.arrays import open_array
from retrieval_server.storage.string_table import StringTable
from retrieval_server.text.neighbours import TextIndex
from retrieval_server.text.word_search import WordSearch

REJECTS_FILE = "rejects.jsonl"
STRING_TABLES = ("ids", "descriptions", "images", "attributes")
ID_ORDER_FILE = "ids.order.npy"


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


class IndexBundle(IndexedImages):
    """A version of the index, opened by memory map; no build removes it while it is open.

    Args:
        folder: the version's folder.

    Raises:
        IndexBundleError: if the version is missing, damaged, of another format, or being removed.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.levels = self._open_levels()
        self.text_index = TextIndex(folder)
        self.words = WordSearch(folder, self.manifest.words)
        self.columns = Columns(folder, self.manifest.columns)
        self._tables = {name: StringTable(folder, name) for name in STRING_TABLES}
        self._id_order = open_array(folder / ID_ORDER_FILE, np.int32, 1)
        self.calibration = self._open_calibration()
        tables = {len(table) for table in self._tables.values()}
        self._check_rows(
            {len(self.text_index), len(self._id_order)}
            | tables
            | self.words.lengths()
            | self.columns.lengths()
        )

    @property
    def built_at(self) -> float:
        """Modification time of the manifest, in seconds since 1970."""
        return (self.folder / MANIFEST_FILE).stat().st_mtime

    def product(self, row: int) -> Product:
        """The product of a row."""
        ids, descriptions, images, attributes = (self._tables[name] for name in STRING_TABLES)
        return Product(ids[row], descriptions[row], images[row], json.loads(attributes[row]))

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

    def _open_levels(self) -> Levels | None:
        record = self.manifest.search
        if record is None:
            return None
        dimensions = [descriptors.shape[1] for descriptors in self.descriptors]
        return open_levels(self.folder, record, dimensions, self.manifest.products)

    def _open_calibration(self) -> Calibration | None:
        return read_calibration(self.folder) if CALIBRATION_FILE in self._files else None
