"""A version of the index that lies in a store: what a search and the server read of it.

Its small files, such as the manifest, are those of the version's folder, byte for byte. They are
opened from a temporary folder by the code that opens an index of our own.
"""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from retrieval_server.errors import StoreError
from retrieval_server.exact_search.groups import AllowedRows
from retrieval_server.exact_search.parallelism import IntraQueryParallelism
from retrieval_server.filters.evaluation import check_filter
from retrieval_server.filters.expression import Filter
from retrieval_server.index.calibration import CALIBRATION_FILE, read_calibration
from retrieval_server.index.descriptors import DescriptorShape
from retrieval_server.index.images import check_preprocessing
from retrieval_server.index.manifest import read_manifest
from retrieval_server.index.product import Product
from retrieval_server.index.reference_image import open_reference
from retrieval_server.index.searched_index import IndexSearch
from retrieval_server.storage.digest import file_digest
from retrieval_server.stores.candidate_store import Selection, StoredRows
from retrieval_server.stores.filter_expression import FilterExpressions
from retrieval_server.stores.layout import (
    RELOAD,
    StoredRecord,
    file_key,
    neighbours_key,
    piece_key,
    pieces_of,
    product_key,
    read_key,
    row_key,
    texts_key,
)
from retrieval_server.stores.milvus import KEYS_AT_ONCE, STRONG, Milvus, in_pieces
from retrieval_server.stores.milvus_store import MilvusStore
from retrieval_server.stores.published_version import published, read_record
from retrieval_server.stores.store_log import StoreLog
from retrieval_server.stores.store_log_reader import StoreLogReader
from retrieval_server.stores.store_log_writer import StoreLogWriter
from retrieval_server.stores.store_search import StoreSearch
from retrieval_server.stores.stored_columns import StoredColumns
from retrieval_server.stores.stored_groups import StoredGroups
from retrieval_server.text.neighbours import COSINE_SCALE
from retrieval_server.text.read_text import NOT_READ, ReadText, decode_read
from retrieval_server.text.term_files import TermFiles, open_term_files, term_files
from retrieval_server.text.word_search import WordSearch, word_files


