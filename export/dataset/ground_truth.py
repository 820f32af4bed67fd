"""The reader of ground truths: the true matches of each query image.

``ground_truth.csv`` has the columns ``query_image``, a path relative to the file, and ``ids``, the
ids of the database images that show the same item, separated by spaces. Ids that hold spaces are
separated by semicolons; one of them stands alone as it is. A column ``words`` may hold what a
person types with the photo. The reader recognises the challenge's own form by its header: see
``perfect_500k``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

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
from retrieval_server.index.bundle import REJECTS_FILE
from retrieval_server.text.word_search import too_many_words

COLUMNS = NeededColumns.of("query_image", "ids")
WORDS_COLUMN = "words"
GROUND_TRUTH_FILE = "ground_truth.csv"


@dataclass(frozen=True)
class Query:
    """A query image and its true matches.

    Attributes:
        image: its file.
        relevant: ids of the database images of the same item.
        words: what a person types with it; mostly empty.
        unsearched: ids of further images of the item, which a filter leaves out of the search.
    """

    image: Path
    relevant: frozenset[str]
    words: str = ""
    unsearched: frozenset[str] = frozenset()


@dataclass(frozen=True)
class TrueMatches:
    """A row of a ground truth.

    Attributes:
        location: its place in the file, such as ``line 7``.
        image: the file of the query.
        readings: the ids of its true matches; if the cell can be read in several ways, the first
            whose ids the database has is meant.
        words: what a person types with the query; mostly empty.
    """

    location: str
    image: Path
    readings: tuple[frozenset[str], ...]
    words: str = ""

    @property
    def named(self) -> frozenset[str]:
        """The ids of all readings."""
        return frozenset().union(*self.readings)


class Products(Protocol):
    """The database of a ground truth: an index, or a catalogue."""

    @property
    def folder(self) -> Path:
        """Folder of the index, or file of the catalogue."""

    def row_of(self, product_id: str) -> int | None:
        """The row of a product; None if there is none."""


def read_ground_truth(path: Path, bundle: Products) -> list[Query]:
    """Read the true matches of each query, and check that the database has them.

    Args:
        path: the dataset's folder, or the file.
        bundle: the index that will be searched, or the catalogue.

    Raises:
        CatalogueError: if the file is missing or malformed, or names an id that the index lacks.
    """
    file = _find(path)
    queries = []
    for matches in true_matches(file):
        place = f"{file}, {matches.location}"
        if not matches.named:
            raise CatalogueError(f"{place}: there are no ids of what it should find.")
        missing: list[str] = []
        for reading in matches.readings:
            missing = sorted(i for i in reading if bundle.row_of(i) is None)
            if not missing:
                queries.append(Query(matches.image, reading, matches.words))
                break
        if missing:
            raise CatalogueError(
                f"{place}: {bundle.folder} has no product {shown(missing[0])}. Take the "
                "catalogue that the ground truth belongs to; what an index rejected, missing "
                f"images too, is listed in its {REJECTS_FILE}."
            )
    if not queries:
        raise CatalogueError(f"{file} has no rows.")
    return queries


def items_of(queries: Sequence[Query]) -> list[int]:
    """Number the items that the queries show.

    Ratings of two photos of one item are correlated: a statistic must not take them for
    independent, and a cross-validation must not divide them between two folds.

    Args:
        queries: photos and their true matches.

    Returns:
        The item of each query, from 0 in order of appearance. Queries with a common true match show
        the same item, also if it is not searched, or if other queries alone connect them.
    """
    parent = list(range(len(queries)))

    def root(number: int) -> int:
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    first_with: dict[str, int] = {}
    for number, query in enumerate(queries):
        for product_id in sorted(query.relevant | query.unsearched):
            other = root(first_with.setdefault(product_id, number))
            parent[max(root(number), other)] = min(root(number), other)
    numbers: dict[int, int] = {}
    return [numbers.setdefault(root(number), len(numbers)) for number in range(len(queries))]


def _find(path: Path) -> Path:
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
    file = _find(path)
    queries = UniqueNames(file, "Put its ids into one row.")
    if has_validation_header(file):
        for location, query, image, ids in validation_queries(file):
            queries.add(query, location, f"the query {shown(query)}")
            yield TrueMatches(location, image, (frozenset(ids),))
        return
    for location, record in csv_records(file, COLUMNS):
        query, cell = (without_padding(str(record[column])) for column in COLUMNS.usual)
        if not query:
            raise CatalogueError(f"{file}, {location}: the {COLUMNS.usual[0]} is empty.")
        queries.add(os.path.normpath(query), location, f"the query {shown(query)}")
        words = str(record.get(WORDS_COLUMN, ""))
        if problem := too_many_words(words):
            raise CatalogueError(f"{file}, {location}: the {WORDS_COLUMN} {problem}")
        yield TrueMatches(location, file.parent / query, _readings(cell), words)


def _readings(cell: str) -> tuple[frozenset[str], ...]:
    """The ways to read a cell of ids: one id, ids and semicolons, ids and spaces."""
    separated = {without_padding(part) for part in cell.split(";")}
    readings = ({cell}, separated, set(cell.split()))
    return tuple(frozenset(named) for reading in readings if (named := reading - {""}))
