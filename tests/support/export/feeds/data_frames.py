"""CSV of data frames: a column for the index, their words for missing values, ids as floats."""

import csv
from collections.abc import Callable, Sequence

from tests.support.export.feeds.dialect import PLAIN, Columns, Dialect, Row, csv_file, csv_text
from tests.support.export.feeds.json_files import without_zeros


def float_text(name: str) -> Callable[[Row], str]:
    return lambda row: str(float(row[name])) if row[name] else ""


def missing(word: str, *names: str) -> Columns:
    """The plain columns, with a word where one of these has no value."""
    return {
        name: (lambda row, cell=cell: cell(row) or word) if name in names else cell
        for name, cell in PLAIN.items()
    }


def with_index(rows: Sequence[Row]) -> bytes:
    numbered = [{**row, "": str(number)} for number, row in enumerate(rows)]
    return csv_text({"": lambda row: row[""], **PLAIN}, numbered).encode()


def missing_descriptions(word: str) -> Dialect:
    return Dialect(
        name=f"descriptions without a value as {word}",
        content=csv_file(missing(word, "description")),
    )


MISSING = (
    *("N/A", "null", "None", "nan", "<NA>", "undefined", r"\N", "-", "--", "?", "TBD", "#REF!"),
    *("coming soon", "No description available", "keine Angabe", "sin descripción", "暂无"),
)

DIALECTS = (
    Dialect(
        name="pandas, to_csv without the index",
        content=csv_file({**PLAIN, "price": float_text("price")}),
        stored=without_zeros,
    ),
    Dialect(name="pandas, to_csv with the index", content=with_index),
    Dialect(
        name="pandas, to_csv of ids that became floats",
        content=csv_file({**PLAIN, "id": float_text("id")}),
        stored=lambda row: {**row, "id": f"{row['id']}.0"},
    ),
    Dialect(
        name="pandas, to_csv with na_rep='NaN'",
        content=csv_file(missing("NaN", "description", "price")),
        stored=lambda row: {**row, "price": row["price"] or "NaN"},
    ),
    Dialect(
        name="R, write.csv without row names",
        content=csv_file(missing("NA", "description", "price"), quoting=csv.QUOTE_NONNUMERIC),
        stored=lambda row: {**row, "price": row["price"] or "NA"},
    ),
    *map(missing_descriptions, MISSING),
)
