"""Whether anything can be measured on a dataset; checked before its images are described."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from export.dataset.catalogue import read_catalogue
from export.ground_truth.database import CatalogueDatabase
from export.ground_truth.queries import Query, items_of, read_ground_truth
from retrieval_server.errors import CatalogueError, ImageError
from retrieval_server.models.preprocessing import read_image

ANY_SIDE = 32  # pixels, the smallest side of a profile: whether an image can be read needs no more


def check_measurable(
    dataset: Path, ground_truth: Path | None = None, *, is_divided: bool = False
) -> list[Query]:
    """Refuse a dataset on which nothing can be measured.

    Args:
        dataset: folder with a catalogue and its ground truth.
        ground_truth: its file; None takes the dataset's own.
        is_divided: whether the queries will be divided into folds.

    Returns:
        The queries whose image can be read.

    Raises:
        CatalogueError: if the catalogue or the ground truth cannot be used, no query image can be
            read, no image of a true match can be read, or the queries show too few items.
    """
    catalogue = read_catalogue(dataset)
    database = CatalogueDatabase.of(catalogue)
    truth = read_ground_truth(ground_truth or dataset, database)
    queries = [query for query in truth.queries if _is_readable(query.image)]
    check_readable(queries, truth.queries, dataset)
    if is_divided:
        check_divisible(items_of(queries))
    named = {name: query for query in queries for name in query.relevant}
    for name in sorted(named):
        rows = (catalogue.rows[database.rows[image]] for image in sorted(truth.images[name]))
        if not any(_is_readable(catalogue.image_path(row)) for row in rows):
            raise unreadable_match(name, named[name])
    return queries


def check_readable(readable: Collection[object], queries: Collection[Query], dataset: Path) -> None:
    """Refuse queries none of which can be read.

    Args:
        readable: those that can be read.
        queries: all of them.
        dataset: the folder of the dataset, for the message.

    Raises:
        CatalogueError: if there is no query that can be read.
    """
    if not readable:
        raise CatalogueError(f"None of the {len(queries)} query images of {dataset} can be read.")


def check_divisible(items: Collection[int]) -> None:
    """Refuse queries that cannot be divided into folds.

    Args:
        items: the item that each query shows.

    Raises:
        CatalogueError: if there are fewer than two items.
    """
    if len(set(items)) < 2:
        raise CatalogueError(
            "The queries show one item only: there is nothing to choose a setting on and test it "
            "with. Add queries of other items to the ground truth."
        )


def unreadable_match(name: str, query: Query) -> CatalogueError:
    """The error of a true match no image of which can be read.

    Args:
        name: the id of the image, or the name of the product.
        query: a query that should find it.
    """
    return CatalogueError(
        f"No image of {name!r}, which {query.image} should find, can be read. Replace "
        "the image, or leave the product out of the ground truth."
    )


def _is_readable(image: Path) -> bool:
    try:
        read_image(image, ANY_SIDE)
    except ImageError:
        return False
    return True
