"""The reader of catalogues: id, image, description and attributes of each product.

A catalogue is a file ``catalog.csv`` (with a header), ``catalog.parquet`` or ``catalog.jsonl`` with
the columns ``id``, ``image`` (a path relative to the file) and ``description``. Further columns are
attributes, which every result returns. A product may have several images: see ``product_images``.
The reader also takes a folder in the layout of Perfect-500K: see ``perfect_500k``.

A description becomes plain text: see ``plain_text``. All other values stay as the file has them,
but for the padding of ids, names of products, and paths.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from export.dataset.cell import CellError, attribute_text, description_text, name_text, storable
from export.dataset.csv_file import csv_records
from export.dataset.image_cell import image_text, is_address
from export.dataset.jsonl_file import jsonl_records
from export.dataset.parquet_file import parquet_records
from export.dataset.perfect_500k import TRAINING_FILE, training_table
from export.dataset.product_images import ID, IMAGE, IMAGES, ProductImages
from export.dataset.table import NeededColumns, Record, Table, is_blank, shown
from export.dataset.text_file import readable
from retrieval_server.attributes.names import PRODUCT_COLUMN
from retrieval_server.errors import CatalogueError
from retrieval_server.text.plain_text import plain_text

DESCRIPTION = "description"
COLUMNS = NeededColumns(((ID, PRODUCT_COLUMN), (IMAGE, IMAGES), (DESCRIPTION,)))
NAMES = ("catalog.csv", "catalog.parquet", "catalog.jsonl")
_READERS = {".csv": csv_records, ".parquet": parquet_records, ".jsonl": jsonl_records}
_TEXTS = {  # how the values of our columns become texts
    ID: name_text,
    PRODUCT_COLUMN: name_text,
    IMAGE: image_text,
    DESCRIPTION: description_text,
}
_ROW_COLUMNS = {ID, IMAGE, IMAGES, DESCRIPTION}  # all others are attributes


@dataclass(frozen=True, slots=True)
class CatalogueRow:
    """One product image with its text.

    Attributes:
        product_id: unique within the catalogue.
        image: path of the image, relative to the catalogue file.
        description: plain text; may be empty.
        attributes: the further columns.
    """

    product_id: str
    image: str
    description: str
    attributes: dict[str, str]


@dataclass(frozen=True)
class CleanedDescriptions:
    """The descriptions that are not as the file has them, by product id.

    Attributes:
        markup: those that held markup or invisible characters, as they were.
        placeholders: those that stood for a missing one, such as "N/A", as they were; now empty.
    """

    markup: dict[str, str] = field(default_factory=dict)
    placeholders: dict[str, str] = field(default_factory=dict)

    def plain(self, product_ids: Iterable[str], text: str) -> str:
        """Turn a description into plain text, and note what changed."""
        plain = plain_text(text)
        if plain != text:
            noted = self.markup if plain.strip() else self.placeholders
            noted.update(dict.fromkeys(product_ids, text))
        return plain


@dataclass(frozen=True)
class Catalogue:
    """The products of a catalogue.

    Attributes:
        path: the catalogue file.
        rows: the products, in the order of the file.
        columns: the names of the further columns, also of those without a value; in the order of
            the file.
        cleaned: the descriptions that the reader changed.
        notes: what a person should know about how the file was understood.
    """

    path: Path
    rows: tuple[CatalogueRow, ...]
    columns: tuple[str, ...]
    cleaned: CleanedDescriptions = field(default_factory=CleanedDescriptions)
    notes: tuple[str, ...] = ()

    def image_path(self, row: CatalogueRow) -> Path:
        """Path of a row's image file."""
        return self.path.parent / row.image


