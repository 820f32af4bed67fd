"""A dialect: how it writes the products, and what should come out."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Row = Mapping[str, str]  # a product of the plain catalogue, by column
Cell = Callable[[Row], str]
Columns = Mapping[str, Cell]  # the columns of a feed, in order
Content = Callable[[Sequence[Row]], bytes]

CSV = "catalog.csv"
JSONL = "catalog.jsonl"
PARQUET = "catalog.parquet"


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """One way to write a catalogue.

    Attributes:
        name: who writes so.
        content: makes the bytes of the file.
        file: its name; where it lies in a folder of its own, the command gets that folder.
        refused: a pattern that the one line of the refusal must hold; "" expects the index of the
            plain catalogue.
        stored: the row that the index should hold of a product.
        image: where the image of a product lies, if not where the plain catalogue has it.
    """

    name: str
    content: Content
    file: str = CSV
    refused: str = ""
    stored: Callable[[Row], Row] = dict
    image: Cell | None = None


def column(name: str) -> Cell:
    return lambda row: row[name]


PLAIN: Columns = {
    name: column(name) for name in ("id", "image", "description", "brand", "category", "price")
}


def constant(text: str) -> Cell:
    return lambda _: text


def renamed(columns: Columns, names: Mapping[str, str]) -> Columns:
    """The same columns in the same order, some under a new name."""
    return {names.get(name, name): cell for name, cell in columns.items()}


def written(columns: Columns, *plain: str) -> Callable[[Row], Row]:
    """The row that the index holds: cells as written, of some columns the plain catalogue's."""
    return lambda row: {
        name: row[name] if name in plain else cell(row) for name, cell in columns.items()
    }


def csv_text(columns: Columns, rows: Sequence[Row], **options: object) -> str:
    """The text of a CSV file; the options are those of ``csv.writer``."""
    text = io.StringIO()
    table = csv.writer(text, **{"lineterminator": "\n"} | options)
    table.writerow(columns)
    table.writerows([cell(row) for cell in columns.values()] for row in rows)
    return text.getvalue()


def csv_file(columns: Columns = PLAIN, *, encoding: str = "utf-8", **options: object) -> Content:
    """A CSV file; characters that the encoding lacks become ``?``, as a spreadsheet writes them."""
    return lambda rows: csv_text(columns, rows, **options).encode(encoding, "replace")


def edited(edit: Callable[[str], str], columns: Columns = PLAIN, **options: object) -> Content:
    """A CSV file whose text is changed afterwards, for what ``csv.writer`` does not write."""
    return lambda rows: edit(csv_text(columns, rows, **options)).encode()
