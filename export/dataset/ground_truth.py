"""The reader of ground truths: the true matches of each query image.

``ground_truth.csv`` has the columns ``query_image``, a path relative to the file, and ``ids``, the
ids of the database images that show the same item, separated by spaces. The reader recognises the
challenge's own form by its header: see ``perfect_500k``.
"""

from __future__ import annotations

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
from retrieval_server.errors import CatalogueError
from retrieval_server.index.bundle import REJECTS_FILE

GROUND_TRUTH_FILE = "ground_truth.csv"


@dataclass(frozen=True)
class Query:
    """A query image and its true matches.

    Attributes:
        image: its file.
        relevant: ids of the database images of the same item.
    """

    image: Path
    relevant: frozenset[str]


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
    file = _find(path) if path.is_dir() else path
    queries = []
    for location, image, ids in true_matches(file):
        relevant = frozenset(ids)
        if not relevant:
            raise CatalogueError(f"{file}, {location}: there are no ids of what it should find.")
        if missing := sorted(i for i in relevant if bundle.row_of(i) is None):
            raise CatalogueError(
                f"{file}, {location}: {bundle.folder} has no product {missing[0]!r}. Take the "
                "catalogue that the ground truth belongs to; what an index rejected, missing "
                f"images too, is listed in its {REJECTS_FILE}."
            )
        queries.append(Query(image, relevant))
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
        the same item, also if they are connected through other queries only.
    """
    parent = list(range(len(queries)))

    def root(number: int) -> int:
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    first_with: dict[str, int] = {}
    for number, query in enumerate(queries):
        for product_id in sorted(query.relevant):
            other = root(first_with.setdefault(product_id, number))
            parent[max(root(number), other)] = min(root(number), other)
    numbers: dict[int, int] = {}
    return [numbers.setdefault(root(number), len(numbers)) for number in range(len(queries))]


def _find(folder: Path) -> Path:
    file = folder / GROUND_TRUTH_FILE
    if not file.exists() and (folder / TRAINING_FILE).is_file():
        return validation_file(folder)
    return file


def has_ground_truth(folder: Path) -> bool:
    """Tell whether a dataset's folder has a ground truth of either form."""
    if (folder / GROUND_TRUTH_FILE).is_file():
        return True
    return (folder / TRAINING_FILE).is_file() and bool(validation_files(folder))


def true_matches(path: Path) -> Iterator[tuple[str, Path, list[str]]]:
    """Read a ground truth of either form, without a check against a database.

    Args:
        path: the dataset's folder, or the file.

    Yields:
        The location, the query's image, the ids of its true matches.

    Raises:
        CatalogueError: if the file is missing or malformed.
    """
    file = _find(path) if path.is_dir() else path
    try:
        if has_validation_header(file):
            yield from validation_queries(file)
            return
        for location, record in csv_records(file, ("query_image", "ids")):
            yield location, file.parent / record["query_image"], record["ids"].split()
    except OSError as error:
        raise CatalogueError(f"Cannot read the ground truth {file}: {error}.") from error
