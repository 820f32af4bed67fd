"""Ground truths: the true matches of each query image, as images or as products.

A name is the id of an image or the name of a product, and all names of one file are of one kind.
If the database has an image of each name and also a product of each name, products are meant, and
each image must be of the product of its name, as it is where the reader of the catalogue made the
id. A file is refused if that is not so, or if it names images and products.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from export.dataset.table import shown
from export.ground_truth.database import Database
from export.ground_truth.true_matches import TrueMatches, ground_truth_file, true_matches
from retrieval_server.attributes.names import PRODUCT_COLUMN
from retrieval_server.errors import CatalogueError
from retrieval_server.index.bundle import REJECTS_FILE


@dataclass(frozen=True)
class Query:
    """A query image and its true matches.

    Attributes:
        image: its file.
        relevant: names of its true matches: ids of database images of the same item, or products.
        words: what a person types with it; mostly empty.
        unsearched: names of further true matches, which a filter leaves out of the search.
    """

    image: Path
    relevant: frozenset[str]
    words: str = ""
    unsearched: frozenset[str] = frozenset()


@dataclass(frozen=True)
class GroundTruth:
    """The true matches of query photos.

    Attributes:
        queries: the photos, with the names of their true matches.
        images: the ids of the images of each true match; where images are named, of each its own.
        by_product: whether products are named, each of which may have several images.
    """

    queries: tuple[Query, ...]
    images: Mapping[str, frozenset[str]]
    by_product: bool

    @property
    def group_by(self) -> str | None:
        """The column by which results are grouped, so that they are of the kind that is named."""
        return PRODUCT_COLUMN if self.by_product else None

    @cached_property
    def name_of(self) -> Mapping[str, str]:
        """The true match that an image shows, by the id of the image."""
        return {image: name for name, ids in self.images.items() for image in ids}

    def by_image(self) -> list[Query]:
        """The queries with the images of their true matches, for a search of single images."""
        return [
            replace(
                query, relevant=frozenset().union(*map(self.images.__getitem__, query.relevant))
            )
            for query in self.queries
        ]


def read_ground_truth(path: Path, database: Database) -> GroundTruth:
    """Read the true matches of each query, and check that the database has them.

    Args:
        path: the dataset's folder, or the file.
        database: the index that will be searched, or the catalogue.

    Raises:
        CatalogueError: if the file is missing or malformed, names what the database lacks, or does
            not tell whether it names images or products.
    """
    file = ground_truth_file(path)
    rows = list(true_matches(file))
    for matches in rows:
        if not matches.named:
            raise CatalogueError(
                f"{file}, {matches.location}: there are no ids of what it should find."
            )
    if not rows:
        raise CatalogueError(f"{file} has no rows.")
    images = _understood(rows, lambda name: database.row_of(name) is not None)
    products = _understood(rows, lambda name: bool(database.images_of(name)))
    by_product = products.unknown is None
    if by_product and images.unknown is None:
        _check_same(file, rows, images, products, database)
    if not by_product and images.unknown is not None:
        raise _unknown(file, images.unknown, products.unknown, database)
    chosen = products if by_product else images
    queries = tuple(
        Query(matches.image, names, matches.words)
        for matches, names in zip(rows, chosen.names, strict=True)
    )
    named = frozenset().union(*chosen.names)
    found = {name: frozenset(database.images_of(name) if by_product else (name,)) for name in named}
    return GroundTruth(queries, found, by_product)


class _Unknown(NamedTuple):
    """A name that is not of a kind.

    Attributes:
        location: its row.
        name: the name.
    """

    location: str
    name: str


class _Understood(NamedTuple):
    """What a ground truth says if its names are of one kind.

    Attributes:
        names: the true matches of each row.
        unknown: the first name that is not of the kind; None if all are.
    """

    names: list[frozenset[str]]
    unknown: _Unknown | None


def _understood(rows: Sequence[TrueMatches], is_known: Callable[[str], bool]) -> _Understood:
    """Take the first reading of each row whose names are all known, up to a row without one."""
    names = []
    for matches in rows:
        unknown = ""
        for reading in matches.readings:
            unknown = next((name for name in sorted(reading) if not is_known(name)), "")
            if not unknown:
                names.append(reading)
                break
        if unknown:
            return _Understood(names, _Unknown(matches.location, unknown))
    return _Understood(names, None)


def _check_same(
    file: Path,
    rows: Sequence[TrueMatches],
    images: _Understood,
    products: _Understood,
    database: Database,
) -> None:
    """Refuse names of images and of products that mean different things."""
    for matches, ids, names in zip(rows, images.names, products.names, strict=True):
        for name in sorted(ids | names):
            if name in ids and name in names and database.product_of(name) == name:
                continue
            raise CatalogueError(
                f"{file}, {matches.location}: {shown(name)} may be the id of an image or the name "
                "of a product, and these are not the same. Give ids and products of the catalogue "
                "different names."
            )


def _unknown(
    file: Path, image: _Unknown, product: _Unknown | None, database: Database
) -> CatalogueError:
    """The error of names that are neither all images nor all products.

    Args:
        file: the ground truth.
        image: the first name that is no image.
        product: the first name that is no product.
        database: what was searched.
    """
    if product is not None and database.images_of(image.name):
        if database.row_of(product.name) is not None:
            return CatalogueError(
                f"{file}: {shown(image.name)} in {image.location} names a product, and "
                f"{shown(product.name)} in {product.location} an image. Name products in all rows, "
                "or images in all rows."
            )
        image = product
    return CatalogueError(
        f"{file}, {image.location}: {database.folder} has no product {shown(image.name)}. Take the "
        "catalogue that the ground truth belongs to; what an index rejected, missing images too, "
        f"is listed in its {REJECTS_FILE}."
    )


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
