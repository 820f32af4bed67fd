"""Reads a catalogue: id, image and description of each product, and whatever else there is.

``catalog.csv`` (UTF-8, with a header), ``catalog.parquet`` or ``catalog.jsonl`` with the columns
``id``, ``image`` (a path relative to the catalogue file) and ``description``. Further columns are
kept as attributes and come back with every result.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from retrieval_server.errors import CatalogueError

REQUIRED_COLUMNS = ("id", "image", "description")
NAMES = ("catalog.csv", "catalog.parquet", "catalog.jsonl")
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
LONGEST_FIELD = 2**24  # characters; csv's own limit of 2**17 is met by real descriptions

Record = Mapping[str, Any]


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
    """A catalogue in its own order.

    Attributes:
        path: the file it was read from.
        rows: its products.
    """

    path: Path
    rows: tuple[CatalogueRow, ...]

    def image_path(self, row: CatalogueRow) -> Path:
        """Where a row's image lies."""
        return self.path.parent / row.image


def read_catalogue(path: Path) -> Catalogue:
    """Read a catalogue.

    Args:
        path: the file, or the folder that holds it under one of ``NAMES``.

    Raises:
        CatalogueError: if it is missing, of another form, lacks a column, is empty, or repeats an
            id; names the place.
    """
    file = _find(path)
    readers = {".csv": _csv_records, ".parquet": _parquet_records, ".jsonl": _jsonl_records}
    if file.suffix not in readers:
        raise CatalogueError(f"Catalogue {file} must be a .csv, .parquet or .jsonl file.")
    rows = tuple(_rows(file, readers[file.suffix](file)))
    if not rows:
        raise CatalogueError(f"Catalogue {file} has no rows.")
    return Catalogue(file, rows)


def csv_records(file: Path, required: Iterable[str]) -> Iterator[tuple[str, Record]]:
    """Read a CSV file with a header, row by row.

    Args:
        file: UTF-8, with or without a byte-order mark.
        required: columns it must have.

    Yields:
        The place, such as ``line 7``, and the row.

    Raises:
        CatalogueError: if the file cannot be read, a column is missing or stands twice, or a row
            does not fit the header.
    """
    csv.field_size_limit(LONGEST_FIELD)
    with _open_text(file) as lines:
        reader = csv.DictReader(lines, strict=True)
        try:
            _check_columns(file, reader.fieldnames or [], required)
            for record in reader:
                place = f"line {reader.line_num}"
                if None in record or None in record.values():
                    raise CatalogueError(
                        f"{file}, {place}: the row does not have the header's "
                        f"{len(reader.fieldnames or [])} fields. Quote texts that hold commas."
                    )
                yield place, record
        except csv.Error as error:
            # The row's first line: where its quote opens, if that is what is wrong with it.
            raise CatalogueError(f"{file}, line {reader.line_num + 1}: {error}.") from error


@contextmanager
def _open_text(file: Path) -> Iterator[TextIO]:
    """Open a text file; what goes wrong while it is read becomes one error that names it."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            yield lines
    except OSError as error:
        raise CatalogueError(f"Cannot read {file}: {error.strerror}.") from error
    except UnicodeDecodeError as error:  # its position is that in a buffer, not in the file
        raise CatalogueError(
            f"{file} is not UTF-8 (line {_first_line_not_utf8(file):,}). Save it as UTF-8."
        ) from error


def _first_line_not_utf8(file: Path) -> int:
    """Number of the first line that is not UTF-8, from 1."""
    data = file.read_bytes()
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return data.count(b"\n", 0, error.start) + 1
    return 1


def _find(path: Path) -> Path:
    if not path.is_dir():
        if not path.exists():
            raise CatalogueError(f"There is no catalogue at {path}.")
        return path
    for name in NAMES:
        if (path / name).is_file():
            return path / name
    raise CatalogueError(f"The folder {path} has none of: {', '.join(NAMES)}.")


def _check_columns(file: Path, columns: Iterable[str], required: Iterable[str]) -> None:
    present = list(columns)
    if missing := [column for column in required if column not in present]:
        raise CatalogueError(
            f"{file} has no column {', '.join(map(repr, missing))}; its columns are "
            f"{', '.join(map(repr, present)) or 'none'}. Rename or add it."
        )
    if repeated := sorted({column for column in present if present.count(column) > 1}):
        raise CatalogueError(
            f"{file} has the column {', '.join(map(repr, repeated))} more than once. Rename or "
            "remove the others."
        )


def _csv_records(file: Path) -> Iterator[tuple[str, Record]]:
    return csv_records(file, REQUIRED_COLUMNS)


def _parquet_records(file: Path) -> Iterator[tuple[str, Record]]:
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.ParquetFile(file)
        _check_columns(file, table.schema_arrow.names, REQUIRED_COLUMNS)
        number = 0
        for batch in table.iter_batches():
            for record in batch.to_pylist():
                number += 1
                yield f"row {number}", record
    except (pyarrow.ArrowException, OSError) as error:
        raise CatalogueError(f"Cannot read the catalogue {file}: {error}.") from error


def _jsonl_records(file: Path) -> Iterator[tuple[str, Record]]:
    with _open_text(file) as lines:
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
    places: dict[str, str] = {}
    for place, record in records:
        texts = {column: _text(value) for column, value in record.items()}
        if unusable := [column for column, text in texts.items() if not _is_storable(text)]:
            raise CatalogueError(
                f"{file}, {place}: the {unusable[0]} holds a NUL character or half a surrogate "
                "pair. Remove it."
            )
        product_id, image, description = (texts.pop(column) for column in REQUIRED_COLUMNS)
        if not product_id.strip() or not image.strip():
            empty = "image" if product_id.strip() else "id"
            raise CatalogueError(f"{file}, {place}: the {empty} is empty.")
        if product_id in places:
            raise CatalogueError(
                f"{file}, {place}: the id {product_id!r} stands in {places[product_id]} already. "
                "Ids must be unique."
            )
        places[product_id] = place
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