def read_catalogue(path: Path) -> Catalogue:
    """Read a catalogue.

    Args:
        path: the file, or the folder that holds it under one of ``NAMES``.

    Raises:
        CatalogueError: if it is missing, has another form, lacks a column, is empty, holds a value
            that has no exact text, or repeats an id; names the line. Also if most images are
            addresses.
    """
    with readable(path):
        file = _find(path)
    table = _table(file)
    cleaned = CleanedDescriptions()
    columns: dict[str, None] = {}
    images = ProductImages(file)
    with _without_garbage_collection():
        rows = tuple(_rows(file, table.records, images, cleaned, columns))
    if not rows:
        raise CatalogueError(f"Catalogue {file} has no rows.")
    _refuse_addresses(file, rows, images.column)
    return Catalogue(file, rows, tuple(columns), cleaned, table.notes + images.notes)


def _find(path: Path) -> Path:
    if not path.is_dir():
        if not path.exists():
            raise CatalogueError(f"There is no catalogue at {path}.")
        return path
    names = (*NAMES, TRAINING_FILE)
    for name in names:
        if (path / name).is_file():
            return path / name
    for folder in (path, *(path / name for name in names)):
        if folder.is_dir() and (parts := sorted(folder.glob("part-*"))):  # as Spark writes them
            raise CatalogueError(
                f"{folder} is a folder of parts, such as {parts[0].name}. Write one file."
            )
        if folder != path and folder.is_dir():
            raise CatalogueError(f"{folder} is a folder. It must be a file.")
    raise CatalogueError(f"The folder {path} has none of: {', '.join(names)}.")


def _table(file: Path) -> Table:
    if file.name == TRAINING_FILE:
        return training_table(file, COLUMNS.usual)
    reader = _READERS.get(file.suffix.lower())
    if reader is None:
        raise CatalogueError(f"Catalogue {file} must be a .csv, .parquet or .jsonl file.")
    return Table(reader(file, COLUMNS))


def _rows(
    file: Path,
    records: Iterable[tuple[str, Record]],
    images: ProductImages,
    cleaned: CleanedDescriptions,
    columns: dict[str, None],
) -> Iterator[CatalogueRow]:
    """The images of the products; notes in ``columns`` the further columns of the file."""
    for location, record in records:
        texts = _texts(file, location, record)
        if is_blank(texts.values()):
            continue
        found = images.of(location, texts)
        description = cleaned.plain(found.paths, texts[DESCRIPTION])
        further = {name: text for name, text in texts.items() if name not in _ROW_COLUMNS}
        if found.product or PRODUCT_COLUMN in further:
            further[PRODUCT_COLUMN] = found.product
        if further:
            columns.update(dict.fromkeys(further))
        attributes = {column: text for column, text in further.items() if text}
        for product_id, path in found.paths.items():
            yield CatalogueRow(product_id, path, description, attributes)


def _texts(file: Path, location: str, record: Record) -> dict[str, str]:
    """The texts of a record by column."""
    column = ""
    try:
        texts = {}
        for column, value in record.items():
            texts[column] = _text_of(column)(value)
    except CellError as error:
        raise CatalogueError(f"{file}, {location}: the {_column(column)} {error}.") from error
    return texts


@lru_cache(maxsize=1024)  # all rows of a file have the same few columns
def _text_of(column: str) -> Callable[[object], str]:
    """How the values of a column become texts; refuses a name that cannot be stored."""
    return _TEXTS.get(storable(column), attribute_text)


def _column(name: str) -> str:
    """A column in a message: ours by its name, another one in quotes."""
    return name if name in _TEXTS else f"column {shown(name)}"


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Keep Python from looking again and again for cycles among rows, which have none."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _refuse_addresses(file: Path, rows: tuple[CatalogueRow, ...], column: str) -> None:
    """Refuse a catalogue that names no files; a few addresses are rejected as missing images."""
    addresses = [row for row in rows if is_address(row.image)]
    if len(addresses) * 2 > len(rows):
        first = addresses[0]
        raise CatalogueError(
            f"{file}: {len(addresses):,} of {len(rows):,} images are addresses, such as "
            f"{shown(first.image)} of the id {shown(first.product_id)}. Download the images unless "
            f"they are here, and write the paths of the files into the column {column!r}."
        )
