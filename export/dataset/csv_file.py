"""The reader of CSV files, by row; its errors name the file and the line."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from retrieval_server.errors import CatalogueError

LONGEST_FIELD = 2**24  # characters; real descriptions exceed csv's own limit of 2**17

Record = Mapping[str, Any]


def csv_records(file: Path, required: Iterable[str]) -> Iterator[tuple[str, Record]]:
    """Read a CSV file with a header, row by row.

    Args:
        file: UTF-8, with or without a byte-order mark.
        required: columns it must have.

    Yields:
        The location, such as ``line 7``, and the row.

    Raises:
        CatalogueError: if the file cannot be read, a column is missing or appears twice, or a row
            does not fit the header.
    """
    rows = csv_rows(file)
    _, header = next(rows, ("", []))
    check_columns(file, header, required)
    for location, fields in rows:
        if len(fields) != len(header):
            raise CatalogueError(
                f"{file}, {location}: the row does not have the header's {len(header)} fields. "
                "Quote texts that hold commas."
            )
        yield location, dict(zip(header, fields, strict=True))


def csv_rows(file: Path) -> Iterator[tuple[str, list[str]]]:
    """Read a CSV file, rows of any length, the header among them; empty lines are left out.

    Args:
        file: UTF-8, with or without a byte-order mark.

    Yields:
        The location, such as ``line 7``, and the fields.

    Raises:
        CatalogueError: if the file cannot be read or is no CSV.
    """
    csv.field_size_limit(LONGEST_FIELD)
    with open_text(file) as lines:
        reader = csv.reader(lines, strict=True)
        last = 0
        try:
            for fields in reader:
                last = reader.line_num
                if fields:
                    yield f"line {last}", fields
        except csv.Error as error:
            # The row's first line: where its quote opens, if that is what is wrong with it.
            raise CatalogueError(f"{file}, line {last + 1}: {error}.") from error


@contextmanager
def open_text(file: Path) -> Iterator[TextIO]:
    """Open a text file; an error while it is read becomes a ``CatalogueError`` that names it."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            yield lines
    except OSError as error:
        raise CatalogueError(f"Cannot read {file}: {error.strerror}.") from error
    except UnicodeDecodeError as error:  # its position is that in a buffer, not in the file
        raise CatalogueError(
            f"{file} is not UTF-8 (line {_first_line_not_utf8(file):,}). Save it as UTF-8."
        ) from error


def check_columns(file: Path, columns: Iterable[str], required: Iterable[str]) -> None:
    """Refuse a header that lacks a column or has one twice.

    Raises:
        CatalogueError: naming the column.
    """
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


def _first_line_not_utf8(file: Path) -> int:
    """Number of the first line that is not UTF-8, from 1."""
    data = file.read_bytes()
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return data.count(b"\n", 0, error.start) + 1
    return 1
