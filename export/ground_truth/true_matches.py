"""The reader of files of ground truths, row by row.

``ground_truth.csv`` has the columns ``query_image``, a path relative to the file, and ``ids``, the
ids of the database images that show the same item, or the names of products, separated by spaces.
Names that hold spaces are separated by semicolons; one of them stands alone as it is. A column
``words`` may hold what a person types with the photo. The reader recognises the challenge's own
form by its header: see ``perfect_500k``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from export.dataset.csv_file import csv_records
from export.dataset.perfect_500k import (
    TRAINING_FILE,
    has_validation_header,
    validation_file,
    validation_files,
    validation_queries,
)
from export.dataset.table import NeededColumns, UniqueNames, shown, without_padding
from export.dataset.text_file import readable
from retrieval_server.errors import CatalogueError
from retrieval_server.text.word_search import too_many_words

COLUMNS = NeededColumns.of("query_image", "ids")
WORDS_COLUMN = "words"
GROUND_TRUTH_FILE = "ground_truth.csv"


@dataclass(frozen=True)
class TrueMatches:
    """A row of a ground truth.

    Attributes:
        location: its place in the file, such as ``line 7``.
        image: the file of the query.
        readings: the names of its true matches; if the cell can be read in several ways, the first
            whose names the database has is meant.
        words: what a person types with the query; mostly empty.
    """

    location: str
    image: Path
    readings: tuple[frozenset[str], ...]
    words: str = ""

    @property
    def named(self) -> frozenset[str]:
        """The names of all readings."""
        return frozenset().union(*self.readings)


def ground_truth_file(path: Path) -> Path:
    """Find the file of a ground truth.

    Args:
        path: the dataset's folder, or the file.

    Raises:
        CatalogueError: if a file or folder there cannot be read.
    """
    with readable(path):
        if not path.is_dir():
            return path
        file = path / GROUND_TRUTH_FILE
        if not file.exists() and (path / TRAINING_FILE).is_file():
            return validation_file(path)
        return file


def has_ground_truth(folder: Path) -> bool:
    """Tell whether a dataset's folder has a ground truth of either form.

    Raises:
        CatalogueError: if the folder or a CSV file in it cannot be read.
    """
    with readable(folder):
        if (folder / GROUND_TRUTH_FILE).is_file():
            return True
        return (folder / TRAINING_FILE).is_file() and bool(validation_files(folder))


def true_matches(path: Path) -> Iterator[TrueMatches]:
    """Read a ground truth of either form, without a check against a database.

    Args:
        path: the dataset's folder, or the file.

    Yields:
        The rows.

    Raises:
        CatalogueError: if the file is missing or malformed, or a query has two rows.
    """
    file = ground_truth_file(path)
    queries = UniqueNames(file, "Put its ids into one row.")
    if has_validation_header(file):
        for location, query, image, ids in validation_queries(file):
            if not queries.is_new(query, location):
                raise queries.repeated(query, location, f"the query {shown(query)}")
            yield TrueMatches(location, image, (frozenset(ids),))
        return
    for location, record in csv_records(file, COLUMNS):
        query, cell = (without_padding(str(record[column])) for column in COLUMNS.usual)
        if not query:
            raise CatalogueError(f"{file}, {location}: the {COLUMNS.usual[0]} is empty.")
        if not queries.is_new(name := os.path.normpath(query), location):
            raise queries.repeated(name, location, f"the query {shown(query)}")
        words = str(record.get(WORDS_COLUMN, ""))
        if problem := too_many_words(words):
            raise CatalogueError(f"{file}, {location}: the {WORDS_COLUMN} {problem}")
        yield TrueMatches(location, file.parent / query, _readings(cell), words)


def _readings(cell: str) -> tuple[frozenset[str], ...]:
    """The ways to read a cell of ids: one id, ids and semicolons, ids and spaces."""
    separated = {without_padding(part) for part in cell.split(";")}
    readings = ({cell}, separated, set(cell.split()))
    return tuple(frozenset(named) for reading in readings if (named := reading - {""}))