class StoredIndex:
    """A version of the index in Milvus; any number of threads may read.

    Args:
        milvus: the connection.
        documents: name of the collection with the version's documents.
        search_s: seconds after which a search does not ask for a longer list of candidates.

    Attributes:
        version: the version of the index.
        change_position: 0; what follows the changes sets it, see the room changes.
        manifest: the manifest of the version.
        profile: the profile that it was built with.
        columns: the columns of the catalogue.
        calibration: how verdicts become probabilities; None without one.
        reference_descriptors: those of the reference image, by model name.
        built_at: when the index was built, in seconds since 1970.
        store: its descriptors.
        text_index: the lists of similar descriptions.
        words: compares words with the texts of products.
        descriptor_shapes: type and number of the components of a descriptor, by backbone.
        first_product: the product of row 0.

    Raises:
        StoreError: if the version is not complete, or of another layout.
        IndexBundleError: if its manifest is of another format, or of other rules for images.
        StoreUnavailableError: if Milvus fails.
    """

    def __init__(self, milvus: Milvus, documents: str, search_s: float) -> None:
        self._milvus, self._documents = milvus, documents
        record = read_record(milvus, documents)
        self._vectors, self._changes = record.vectors, record.changes
        self.change_position = 0
        for name in (record.vectors, record.changes):
            milvus.load(name)
        self.version, self.built_at = record.version, record.built_at
        with tempfile.TemporaryDirectory() as name:  # what is mapped stays when it is removed
            folder = Path(name)
            self._write_files(record, folder)
            self.manifest, self._files = read_manifest(folder)
            check_preprocessing(self.manifest, self.place)
            self.profile = self.manifest.profile
            opened = open_reference(folder, self.profile.models)
            self.reference_descriptors = {model: np.array(opened[model]) for model in opened}
            has_calibration = CALIBRATION_FILE in record.files
            self.calibration = read_calibration(folder) if has_calibration else None
            self._write_pieces(word_files(self.manifest.words), folder)
            self.words = WordSearch(folder, self.manifest.words)
        self.columns = StoredColumns(self.manifest.columns, self._texts())
        dimensions = [self.manifest.models[model].dimension for model in self.profile.models]
        self.descriptor_shapes: tuple[DescriptorShape, ...] = tuple(
            zip(map(np.dtype, record.dtypes), dimensions, strict=True)
        )
        self.store = MilvusStore(
            milvus,
            self._vectors,
            dimensions,
            record.rectified,
            FilterExpressions(self.manifest.columns),
        )
        self._search_s = search_s
        self._require_all_rows()
        self.first_product = self.product(0)

    @classmethod
    def published(cls, milvus: Milvus, search_s: float) -> StoredIndex:
        """Open the version that is published in a store; see ``StoredIndex`` and ``published``."""
        documents, _ = published(milvus)
        return cls(milvus, documents, search_s)

    def __len__(self) -> int:
        return self.manifest.products

    levels = None  # the store's own index ranks the rows; changes are scanned

    @property
    def place(self) -> str:
        """The address and the version, for messages."""
        return f"{self._milvus.address} ({self.version})"

    @property
    def text_index(self) -> StoredIndex:
        """The lists of similar descriptions."""
        return self

    @property
    def descriptor_bytes(self) -> tuple[int, ...]:
        """Size of the descriptors by backbone, in bytes."""
        models = self.manifest.models
        return tuple(4 * len(self) * models[model].dimension for model in self.profile.models)

    def product(self, row: int) -> Product:
        """The product of a row."""
        return self.products([row])[row]

    def products(self, rows: Iterable[int]) -> dict[int, Product]:
        """The products of some rows, by row.

        Raises:
            StoreError: if one is missing.
        """
        keys = {row: product_key(row) for row in rows}
        found = self._milvus.documents(self._documents, keys.values())
        return {row: Product(*json.loads(self._of(found, key))) for row, key in keys.items()}

    def product_id(self, row: int) -> str:
        """The product id of a row."""
        return self.product(row).product_id

    def row_of(self, product_id: str) -> int | None:
        """The row of a product id; None if the id is not in the index."""
        return self.rows_of([product_id]).get(product_id)

    def rows_of(self, product_ids: Collection[str]) -> dict[str, int]:
        """The rows of some product ids; an id that is not in the index is left out."""
        keys = {product_id: row_key(product_id) for product_id in product_ids}
        found = self._milvus.documents(self._documents, set(keys.values()))
        return {each: int(found[key]) for each, key in keys.items() if key in found}

    def lines_read(self, rows: Iterable[int]) -> dict[int, tuple[ReadText, ...]]:
        """What was read on the images of some rows, by row.

        Raises:
            StoreError: if it is missing.
        """
        return {row: decode_read(entry) for row, entry in self.read_entries(rows).items()}

    def read_entries(self, rows: Iterable[int]) -> dict[int, str]:
        """What was read on the images of some rows as the index keeps it, by row.

        Raises:
            StoreError: if it is missing.
        """
        if not self.manifest.words.reader:
            return dict.fromkeys(rows, NOT_READ)
        keys = {row: read_key(row) for row in rows}
        found = self._milvus.documents(self._documents, keys.values())
        return {row: self._of(found, key) for row, key in keys.items()}

    def neighbours(self, row: int) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Look up D(row), see ``text.neighbours``.

        Raises:
            StoreError: if the list is missing.
        """
        key = neighbours_key(row)
        text = self._of(self._milvus.documents(self._documents, [key]), key)
        rows, cosines = json.loads(text)
        return np.array(rows, np.int32), np.array(cosines, np.uint16) / COSINE_SCALE

    def descriptors_of(self, row: int) -> tuple[NDArray[np.float32], ...]:
        """The descriptors of a row, (C_n,) float32 by backbone."""
        return tuple(matrix[0] for matrix in self.store.fetch(np.array([row])))

    def allowed_rows(
        self, wanted: Filter | None, exclude_ids: Collection[str]
    ) -> StoredRows | None:
        """The rows that a search may find; see ``SearchedIndex``."""
        if wanted is not None:
            check_filter(wanted, self.columns)
        excluded = self.rows_of(exclude_ids).values() if exclude_ids else ()
        if wanted is None and not excluded:
            return None
        return StoredRows(self.store, Selection(wanted, frozenset(excluded)))

    def count_allowed(self, allowed: AllowedRows | None, exclude: int | None) -> int:
        """Count the rows that a search may find; see ``SearchedIndex``."""
        if allowed is None:
            return len(self) - (exclude is not None)
        return self.store.count(cast("StoredRows", allowed).selection.without(exclude))

    def groups_by(self, column: str) -> StoredGroups:
        """The groups by a column; see ``SearchedIndex``."""
        known = self.columns[column]
        return StoredGroups(self.store, column, known.distinct + known.missing_count)

    def check_served(self) -> None:
        """Read an entity of each collection; see ``SearchedIndex``.

        After a restart, a Milvus knows its collections some time before it can read them.
        """
        self.products([0])
        self.descriptors_of(0)

    def warm_up(self) -> None:
        """Compile the comparison of words, and read them; see ``SearchedIndex``."""
        self.words.cosines("")

    def open_search(self, parallelism: IntraQueryParallelism | None) -> IndexSearch:
        """Open what ranks the rows; see ``SearchedIndex``."""
        search = StoreSearch(self.store, len(self), sum(self.descriptor_bytes), self._search_s)
        return cast("IndexSearch", search)  # the rows that may be found are always of this store

    def search_until(self, search: IndexSearch, answer_by_s: float) -> IndexSearch:
        """A search whose list grows as far as time allows; see ``SearchedIndex``."""
        return cast("IndexSearch", cast("StoreSearch", search).until(answer_by_s))

    def open_terms(self) -> TermFiles:
        """Copy the TF-IDF vectors of the descriptions, and open them.

        Raises:
            StoreError: if one is missing or damaged.
        """
        with tempfile.TemporaryDirectory() as name:  # what is mapped stays when it is removed
            self._write_pieces(term_files(), Path(name))
            return open_term_files(Path(name))

    def open_log(self) -> StoreLogReader:
        """Open the log of the changes to the version."""
        return StoreLogReader(StoreLog(self._milvus, self._changes))

    def open_log_writer(self) -> StoreLogWriter:
        """Open the log of the changes to the version for writing."""
        return StoreLogWriter(StoreLog(self._milvus, self._changes), self._milvus, self._documents)

    def _write_files(self, record: StoredRecord, folder: Path) -> None:
        keys = {name: file_key(name) for name in record.files}
        found = self._milvus.documents(self._documents, keys.values())
        for name, key in keys.items():
            (folder / Path(name).name).write_bytes(base64.b64decode(self._of(found, key)))

    def _write_pieces(self, names: Iterable[str], folder: Path) -> None:
        """Copy files that are stored in pieces: they are small, and all of each is read often."""
        for name in names:
            written = self._files[name]
            with (folder / name).open("wb") as file:
                keys = [piece_key(name, number) for number in pieces_of(written.bytes)]
                for some in in_pieces(keys, KEYS_AT_ONCE):
                    found = self._milvus.documents(self._documents, some)
                    file.writelines(base64.b64decode(self._of(found, key)) for key in some)
            if file_digest(folder / name) != written.sha256:
                raise StoreError(
                    f"{self._milvus.address} is damaged: the pieces of {name} in "
                    f"{self._documents} differ from its checksum. {RELOAD}"
                )

    def _texts(self) -> dict[int, list[str]]:
        keys = {number: texts_key(number) for number in range(len(self.manifest.columns))}
        found = self._milvus.documents(self._documents, keys.values())
        return {number: json.loads(found[key]) for number, key in keys.items() if key in found}

    def _require_all_rows(self) -> None:
        rows = self._milvus.count(self._vectors, consistency=STRONG)
        if rows != len(self):
            raise StoreError(
                f"{self._milvus.address}: {self._vectors} has {rows:,} rows, and its index has "
                f"{len(self):,}. {RELOAD}"
            )

    def _of(self, found: dict[str, str], key: str) -> str:
        if key not in found:
            raise StoreError(
                f"{self._milvus.address} is damaged: {self._documents} has no {key}. {RELOAD}"
            )
        return found[key]
