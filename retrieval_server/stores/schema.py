"""The fields of the collections of a version in Milvus, as the layout has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from retrieval_server.attributes.values import ColumnKind
from retrieval_server.stores.layout import (
    DIGEST_CHARACTERS,
    FIRST,
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

Field = dict[str, Any]  # the arguments of pymilvus' ``add_field``, the type by its name


def vector_fields(dimension: int, kinds: Sequence[ColumnKind]) -> list[Field]:
    """The fields of the collection with the vectors.

    Args:
        dimension: D.
        kinds: those of the columns of the catalogue.
    """
    row = {"field_name": ROW, "datatype": "INT64", "is_primary": True}
    values = [field for n, kind in enumerate(kinds) for field in _fields_of(n, kind)]
    return [row, _vector(dimension), *values]


def document_fields() -> list[Field]:
    """The fields of the collection with the documents."""
    key = {"field_name": KEY, "max_length": LONGEST_KEY, "is_primary": True}
    text = {"field_name": TEXT, "max_length": LONGEST_TEXT}
    return [*({"datatype": "VARCHAR", **field} for field in (key, text)), _vector(len(NO_VECTOR))]


def change_fields() -> list[Field]:
    """The fields of the collection with the changes."""
    return [*document_fields(), {"field_name": FIRST, "datatype": "INT64"}]


def _vector(dimension: int) -> Field:
    return {"field_name": VECTOR, "datatype": "FLOAT_VECTOR", "dim": dimension}


def _fields_of(number: int, kind: ColumnKind) -> list[Field]:
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
