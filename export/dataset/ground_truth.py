"""Reads what each query image should find.

``ground_truth.csv`` has the columns ``query_image``, a path relative to the file, and ``ids``, the
ids of the database images that show the same item, separated by spaces. The challenge's own form is
known by its header: see ``perfect_500k``.
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
    """A query image and what it should find.

    Attributes:
        image: its file.
        relevant: ids of the database images of the same item.
    """

    image: Path
    relevant: frozenset[str]


class Products(Protocol):
    """What a ground truth speaks of: an index, or a catalogue that will become one."""

    @property
    def folder(self) -> Path:
        """Where it is."""

    def row_of(self, product_id: str) -> int | None:
        """The row of a product; None if there is none."""


def read_ground_truth(path: Path, bundle: Products) -> list[Query]:
    """Read what each query should find.

    Args:
        path: the dataset's folder, or the file.
        bundle: the index that will be searched, or the catalogue.

    Raises:
        CatalogueError: if the file is missing or malformed, or names an id the index lacks.
    """
    file = _find(path) if path.is_dir() else path
    queries = []
    for place, image, ids in true_matches(file):
        relevant = frozenset(ids)
        if not relevant:
            raise CatalogueError(f"{file}, {place}: there are no ids of what it should find.")
        if missing := sorted(i for i in relevant if bundle.row_of(i) is None):
            raise CatalogueError(
                f"{file}, {place}: {bundle.folder} has no product {missing[0]!r}. Take the "
                "catalogue that the ground truth belongs to; what an index rejected, missing "
                f"images too, stands in its {REJECTS_FILE}."
            )
        queries.append(Query(image, relevant))
    if not queries:
        raise CatalogueError(f"{file} has no rows.")
    return queries


def items_of(queries: Sequence[Query]) -> list[int]:
    """Number the items that the queries show.

    Two photos of one item rise and fall together: a statistic that takes them for independent
    claims too much, and a fold that holds one of them knows the other.

    Args:
        queries: photos and their true matches.

    Returns:
        For each query its item, from 0 in order of appearance; queries with a true match in common,
        directly or through others, show the same item.
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
    """Tell whether a dataset's folder has a ground truth, in whatever form."""
    if (folder / GROUND_TRUTH_FILE).is_file():
        return True
    return (folder / TRAINING_FILE).is_file() and bool(validation_files(folder))


def true_matches(path: Path) -> Iterator[tuple[str, Path, list[str]]]:
    """Read a ground truth as it stands, whatever its form.

    Args:
        path: the dataset's folder, or the file.

    Yields:
        The place, the query's image, the ids of its true matches.

    Raises:
        CatalogueError: if the file is missing or malformed.
    """
    file = _find(path) if path.is_dir() else path
    try:
        if has_validation_header(file):
            yield from validation_queries(file)
            return
        for place, record in csv_records(file, ("query_image", "ids")):
            yield place, file.parent / record["query_image"], record["ids"].split()
    except OSError as error:
        raise CatalogueError(f"Cannot read the ground truth {file}: {error}.") from error
