"""Reads the products of a catalogue file, to send them to a server.

The file is a CSV with a header, or JSON lines. It has the columns ``id`` and ``image``, a path
relative to the file, and mostly ``description``; all others are attributes. For other files, and
for products with several images, build an index: ``beauty-export index`` reads them.
"""

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from client.changes import CatalogueProduct
from client.errors import UnreadableFileError

NAMES = ("catalog.csv", "catalog.jsonl")
ID, IMAGE, DESCRIPTION = "id", "image", "description"
NAMED_COLUMNS = 12  # in a message


@dataclass(frozen=True)
class ProductRow:
    """A product of a file.

    Attributes:
        line: its last line in the file, from 1.
        product: the product; without an image, why it cannot be sent is in ``problem``.
        problem: what is wrong with the row; empty if nothing is.
    """

    line: int
    product: CatalogueProduct
    problem: str = ""


def product_rows(path: Path) -> list[ProductRow]:
    """Read a catalogue.

    Args:
        path: the file, or the folder that holds it under one of ``NAMES``.

    Raises:
        UnreadableFileError: if it cannot be read, or has no products or not the columns.
    """
    file = _file_of(path)
    try:
        rows = list(_rows(file))
    except UnicodeDecodeError as error:
        raise UnreadableFileError(
            f"{file} is not UTF-8 (byte {error.start:,} of a piece of it). Save it as UTF-8."
        ) from error
    except csv.Error as error:
        raise UnreadableFileError(f"{file} is no CSV file: {error}.") from error
    except OSError as error:
        raise UnreadableFileError(f"Cannot read {file}: {error.strerror}.") from error
    if not rows:
        raise UnreadableFileError(f"{file} has no products.")
    return rows


def _file_of(path: Path) -> Path:
    found = next((path / name for name in NAMES if (path / name).is_file()), None)
    file = found or path
    if not file.is_file():
        names = " or ".join(NAMES)
        raise UnreadableFileError(
            f"There is no catalogue at {path}. Name a file, or a folder with {names}."
        )
    if file.suffix.lower() not in {".csv", ".jsonl"}:
        raise UnreadableFileError(
            f"{file} must be a .csv or .jsonl file. Build an index of other files: "
            "beauty-export index"
        )
    return file


def _rows(file: Path) -> Iterator[ProductRow]:
    with file.open(encoding="utf-8-sig", newline="") as lines:
        if file.suffix.lower() == ".jsonl":
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield _json_row(file, number, line)
            return
        reader = csv.DictReader(lines, strict=True)
        _require_columns(file, list(reader.fieldnames or ()))
        for values in reader:
            yield _csv_row(file, reader.line_num, values)


def _require_columns(file: Path, names: list[str]) -> None:
    for needed in (ID, IMAGE):
        if needed not in names:
            there = ", ".join(map(repr, names[:NAMED_COLUMNS])) or "none"
            raise UnreadableFileError(f"{file} has no column {needed!r}. Columns: {there}.")


def _csv_row(
    file: Path, line: int, values: Mapping[str | None, str | list[str] | None]
) -> ProductRow:
    texts = {name: value for name, value in values.items() if isinstance(value, str) and name}
    if None in values or None in values.values():
        return _row(file, line, texts, "has another number of fields than the header.")
    return _row(file, line, texts)


def _json_row(file: Path, line: int, content: str) -> ProductRow:
    try:
        values = json.loads(content, parse_int=str, parse_float=str)
    except ValueError as error:
        return _row(file, line, {}, f"is no JSON: {error}.")
    if not isinstance(values, dict):
        return _row(file, line, {}, "is no JSON object.")
    texts: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, dict | list):
            return _row(file, line, texts, f"holds more than one value in {name!r}.")
        if value is not None:
            texts[name] = str(value).lower() if isinstance(value, bool) else value
    return _row(file, line, texts)


def _row(file: Path, line: int, texts: Mapping[str, str], problem: str = "") -> ProductRow:
    image = texts.get(IMAGE, "").strip()
    if not problem and not image:
        problem = "has no image."
    product = CatalogueProduct(
        product_id=texts.get(ID, "").strip(),
        image=file.parent / image,
        description=texts.get(DESCRIPTION, ""),
        image_path=image,
        attributes={
            name: value for name, value in texts.items() if name not in {ID, IMAGE, DESCRIPTION}
        },
    )
    return ProductRow(line, product, problem)
