"""The plain catalogue: some products of the sample, with what real feeds have and it lacks."""

import csv
from collections.abc import Sequence
from pathlib import Path

from tests.support.export.feeds.dialect import CSV, Row, csv_file

BRANDS = ("Éclat d'Or", "Orrinsby")  # accents, Japanese, apostrophes and ampersands
FIRST_ID = 1000  # shops number their products, and data frames make numbers of such ids
WITHOUT_DESCRIPTION = (4, 17)
WITHOUT_PRICE = (6, 20)
SHADE = "Grenat 403"  # a text between quotes


def plain_rows(sample: Path) -> list[Row]:
    """The products, from the folder of the whole sample catalogue."""
    with (sample / CSV).open(encoding="utf-8", newline="") as file:
        chosen = [row for row in csv.DictReader(file) if row["brand"] in BRANDS]
    return [_plain_row(number, row) for number, row in enumerate(chosen)]


def _plain_row(number: int, row: Row) -> Row:
    changes = {
        "id": str(FIRST_ID + int(row["id"].lstrip("s"))),
        "description": row["description"].replace(SHADE, f'"{SHADE}"'),
    }
    if number in WITHOUT_DESCRIPTION:
        changes["description"] = ""
    if number in WITHOUT_PRICE:
        changes["price"] = ""
    return {**row, **changes}


def write_plain(folder: Path, sample: Path, rows: Sequence[Row]) -> Path:
    """Write the plain catalogue into a new folder; its images are those of the sample."""
    folder.mkdir()
    (folder / "images").symlink_to(sample.resolve() / "images")
    (folder / CSV).write_bytes(csv_file()(rows))
    return folder
