"""Loads a version of an index into Milvus.

The rows go in batches. A batch is marked when it is complete, so a load that was stopped goes on
where it was; entities are replaced by their keys, so a batch may be written twice. The version is
published when its count and a sample of its rows are as in the index: then the alias names it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval_server.errors import IndexLossError, StoreError, StoreUnavailableError
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.index.loss import ANY_LOSS
from retrieval_server.storage.digest import file_digest
from retrieval_server.stores.entities import Document, IndexEntities
from retrieval_server.stores.layout import (
    INDEX_KEY,
    KEY,
    LAYOUT,
    NO_VECTOR,
    RELOAD,
    ROW,
    TEXT,
    VECTOR,
    StoredRecord,
    batch_key,
    changes_of,
    documents_of,
    parts_of,
    pieces_key,
    vectors_of,
)
from retrieval_server.stores.milvus import Milvus
from retrieval_server.stores.pace import Pace
from retrieval_server.stores.published_version import read_record
from retrieval_server.stores.schema import change_fields, document_fields, vector_fields
from retrieval_server.stores.store_log import StoreLog
from retrieval_server.text.term_files import term_files
from retrieval_server.text.word_search import word_files

BATCH_BYTES = 8 * 2**20  # of vectors, or of texts; a Milvus server takes messages of 64 MB
MOST_IN_A_BATCH = 1000  # rows
SAMPLED_ROWS = 256  # that are compared at the end

Advance = Callable[[int], object]


@dataclass(frozen=True)
class Loaded:
    """What a load has done.

    Attributes:
        version: the version that is published now.
        rows: number of rows.
        written: number of rows that this load has written; fewer where it went on.
        replaced: the version that was published before; None if there was none, or it was this one.
        replaced_collections: its collections, which are still there.
    """

    version: str
    rows: int
    written: int
    replaced: str | None = None
    replaced_collections: tuple[str, ...] = ()


class Load:
    """Loads one version.

    Args:
        bundle: the index.
        milvus: the connection.
        max_loss: the largest share of the products of the published version that may be fewer.
        pace: how fast to write; None for as fast as possible.
    """

    def __init__(
        self, bundle: IndexBundle, milvus: Milvus, max_loss: float, pace: Pace | None = None
    ) -> None:
        self._bundle, self._milvus, self._max_loss = bundle, milvus, max_loss
        self._pace = pace or Pace()
        self._alias = milvus.address.collection
        self._documents = documents_of(self._alias, bundle.version)
        self._vectors = vectors_of(self._alias, bundle.version)
        self._changes = changes_of(self._alias, bundle.version)
        self._entities = IndexEntities(bundle)
        self._dimension = sum(matrix.shape[1] for matrix in bundle.descriptors)
        self._batch = min(MOST_IN_A_BATCH, max(1, BATCH_BYTES // (4 * self._dimension)))

    def run(self, advance: Advance = lambda rows: None) -> Loaded:
        """Load what is missing, verify all of it, and publish it.

        Args:
            advance: called with the number of rows of each batch that is complete.

        Raises:
            IndexLossError: if the version has too few products, or lacks changes.
            StoreError: if the name is taken, or what the store holds is not what was loaded.
            StoreUnavailableError: if Milvus fails; load again to go on.
        """
        before, replaced = self._published_before()
        fields = vector_fields(self._dimension, [each.kind for each in self._entities.columns])
        self._milvus.create_collection(self._vectors, fields)
        self._milvus.create_collection(self._documents, document_fields())
        self._milvus.create_collection(self._changes, change_fields())
        for name in (self._vectors, self._documents, self._changes):
            self._milvus.load(name)
        written, rectified = self._write_rows(advance)
        self._write_pieces()
        self._write(self._entities.small_documents())
        for name in (self._vectors, self._documents):
            self._milvus.call("flush", name)
        self._verify()
        self._write([(INDEX_KEY, json.dumps(self._record(rectified).to_json()))])
        loaded = Loaded(self._bundle.version, len(self._bundle), written)
        if before is None:
            self._milvus.call("create_alias", self._documents, self._alias)
            return loaded
        if before == self._documents:
            return loaded
        self._milvus.call("alter_alias", self._documents, self._alias)
        if replaced is None:
            return loaded
        self._end_log(before, replaced)
        return replace(
            loaded,
            replaced=replaced.version,
            replaced_collections=(before, replaced.vectors, replaced.changes),
        )

    def _published_before(self) -> tuple[str | None, StoredRecord | None]:
        """The documents that the alias names, and what they say; None for either that is missing.

        Raises:
            IndexLossError: if the version to load is much smaller than that one, or lacks its
                changes.
        """
        documents = self._milvus.aliased(self._alias)
        if documents is None:
            return None, None
        try:
            record = read_record(self._milvus, documents)
        except StoreUnavailableError:
            raise
        except StoreError:  # not complete, or of another layout: nothing that could be lost
            return documents, None
        lost = record.rows - len(self._bundle)
        if lost > self._max_loss * record.rows:
            raise IndexLossError(
                f"{self._bundle.version} has {len(self._bundle):,} products, {lost:,} fewer than "
                f"{record.version}, which {self._milvus.address} has: more than --max-loss "
                f"{self._max_loss:g}. Load it with a larger --max-loss if that is right."
            )
        if documents != self._documents:
            self._check_changes(record)
        return documents, record

    def _check_changes(self, published: StoredRecord) -> None:
        """Refuse to replace a version with changes, unless any loss is allowed.

        Raises:
            IndexLossError: if servers have changed it.
        """
        if self._max_loss < ANY_LOSS and StoreLog(self._milvus, published.changes).has_changes():
            raise IndexLossError(
                f"Servers have taken changes to {published.version} in {self._milvus.address} "
                f"(upserts and deletes), and {self._bundle.version} does not have them. Bring them "
                f"into the catalogue, build the index again, and load it with --max-loss "
                f"{ANY_LOSS:g}."
            )

    def _end_log(self, documents: str, replaced: StoredRecord) -> None:
        """Make sure that no server writes changes to the replaced version any more.

        A writer that has claimed the log before notices this claim before it tells anybody that a
        change is durable. One that claims it later sees that the version is not published.

        Raises:
            IndexLossError: if it was changed during the load; it is published again.
        """
        StoreLog(self._milvus, replaced.changes).claim()
        try:
            self._check_changes(replaced)
        except IndexLossError:
            self._milvus.call("alter_alias", documents, self._alias)
            raise

    def _write_rows(self, advance: Advance) -> tuple[int, tuple[bool, ...]]:
        """Write the batches that are not complete; returns how many rows, and what is rectified."""
        rows = len(self._bundle)
        batches = range(0, rows, self._batch)
        marks = self._milvus.documents(self._documents, map(batch_key, range(len(batches))))
        written, rectified = 0, [True] * len(self._bundle.descriptors)
        for number, first in enumerate(batches):
            last = min(first + self._batch, rows)
            matrices = [
                matrix[first:last].astype(np.float32) for matrix in self._bundle.descriptors
            ]
            for backbone, matrix in enumerate(matrices):
                rectified[backbone] &= bool((matrix >= 0).all())
            vectors = np.concatenate(matrices, axis=1)
            digest = hashlib.sha256(vectors.tobytes()).hexdigest()
            key = batch_key(number)
            if marks.get(key) != digest:
                self._pace.before(last - first)
                entities = self._entities.of_rows(first, vectors)
                self._milvus.call("upsert", self._vectors, entities)
                self._write(self._entities.documents_of_rows(first, last))
                self._write([(key, digest)])
                written += last - first
            advance(last - first)
        return written, tuple(rectified)

    def _write_pieces(self) -> None:
        """Write the files in pieces that are not complete."""
        names = (*word_files(self._bundle.manifest.words), *term_files())
        marks = self._milvus.documents(self._documents, map(pieces_key, names))
        for name in names:
            key, digest = pieces_key(name), file_digest(self._bundle.folder / name)
            if marks.get(key) != digest:
                self._write(self._entities.pieces_of(name))
                self._write([(key, digest)])

    def _record(self, rectified: tuple[bool, ...]) -> StoredRecord:
        return StoredRecord(
            layout=LAYOUT,
            version=self._bundle.version,
            vectors=self._vectors,
            changes=self._changes,
            rows=len(self._bundle),
            dtypes=tuple(matrix.dtype.str for matrix in self._bundle.descriptors),
            built_at=self._bundle.built_at,
            rectified=rectified,
            files=self._entities.small_files(),
        )

    def _write(self, documents: Iterable[Document]) -> None:
        """Write documents, some megabytes at once."""
        pending: list[dict[str, Any]] = []
        size = 0
        for document in documents:
            for key, text in parts_of(*document):
                pending.append({KEY: key, TEXT: text, VECTOR: NO_VECTOR})
                size += len(text)
            if size >= BATCH_BYTES:
                self._milvus.call("upsert", self._documents, pending)
                pending, size = [], 0
        if pending:
            self._milvus.call("upsert", self._documents, pending)

    def _verify(self) -> None:
        """Compare the count of rows, and a sample of them value by value.

        Raises:
            StoreError: naming what differs.
        """
        stored = self._milvus.count(self._vectors)
        if stored != len(self._bundle):
            raise self._differs(f"has {stored:,} rows instead of {len(self._bundle):,}")
        sample = np.random.default_rng(0).permutation(len(self._bundle))[:SAMPLED_ROWS].tolist()
        found = self._milvus.entities(self._vectors, ROW, sample, [VECTOR])
        vectors = {entity[ROW]: np.asarray(entity[VECTOR], np.float32) for entity in found}
        wanted = dict(
            document
            for row in sample
            for document in self._entities.documents_of_rows(row, row + 1)
        )
        documents = self._milvus.documents(self._documents, wanted)
        for row in sample:
            if not np.array_equal(vectors.get(row, ()), self._vector(row)):
                raise self._differs(f"has another vector in row {row}")
        for key, text in wanted.items():
            if documents.get(key) != text:
                raise self._differs(f"and {self._documents} have another document {key}")

    def _vector(self, row: int) -> NDArray[np.float32]:
        return np.concatenate(self._bundle.descriptors_of(row))

    def _differs(self, how: str) -> StoreError:
        return StoreError(
            f"{self._milvus.address}: {self._vectors} {how}, unlike the index. Remove the "
            f"collections {self._vectors} and {self._documents}. {RELOAD}"
        )
