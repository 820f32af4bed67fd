"""Loads a version of an index into Milvus: the writer of the layout.

The rows go in batches. A batch is marked when it is complete, so a load that was stopped goes on
where it was; entities are replaced by their keys, so a batch may be written twice. The version is
served when its count and a sample of its rows are as in the index: then the alias names it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from retrieval_server.attributes.columns import Column
from retrieval_server.attributes.values import ColumnKind
from retrieval_server.errors import StoreError
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.index.calibration import CALIBRATION_FILE
from retrieval_server.index.manifest import MANIFEST_FILE
from retrieval_server.index.reference_image import reference_file
from retrieval_server.stores.layout import (
    FEW_TEXTS,
    INDEX_KEY,
    KEY,
    LAYOUT,
    LONGEST_KEY,
    LONGEST_TEXT,
    NO_VECTOR,
    RELOAD,
    ROW,
    TEXT,
    VECTOR,
    StoredRecord,
    batch_key,
    documents_of,
    file_key,
    missing_field,
    neighbours_key,
    parts_of,
    product_key,
    row_key,
    text_digest,
    texts_key,
    value_field,
    vectors_of,
)
from retrieval_server.stores.milvus import Milvus
from retrieval_server.stores.milvus_store import EXHAUSTIVE

BATCH_BYTES = 8 * 2**20  # of vectors; a Milvus server takes messages of 64 MB
MOST_IN_A_BATCH = 1000  # rows
SAMPLED_ROWS = 256  # that are compared at the end

Advance = Callable[[int], object]


@dataclass(frozen=True)
class Loaded:
    """What a load has done.

    Attributes:
        version: the version that is served now.
        rows: number of rows.
        written: number of rows that this load has written; fewer where it went on.
        replaced: the collection of documents that was served before; None if there was none, or
            it was this version.
    """

    version: str
    rows: int
    written: int
    replaced: str | None


class Load:
    """Loads one version.

    Args:
        bundle: the index.
        milvus: the connection.
    """

    def __init__(self, bundle: IndexBundle, milvus: Milvus) -> None:
        self._bundle, self._milvus = bundle, milvus
        collection = milvus.address.collection
        self._documents = documents_of(collection, bundle.version)
        self._vectors = vectors_of(collection, bundle.version)
        self._columns = [bundle.columns[name] for name in bundle.columns.names]
        row_bytes = 4 * sum(matrix.shape[1] for matrix in bundle.descriptors)
        self._batch = min(MOST_IN_A_BATCH, max(1, BATCH_BYTES // row_bytes))

    def run(self, advance: Advance = lambda rows: None) -> Loaded:
        """Load what is missing, verify all of it, and publish it.

        Args:
            advance: called with the number of rows of each batch that is complete.

        Raises:
            StoreError: if the name is taken, or what the store holds is not what was loaded.
            StoreUnavailableError: if Milvus fails; load again to go on.
        """
        before = self._milvus.aliased(self._milvus.address.collection)
        self._create_collections()
        written, rectified = self._write_rows(advance)
        self._write_documents(self._small_documents())
        for name in (self._vectors, self._documents):
            self._milvus.call("flush", name)
            self._milvus.call("load_collection", name)
        self._verify()
        self._write_documents([(INDEX_KEY, json.dumps(self._record(rectified).to_json()))])
        self._publish(before)
        replaced = before if before != self._documents else None
        return Loaded(self._bundle.version, len(self._bundle), written, replaced)

    def _create_collections(self) -> None:
        dimension = sum(matrix.shape[1] for matrix in self._bundle.descriptors)
        if not self._milvus.has_collection(self._vectors):
            self._create(self._vectors, dimension, self._vector_fields())
        if not self._milvus.has_collection(self._documents):
            self._create(self._documents, len(NO_VECTOR), _document_fields())

    def _create(self, name: str, dimension: int, fields: list[dict[str, Any]]) -> None:
        from pymilvus import DataType, MilvusClient

        schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
        for field in fields:
            schema.add_field(**{**field, "datatype": DataType[field["datatype"]]})
        schema.add_field(VECTOR, DataType.FLOAT_VECTOR, dim=dimension)
        index = MilvusClient.prepare_index_params()
        index.add_index(VECTOR, index_type=EXHAUSTIVE[0], metric_type="IP")
        self._milvus.call(
            "create_collection",
            name,
            schema=schema,
            index_params=index,
            consistency_level="Strong",
        )

    def _vector_fields(self) -> list[dict[str, Any]]:
        fields: list[dict[str, Any]] = [
            {"field_name": ROW, "datatype": "INT64", "is_primary": True}
        ]
        for number, column in enumerate(self._columns):
            value: dict[str, Any] = {"field_name": value_field(number)}
            if column.kind is ColumnKind.TEXT:
                value |= {"datatype": "VARCHAR", "max_length": 32}
            elif column.kind is ColumnKind.TRUTH:
                value |= {"datatype": "INT8"}
            else:
                value |= {"datatype": "DOUBLE"}
                fields.append({"field_name": missing_field(number), "datatype": "INT8"})
            fields.append(value)
        return fields

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
                self._milvus.call("upsert", self._vectors, self._entities(first, vectors))
                self._write_documents(self._row_documents(first, last))
                self._write_documents([(key, digest)])
                written += last - first
            advance(last - first)
        return written, tuple(rectified)

    def _entities(self, first: int, vectors: np.ndarray[Any, Any]) -> list[dict[str, Any]]:
        last = first + len(vectors)
        entities = [
            {ROW: row, VECTOR: vector}
            for row, vector in zip(range(first, last), vectors, strict=True)
        ]
        for number, column in enumerate(self._columns):
            for entity, value in zip(entities, column.values[first:last].tolist(), strict=True):
                entity.update(_stored_value(number, column, value))
        return entities

    def _row_documents(self, first: int, last: int) -> Iterator[tuple[str, str]]:
        for row in range(first, last):
            product = self._bundle.product(row)
            fields = [product.product_id, product.description, product.image, product.attributes]
            yield product_key(row), json.dumps(fields)
            yield row_key(product.product_id), str(row)
        lengths, neighbours, cosines = self._bundle.text_index.lists(first, last)
        ends = np.concatenate([[0], np.cumsum(lengths)])
        for row, begin, end in zip(range(first, last), ends[:-1], ends[1:], strict=True):
            lists = [neighbours[begin:end].tolist(), cosines[begin:end].tolist()]
            yield neighbours_key(row), json.dumps(lists)

    def _small_files(self) -> tuple[str, ...]:
        names = [MANIFEST_FILE, *map(reference_file, self._bundle.profile.models)]
        if self._bundle.calibration is not None:
            names.append(CALIBRATION_FILE)
        return tuple(names)

    def _small_documents(self) -> Iterator[tuple[str, str]]:
        for name in self._small_files():
            content = (self._bundle.folder / name).read_bytes()
            yield file_key(name), base64.b64encode(content).decode("ascii")
        for number, column in enumerate(self._columns):
            if column.kind is ColumnKind.TEXT and column.distinct <= FEW_TEXTS:
                texts = [column.text(code) for code in range(column.distinct)]
                yield texts_key(number), json.dumps(texts)

    def _record(self, rectified: tuple[bool, ...]) -> StoredRecord:
        return StoredRecord(
            layout=LAYOUT,
            version=self._bundle.version,
            vectors=self._vectors,
            built_at=self._bundle.built_at,
            rectified=rectified,
            files=self._small_files(),
        )

    def _write_documents(self, documents: Any) -> None:
        entities = [
            {KEY: key, TEXT: text, VECTOR: NO_VECTOR}
            for document in documents
            for key, text in parts_of(*document)
        ]
        size = 0
        pending: list[dict[str, Any]] = []
        for entity in entities:
            pending.append(entity)
            size += len(entity[TEXT])
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
        rows = len(self._bundle)
        stored = self._milvus.count(self._vectors)
        if stored != rows:
            raise StoreError(
                f"{self._milvus.address}: {self._vectors} has {stored:,} rows instead of {rows:,}. "
                f"Remove this collection and {self._documents}. {RELOAD}"
            )
        sample = np.random.default_rng(0).permutation(rows)[:SAMPLED_ROWS].tolist()
        found = self._milvus.entities(self._vectors, ROW, sample, [VECTOR])
        vectors = {entity[ROW]: np.asarray(entity[VECTOR], np.float32) for entity in found}
        wanted = dict(document for row in sample for document in self._row_documents(row, row + 1))
        documents = self._milvus.documents(self._documents, wanted)
        for row in sample:
            expected = np.concatenate(
                [matrix[row].astype(np.float32) for matrix in self._bundle.descriptors]
            )
            keys = (product_key(row), neighbours_key(row))
            if not np.array_equal(vectors.get(row, ()), expected) or any(
                documents.get(key) != wanted[key] for key in keys
            ):
                raise StoreError(
                    f"{self._milvus.address}: row {row} in {self._vectors} and {self._documents} "
                    f"is not that of the index. Remove both collections. {RELOAD}"
                )

    def _publish(self, before: str | None) -> None:
        alias = self._milvus.address.collection
        if before is None:
            self._milvus.call("create_alias", self._documents, alias)
        elif before != self._documents:
            self._milvus.call("alter_alias", self._documents, alias)


def _stored_value(number: int, column: Column, value: Any) -> dict[str, Any]:
    """The fields of one value of a column."""
    if column.kind is ColumnKind.TEXT:
        is_missing = value == column.missing_code
        return {value_field(number): "" if is_missing else text_digest(column.text(value))}
    if column.kind is ColumnKind.TRUTH:
        return {value_field(number): value}
    is_missing = np.isnan(value)
    return {
        value_field(number): 0.0 if is_missing else value,
        missing_field(number): int(is_missing),
    }


def _document_fields() -> list[dict[str, Any]]:
    key = {
        "field_name": KEY,
        "datatype": "VARCHAR",
        "max_length": LONGEST_KEY,
        "is_primary": True,
    }
    return [key, {"field_name": TEXT, "datatype": "VARCHAR", "max_length": LONGEST_TEXT}]
