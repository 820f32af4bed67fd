"""The reader of catalogues: id, image, description and attributes of each product.

A catalogue is a file ``catalog.csv`` (UTF-8, with a header), ``catalog.parquet`` or
``catalog.jsonl`` with the columns ``id``, ``image`` (a path relative to the file) and
``description``. Further columns are attributes, which every result returns. The reader also takes
a folder in the layout of Perfect-500K: see ``perfect_500k``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from export.dataset.csv_file import Record, check_columns, csv_records, open_text
from export.dataset.perfect_500k import TRAINING_FILE, training_records
from retrieval_server.errors import CatalogueError

REQUIRED_COLUMNS = ("id", "image", "description")
NAMES = ("catalog.csv", "catalog.parquet", "catalog.jsonl")
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class CatalogueRow:
    """One product image with its text.

    Attributes:
        product_id: unique within the catalogue.
        image: path of the image, relative to the catalogue file.
        description: free text; may be empty.
        attributes: the further columns.
    """

    product_id: str
    image: str
    description: str
    attributes: dict[str, str]


@dataclass(frozen=True)
class Catalogue:
    """The products of a catalogue.

    Attributes:
        path: the catalogue file.
        rows: the products, in the order of the file.
    """

    path: Path
    rows: tuple[CatalogueRow, ...]

    def image_path(self, row: CatalogueRow) -> Path:
        """Path of a row's image file."""
        return self.path.parent / row.image


def read_catalogue(path: Path) -> Catalogue:
    """Read a catalogue.

    Args:
        path: the file, or the folder that holds it under one of ``NAMES``.

    Raises:
        CatalogueError: if it is missing, has another form, lacks a column, is empty, or repeats an
            id; names the line.
    """
    file = _find(path)
    readers = {
        TRAINING_FILE: _perfect_500k_records,
        ".csv": _csv_records,
        ".parquet": _parquet_records,
        ".jsonl": _jsonl_records,
    }
    reader = readers.get(file.name) or readers.get(file.suffix)
    if reader is None:
        raise CatalogueError(f"Catalogue {file} must be a .csv, .parquet or .jsonl file.")
    rows = tuple(_rows(file, reader(file)))
    if not rows:
        raise CatalogueError(f"Catalogue {file} has no rows.")
    return Catalogue(file, rows)


def _find(path: Path) -> Path:
    if not path.is_dir():
        if not path.exists():
            raise CatalogueError(f"There is no catalogue at {path}.")
        return path
    names = (*NAMES, TRAINING_FILE)
    for name in names:
        if (path / name).is_file():
            return path / name
    raise CatalogueError(f"The folder {path} has none of: {', '.join(names)}.")


def _csv_records(file: Path) -> Iterator[tuple[str, Record]]:
    return csv_records(file, REQUIRED_COLUMNS)


def _perfect_500k_records(file: Path) -> Iterator[tuple[str, Record]]:
    return training_records(file, REQUIRED_COLUMNS)


def _parquet_records(file: Path) -> Iterator[tuple[str, Record]]:
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.ParquetFile(file)
        check_columns(file, table.schema_arrow.names, REQUIRED_COLUMNS)
        number = 0
        for batch in table.iter_batches():
            for record in batch.to_pylist():
                number += 1
                yield f"row {number}", record
    except (pyarrow.ArrowException, OSError) as error:
        raise CatalogueError(f"Cannot read the catalogue {file}: {error}.") from error


def _jsonl_records(file: Path) -> Iterator[tuple[str, Record]]:
    with open_text(file) as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except ValueError as error:
                raise CatalogueError(f"{file}, line {number} is no JSON: {error}.") from error
            if not isinstance(record, dict):
                raise CatalogueError(f"{file}, line {number} is no JSON object.")
            if missing := [column for column in REQUIRED_COLUMNS if column not in record]:
                raise CatalogueError(
                    f"{file}, line {number} has no {', '.join(map(repr, missing))}. Rename or add "
                    "it."
                )
            yield f"line {number}", record


def _rows(file: Path, records: Iterable[tuple[str, Record]]) -> Iterator[CatalogueRow]:
    locations: dict[str, str] = {}
    for location, record in records:
        texts = {column: _text(value) for column, value in record.items()}
        if unusable := [column for column, text in texts.items() if not _is_storable(text)]:
            raise CatalogueError(
                f"{file}, {location}: the {unusable[0]} holds a NUL character or half a surrogate "
                "pair. Remove it."
            )
        product_id, image, description = (texts.pop(column) for column in REQUIRED_COLUMNS)
        if not product_id.strip() or not image.strip():
            empty = "image" if product_id.strip() else "id"
            raise CatalogueError(f"{file}, {location}: the {empty} is empty.")
        if product_id in locations:
            raise CatalogueError(
                f"{file}, {location}: the id {product_id!r} is already in "
                f"{locations[product_id]}. Ids must be unique."
            )
        locations[product_id] = location
        attributes = {column: text for column, text in texts.items() if text}
        yield CatalogueRow(product_id, image, description, attributes)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool | int | float | list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)  # a text; or a date or a decimal, which Parquet has and JSON lacks


def _is_storable(text: str) -> bool:
    """Tell whether a text can be written as UTF-8 and, as a path, be opened."""
    return not _UNSTORABLE.search(text)
