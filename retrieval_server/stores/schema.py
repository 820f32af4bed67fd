"""Creates the collections of a version in Milvus; their fields are those of the layout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from retrieval_server.attributes.columns import Column
from retrieval_server.attributes.values import ColumnKind
from retrieval_server.stores.layout import (
    DIGEST_CHARACTERS,
    KEY,
    LONGEST_KEY,
    LONGEST_TEXT,
    NO_VECTOR,
    ROW,
    TEXT,
    VECTOR,
    missing_field,
    value_field,
)
from retrieval_server.stores.milvus import Milvus

VECTOR_INDEX = {"index_type": "FLAT", "metric_type": "IP"}  # compares every vector


def create_vectors(milvus: Milvus, name: str, dimension: int, columns: Sequence[Column]) -> None:
    """Create the collection of the vectors, unless there is one.

    Args:
        milvus: the connection.
        name: of the collection.
        dimension: D.
        columns: the columns of the catalogue.

    Raises:
        StoreUnavailableError: if Milvus fails.
    """
    fields: list[dict[str, Any]] = [{"field_name": ROW, "datatype": "INT64", "is_primary": True}]
    for number, column in enumerate(columns):
        fields += _fields_of(number, column.kind)
    _create(milvus, name, dimension, fields)


def create_documents(milvus: Milvus, name: str) -> None:
    """Create the collection of the documents, unless there is one.

    Args:
        milvus: the connection.
        name: of the collection.

    Raises:
        StoreUnavailableError: if Milvus fails.
    """
    key = {"field_name": KEY, "max_length": LONGEST_KEY, "is_primary": True}
    text = {"field_name": TEXT, "max_length": LONGEST_TEXT}
    fields = [{"datatype": "VARCHAR", **field} for field in (key, text)]
    _create(milvus, name, len(NO_VECTOR), fields)


def _fields_of(number: int, kind: ColumnKind) -> list[dict[str, Any]]:
    """The fields of a column."""
    name = value_field(number)
    if kind is ColumnKind.TEXT:
        return [{"field_name": name, "datatype": "VARCHAR", "max_length": DIGEST_CHARACTERS}]
    if kind is ColumnKind.TRUTH:
        return [{"field_name": name, "datatype": "INT8"}]
    return [
        {"field_name": name, "datatype": "DOUBLE"},
        {"field_name": missing_field(number), "datatype": "INT8"},
    ]


def _create(milvus: Milvus, name: str, dimension: int, fields: list[dict[str, Any]]) -> None:
    if milvus.has_collection(name):
        return
    from pymilvus import DataType, MilvusClient

    schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    for field in fields:
        schema.add_field(**{**field, "datatype": DataType[field["datatype"]]})
    schema.add_field(VECTOR, DataType.FLOAT_VECTOR, dim=dimension)
    index = MilvusClient.prepare_index_params()
    index.add_index(VECTOR, **VECTOR_INDEX)
    milvus.call(
        "create_collection", name, schema=schema, index_params=index, consistency_level="Strong"
    )
