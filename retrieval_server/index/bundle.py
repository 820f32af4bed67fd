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
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from retrieval_server.attributes.columns import Columns
from retrieval_server.exact_search.groups import AllowedRows, Groups
from retrieval_server.exact_search.levels.encoding import Levels
from retrieval_server.exact_search.levels.files import open_levels
from retrieval_server.exact_search.open_search import open_search
from retrieval_server.exact_search.parallelism import IntraQueryParallelism
from retrieval_server.exact_search.warm_up import compile_kernels
from retrieval_server.filters.evaluation import compile_filters
from retrieval_server.filters.expression import Filter
from retrieval_server.index.calibration import CALIBRATION_FILE, Calibration, read_calibration
from retrieval_server.index.column_groups import groups_by
from retrieval_server.index.descriptors import DescriptorShape
from retrieval_server.index.images import IndexedImages
from retrieval_server.index.manifest import MANIFEST_FILE
from retrieval_server.index.product import Product
from retrieval_server.index.row_mask import RowMask, count_rows, row_mask
from retrieval_server.index.searched_index import IndexSearch
from retrieval_server.storage.arrays import open_array
from retrieval_server.storage.string_table import StringTable
from retrieval_server.text.neighbours import TextIndex
from retrieval_server.text.term_files import TermFiles, open_term_files
from retrieval_server.text.word_search import WordSearch

REJECTS_FILE = "rejects.jsonl"
STRING_TABLES = ("ids", "descriptions", "images", "attributes")
ID_ORDER_FILE = "ids.order.npy"


class IndexBundle(IndexedImages):
    """A version of the index, opened by memory map; no build removes it while it is open.

    Args:
        folder: the version's folder.

    Attributes:
        change_position: the last change that the version has taken up; what follows its log sets
            it, see the room changes.

    Raises:
        IndexBundleError: if the version is missing, damaged, of another format, or being removed.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.change_position = 0
        self.levels = self._open_levels()
        self.text_index = TextIndex(folder)
        self.words = WordSearch(folder, self.manifest.words)
        self.columns = Columns(folder, self.manifest.columns)
        self._tables = {name: StringTable(folder, name) for name in STRING_TABLES}
        self._groups: dict[str, Groups] = {}
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
    def place(self) -> str:
        """The folder, for messages."""
        return str(self.folder)

    @property
    def descriptor_bytes(self) -> tuple[int, ...]:
        """Size of the descriptors by backbone, in bytes."""
        return tuple(matrix.nbytes for matrix in self.descriptors)

    @property
    def descriptor_shapes(self) -> tuple[DescriptorShape, ...]:
        """Type and number of the components of a descriptor, by backbone."""
        return tuple((matrix.dtype, matrix.shape[1]) for matrix in self.descriptors)

    @property
    def built_at(self) -> float:
        """Modification time of the manifest, in seconds since 1970."""
        return (self.folder / MANIFEST_FILE).stat().st_mtime

    def product(self, row: int) -> Product:
        """The product of a row."""
        ids, descriptions, images, attributes = (self._tables[name] for name in STRING_TABLES)
        return Product(ids[row], descriptions[row], images[row], json.loads(attributes[row]))

    @property
    def first_product(self) -> Product:
        """The product of row 0."""
        return self.product(0)

    def products(self, rows: Iterable[int]) -> dict[int, Product]:
        """The products of some rows, by row."""
        return {row: self.product(row) for row in rows}

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

    def rows_of(self, product_ids: Collection[str]) -> dict[str, int]:
        """The rows of some product ids; an id that is not in the index is left out."""
        rows = {product_id: self.row_of(product_id) for product_id in product_ids}
        return {product_id: row for product_id, row in rows.items() if row is not None}

    def descriptors_of(self, row: int) -> tuple[NDArray[np.float32], ...]:
        """The descriptors of a row, (C_n,) float32 by backbone."""
        return tuple(matrix[row].astype(np.float32) for matrix in self.descriptors)

    def open_terms(self) -> TermFiles:
        """Open the TF-IDF vectors of the descriptions.

        Raises:
            IndexBundleError: if a file is missing or damaged.
        """
        return open_term_files(self.folder)

    def allowed_rows(
        self, wanted: Filter | None, exclude_ids: Collection[str]
    ) -> AllowedRows | None:
        """The rows that a search may find, as a mask (N,); see ``SearchedIndex``."""
        excluded = self.rows_of(exclude_ids).values()
        return row_mask(len(self), wanted, self.columns, excluded)

    def count_allowed(self, allowed: AllowedRows | None, exclude: int | None) -> int:
        """Count the rows that a search may find; see ``SearchedIndex``."""
        return count_rows(len(self), cast("RowMask | None", allowed), exclude)

    def groups_by(self, column: str) -> Groups:
        """The groups by a column, made for the first search; see ``SearchedIndex``."""
        if column not in self._groups:
            self._groups[column] = groups_by(self.columns[column])
        return self._groups[column]

    def check_served(self) -> None:
        """Files that are open can be read; see ``SearchedIndex``."""

    def warm_up(self) -> None:
        """Compile what searches run, and read the words; see ``SearchedIndex``."""
        if self.levels is not None:
            compile_kernels()
        compile_filters(self.columns)
        self.words.cosines("")

    def open_search(self, parallelism: IntraQueryParallelism | None) -> IndexSearch:
        """Open what ranks the rows; see ``SearchedIndex``."""
        search = open_search(self.descriptors, self.levels, parallelism=parallelism)
        return cast("IndexSearch", search)  # the rows that may be found are always a mask here

    def search_until(self, search: IndexSearch, answer_by_s: float) -> IndexSearch:
        """A search of files takes the time it takes; see ``SearchedIndex``."""
        return search

    def _open_levels(self) -> Levels | None:
        record = self.manifest.search
        if record is None:
            return None
        dimensions = [descriptors.shape[1] for descriptors in self.descriptors]
        return open_levels(self.folder, record, dimensions, self.manifest.products)

    def _open_calibration(self) -> Calibration | None:
        return read_calibration(self.folder) if CALIBRATION_FILE in self._files else None
