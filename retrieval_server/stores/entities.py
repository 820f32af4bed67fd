"""What a version of an index becomes in Milvus: the entities of its rows, and its documents."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval_server.attributes.columns import Column
from retrieval_server.attributes.values import ColumnKind
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.index.calibration import CALIBRATION_FILE
from retrieval_server.index.manifest import MANIFEST_FILE
from retrieval_server.index.reference_image import reference_file
from retrieval_server.stores.layout import (
    FEW_TEXTS,
    PIECE_BYTES,
    ROW,
    VECTOR,
    file_key,
    missing_field,
    neighbours_key,
    piece_key,
    product_key,
    read_key,
    row_key,
    text_digest,
    texts_key,
    value_field,
)

Document = tuple[str, str]  # key and text


class IndexEntities:
    """The entities of an index.

    Args:
        bundle: the index.

    Attributes:
        columns: the columns of the catalogue, in the order of the manifest.
    """

    def __init__(self, bundle: IndexBundle) -> None:
        self._bundle = bundle
        self.columns = [bundle.columns[name] for name in bundle.columns.names]

    def of_rows(self, first: int, vectors: NDArray[np.float32]) -> list[dict[str, Any]]:
        """The entities of some rows in a row.

        Args:
            first: the first row.
            vectors: (m, D), the descriptors side by side.
        """
        last = first + len(vectors)
        entities = [
            {ROW: row, VECTOR: vector}
            for row, vector in zip(range(first, last), vectors, strict=True)
        ]
        for number, column in enumerate(self.columns):
            for entity, value in zip(entities, column.values[first:last].tolist(), strict=True):
                entity.update(_stored_value(number, column, value))
        return entities

    def documents_of_rows(self, first: int, last: int) -> Iterator[Document]:
        """The documents of the rows [first, last)."""
        for row in range(first, last):
            product = self._bundle.product(row)
            fields = [product.product_id, product.description, product.image, product.attributes]
            yield product_key(row), json.dumps(fields)
            yield row_key(product.product_id), str(row)
            if self._bundle.manifest.words.reader:
                yield read_key(row), json.dumps(self._bundle.read(row))
        lengths, neighbours, cosines = self._bundle.text_index.lists(first, last)
        ends = np.concatenate([[0], np.cumsum(lengths)])
        for row, begin, end in zip(range(first, last), ends[:-1], ends[1:], strict=True):
            lists = [neighbours[begin:end].tolist(), cosines[begin:end].tolist()]
            yield neighbours_key(row), json.dumps(lists)

    def pieces_of(self, name: str) -> Iterator[Document]:
        """The documents of a file in pieces."""
        with (self._bundle.folder / name).open("rb") as file:
            for number in itertools.count():
                if not (piece := file.read(PIECE_BYTES)):
                    return
                yield piece_key(name, number), base64.b64encode(piece).decode("ascii")

    def small_files(self) -> tuple[str, ...]:
        """The names of the files that are stored as they are."""
        names = [MANIFEST_FILE, *map(reference_file, self._bundle.profile.models)]
        if self._bundle.calibration is not None:
            names.append(CALIBRATION_FILE)
        return tuple(names)

    def small_documents(self) -> Iterator[Document]:
        """The documents of these files, and of the columns with few texts."""
        for name in self.small_files():
            content = (self._bundle.folder / name).read_bytes()
            yield file_key(name), base64.b64encode(content).decode("ascii")
        for number, column in enumerate(self.columns):
            if column.kind is ColumnKind.TEXT and column.distinct <= FEW_TEXTS:
                texts = [column.text(code) for code in range(column.distinct)]
                yield texts_key(number), json.dumps(texts)


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
