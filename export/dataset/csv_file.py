"""The reader of CSV files, by row; its errors name the file and the line.

The separator is a comma, a semicolon, a tab or a vertical bar: the one under which the header has
the columns that are needed. Excel's line ``sep=;`` before the header is understood as well.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple, TextIO

from export.dataset.table import (
    NO_COLUMNS,
    NeededColumns,
    Record,
    check_columns,
    column_names,
    is_blank,
    shown,
)
from export.dataset.text_file import open_text
from retrieval_server.errors import CatalogueError

LONGEST_FIELD = 2**24  # characters; real descriptions exceed csv's own limit of 2**17
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
_EXCEL_SEPARATOR = re.compile(r'\ufeff?"?sep=(.)"?\s*', re.IGNORECASE)
_JSON = re.compile(r'\ufeff?\s*[\[{]\s*(["{\[]|\Z)')
_PANDAS_INDEX = ("", "Unnamed: 0")  # the first column, where pandas wrote the index of its rows

Row = tuple[str, list[str]]


class _Opening(NamedTuple):
    """What the first lines of a CSV file tell.

    Attributes:
        lines: the lines that were read and belong to the rows.
        skipped: the number of lines before them.
        separator: what separates the fields.
        spaced: whether a space follows it.
    """

    lines: list[str]
    skipped: int
    separator: str
    spaced: bool


def csv_records(file: Path, needed: NeededColumns) -> Iterator[tuple[str, Record]]:
    """Read a CSV file with a header, row by row.

    Args:
        file: see ``open_text``.
        needed: columns it must have.

    Yields:
        The location, such as ``line 7``, and the row.

    Raises:
        CatalogueError: if the file cannot be read, a column is missing or appears twice, or a row
            does not fit the header.
    """
    rows = csv_table(file, needed)
    _, header = next(rows, ("", []))
    if len(header) == 1 < len(needed.usual):
        named = ", ".join(map(repr, needed.usual))
        raise CatalogueError(
            f"{file} has one column, {shown(header[0])}. It needs a header with the columns "
            f"{named}, separated by {' or '.join(SEPARATORS.values())}."
        )
    check_columns(file, header, needed)
    for location, fields in rows:
        yield location, dict(zip(header, fields, strict=True))


def csv_table(file: Path, needed: NeededColumns = NO_COLUMNS) -> Iterator[Row]:
    """Read a CSV file whose rows have as many fields as its header, the header among them.

    The column in which pandas writes the index of its rows is left out.

    Args:
        file: see ``open_text``.
        needed: columns it should have, by which the separator is recognised.

    Yields:
        The location, such as ``line 7``, and the fields; first those of the header.

    Raises:
        CatalogueError: if the file cannot be read, is no CSV, or a row does not fit the header.
    """
    with open_text(file) as lines:
        opening = _read_opening(lines, needed)
        if _JSON.match("".join(opening.lines[-1:])):
            raise CatalogueError(
                f"{file} is JSON. Write one object on each line, and give it the suffix .jsonl."
            )
        rows = _rows(file, lines, opening)
        location, written = next(rows, ("", []))
        header = list(column_names(tuple(written), needed))
        while header and not header[-1]:
            header.pop()
        first = 1 if len(header) > 1 and header[0] in _PANDAS_INDEX else 0
        if header:
            yield location, header[first:]
        for location, fields in rows:
            while len(fields) > len(header) and not fields[-1].strip():
                fields.pop()
            if len(fields) != len(header):
                raise CatalogueError(
                    f"{file}, {location}: {_misfit(len(fields), len(header), opening.separator)}"
                )
            if fields[-1] == written[len(header) - 1] and _is_header(fields, header, needed):
                raise CatalogueError(f"{file}, {location}: the header again. Remove such lines.")
            yield location, fields[first:] if first else fields


def _is_header(fields: list[str], header: list[str], needed: NeededColumns) -> bool:
    """Tell whether a row is the header of another file that was joined to this one."""
    return list(column_names(tuple(fields), needed)) == header


def _misfit(fields: int, columns: int, separator: str) -> str:
    problem = f"the row does not have the header's {columns} fields"
    if fields < columns:
        return f"{problem}: the last {columns - fields} are missing. Add them; they may be empty."
    named = SEPARATORS.get(separator, repr(separator))
    return f"{problem}. Quote texts that hold {named}."


def csv_rows(file: Path, needed: NeededColumns = NO_COLUMNS) -> Iterator[Row]:
    """Read a CSV file, rows of any length, the header among them; blank rows are left out.

    Args:
        file: see ``open_text``.
        needed: columns it should have, by which the separator is recognised.

    Yields:
        The location, such as ``line 7``, and the fields.

    Raises:
        CatalogueError: if the file cannot be read or is no CSV.
    """
    with open_text(file) as lines:
        yield from _rows(file, lines, _read_opening(lines, needed))


def _rows(file: Path, lines: TextIO, opening: _Opening) -> Iterator[Row]:
    csv.field_size_limit(LONGEST_FIELD)
    reader = csv.reader(
        chain(opening.lines, lines),
        delimiter=opening.separator,
        skipinitialspace=opening.spaced,
        strict=True,
    )
    last = opening.skipped
    try:
        for fields in reader:
            last = opening.skipped + reader.line_num
            if not is_blank(fields):
                yield f"line {last}", fields
    except csv.Error as error:
        # The row's first line: where its quote opens, if that is what is wrong with it.
        raise CatalogueError(
            f"{file}, line {last + 1}: {error}. A text in quotes ends at the next quote: write "
            'those inside it twice, as "".'
        ) from error


def _read_opening(lines: TextIO, needed: NeededColumns) -> _Opening:
    read: list[str] = []
    skipped = 0
    separators = tuple(SEPARATORS)
    while line := lines.readline(LONGEST_FIELD):
        if not read and (named := _EXCEL_SEPARATOR.fullmatch(line)):
            skipped += 1
            separators = (named[1],)
            continue
        read.append(line)
        if not is_blank([line]):
            break
    return _Opening(read, skipped, *_separator("".join(read[-1:]), separators, needed))


def _separator(header: str, separators: Sequence[str], needed: NeededColumns) -> tuple[str, bool]:
    """The separator under which a line has most of the needed columns, then most fields."""

    def fit(separator: str) -> tuple[int, int]:
        names = column_names(tuple(_fields(header, separator)), needed)
        return (len(set(needed.names).intersection(names)), len(names))

    separator = max(separators, key=fit)
    further = _fields(header, separator)[1:]
    return separator, bool(further) and all(name.startswith(" ") for name in further)


def _fields(line: str, separator: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=separator), [])
    except csv.Error:  # the reader of the rows says what is wrong
        return []
