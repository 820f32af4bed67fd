"""A dataset with ground truth, described by every side and pooling that a tuning compares.

It holds descriptors, text neighbours and true matches as plain arrays. An index holds one
description of the database; a grid over settings, or a test of query expansion, needs several.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from export.dataset.catalogue import Catalogue, CatalogueRow, read_catalogue
from export.ground_truth.database import CatalogueDatabase
from export.ground_truth.measurable import ANY_SIDE, check_readable, unreadable_match
from export.ground_truth.queries import GroundTruth, Query, items_of, read_ground_truth
from export.ground_truth.true_matches import GROUND_TRUTH_FILE
from export.models.pooling_choice import PoolingChoice
from export.progress import progress
from export.text_index.build import build_text_index
from export.text_index.settings import TextSettings
from export.tuning.pooling_sweep import DescribedImages, PoolingSweep
from export.tuning.rate_settings import RowLists
from export.tuning.words import WordSources
from retrieval_server.attributes.names import PRODUCT_COLUMN
from retrieval_server.cores import available_cores
from retrieval_server.errors import CatalogueError, ImageError, RetrievalError
from retrieval_server.exact_search.kernels.inner_products import dots
from retrieval_server.models.preprocessing import read_image
from retrieval_server.models.profile import Profile
from retrieval_server.text.neighbours import TextIndex

CHANGED = "An image changed during the run. Run the same command again."


@dataclass(frozen=True)
class DescribedDataset:
    """Queries and products whose images could be read.

    Attributes:
        folder: the folder of the dataset.
        profile: the profile whose backbones describe the images.
        truth: the queries with their true matches.
        products: the products, in the order of the catalogue.
        unreadable: why a query image could not be read, by its name.
        rejected: why a database image could not be read, by its path in the catalogue.
        images: descriptors of the database and of the queries, by (side, model).
        text_cosines: t of the words of each query and the text of each product, (Q, N) float64;
            None where no query has words.
    """

    folder: Path
    profile: Profile
    truth: GroundTruth
    products: tuple[CatalogueRow, ...]
    unreadable: Mapping[str, str]
    rejected: Mapping[str, str]
    images: Mapping[tuple[int, str], tuple[DescribedImages, DescribedImages]]
    text_cosines: NDArray[np.float64] | None = None

    @property
    def name(self) -> str:
        """The name of the dataset's folder."""
        return self.folder.resolve().name

    @property
    def queries(self) -> tuple[Query, ...]:
        """The queries."""
        return self.truth.queries

    @property
    def items(self) -> list[int]:
        """The item that each query shows, as a number from 0."""
        return items_of(self.queries)

    @property
    def groups(self) -> NDArray[np.int64]:
        """The group of each row of ``products``, of which the best row is a result; (N,).

        Where the ground truth names products, the images of a product are a group; otherwise each
        image is one.
        """
        if not self.truth.by_product:
            return np.arange(len(self.products))
        first_row: dict[str, int] = {}
        names = (product.attributes.get(PRODUCT_COLUMN) for product in self.products)
        return np.array(
            [
                row if name is None else first_row.setdefault(name, row)
                for row, name in enumerate(names)
            ],
            np.int64,
        )

    @property
    def relevant(self) -> RowLists:
        """The groups that each query should find.

        Raises:
            CatalogueError: if no image of a true match could be read.
        """
        groups = self.groups.tolist()
        group_of = {
            self.truth.name_of[product.product_id]: group
            for product, group in zip(self.products, groups, strict=True)
            if product.product_id in self.truth.name_of
        }
        for query in self.queries:
            if missing := sorted(query.relevant - set(group_of)):
                raise unreadable_match(missing[0], query)
        return RowLists.of([sorted(group_of[n] for n in query.relevant) for query in self.queries])

    def cosines(self, side: int, model: str, pooling: PoolingChoice) -> NDArray[np.float64]:
        """Cosines of all queries with all products by one backbone, (Q, N) float64."""
        database, queries = self.images[side, model]
        return cosine_matrix(queries.descriptors[pooling], database.descriptors[pooling])


def describe_dataset(
    dataset: Path,
    profile: Profile,
    sides: Collection[int],
    poolings: Sequence[PoolingChoice],
    sweep: PoolingSweep,
    ground_truth: Path | None = None,
    words: WordSources | None = None,
) -> DescribedDataset:
    """Describe a dataset with every backbone of a profile, at every side, by every pooling.

    Args:
        dataset: folder with a catalogue and its ground truth.
        profile: the backbones; their poolings and the side of the profile are not used.
        sides: heights and widths of the images, in pixels.
        poolings: distinct poolings.
        sweep: describes the images.
        ground_truth: its file; None takes the dataset's own.
        words: where the words of queries and products come from; None leaves words out.

    Raises:
        RetrievalError: if the dataset cannot be used, or the backbones cannot describe it.
    """
    catalogue = read_catalogue(dataset)
    truth = read_ground_truth(ground_truth or dataset, CatalogueDatabase.of(catalogue))
    asked = truth.queries
    photos = _photos(dataset, asked)
    images = {}
    passes = len(sides) * len(profile.backbones)
    with progress("images", passes * (len(catalogue.rows) + len(photos.rows))) as advance:
        for side in sides:
            for backbone in profile.backbones:
                database, queries = sweep.describe(
                    (catalogue, photos), backbone, side, poolings, advance
                )
                images[side, backbone.model] = (database, queries)
    readable = _common_rows(database for database, _ in images.values())
    answered = _common_rows(queries for _, queries in images.values())
    if not len(readable):
        raise CatalogueError(f"None of the images of {catalogue.path} can be read.")
    check_readable(answered.tolist(), asked, dataset)
    unreadable = _missing(answered, len(asked))
    rejected = [catalogue.rows[row] for row in _missing(readable, len(catalogue.rows))]
    answered_queries = tuple(asked[row] for row in answered)
    products = tuple(catalogue.rows[row] for row in readable)
    return DescribedDataset(
        folder=dataset,
        profile=profile,
        truth=replace(truth, queries=answered_queries),
        products=products,
        unreadable={asked[row].image.name: _problem(asked[row].image) for row in unreadable},
        rejected={row.image: _problem(catalogue.image_path(row)) for row in rejected},
        images=images,
        text_cosines=None
        if words is None
        else words.cosines(catalogue, products, answered_queries),
    )


def white_out_queries(
    described: DescribedDataset,
    pooling_of: Mapping[str, PoolingChoice],
    white_out_p: Mapping[str, float],
    sweep: PoolingSweep,
) -> list[NDArray[np.float32]]:
    """Describe the queries again, with the cells outside the attention mask painted white.

    Every backbone uses its own mask.

    Args:
        described: the dataset; the side is that of its profile.
        pooling_of: pooling by model name.
        white_out_p: p of the mask, by model name.
        sweep: describes the images.

    Returns:
        (Q, C) float32 by backbone.
    """
    profile = described.profile
    photos = _photos(described.folder, described.queries)
    whitened = []
    with progress("queries", len(profile.backbones) * len(photos.rows)) as advance:
        for backbone in profile.backbones:
            pooling = pooling_of[backbone.model]
            (images,) = sweep.describe(
                (photos,), backbone, profile.side, (pooling,), advance, white_out_p[backbone.model]
            )
            whitened.append(images.descriptors[pooling])
    return whitened


def text_neighbours(
    products: Sequence[CatalogueRow], thresholds: Collection[float]
) -> dict[float, RowLists]:
    """Build the textual index for several τ, as ``beauty-export index`` does; return its lists."""
    texts = [product.description for product in products]
    lists = {}
    with progress("descriptions", len(texts) * len(thresholds)) as advance:
        for threshold in thresholds:
            with tempfile.TemporaryDirectory() as scratch:
                folder = Path(scratch)
                build_text_index(texts, TextSettings(threshold=threshold), folder, advance)
                lengths, rows, _ = TextIndex(folder).lists(0, len(texts))
                indptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
                lists[threshold] = RowLists(indptr, rows.astype(np.int64))
    return lists


def cosine_matrix(
    queries: NDArray[np.float32], database: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Cosines of unit vectors, equal to those of the search to the last bit.

    Args:
        queries: (Q, C).
        database: (N, C).

    Returns:
        (Q, N) float64.
    """
    rows = np.ascontiguousarray(database)
    cosines = np.empty((len(queries), len(rows)))
    with ThreadPoolExecutor(available_cores()) as pool:
        list(pool.map(lambda q, out: dots(rows, q.astype(np.float64), out), queries, cosines))
    return cosines


def _photos(dataset: Path, truth: Sequence[Query]) -> Catalogue:
    """The query images as a catalogue without texts."""
    names = [os.path.relpath(query.image, dataset) for query in truth]
    rows = tuple(CatalogueRow(name, name, "", {}) for name in names)
    return Catalogue(dataset / GROUND_TRUTH_FILE, rows, ())


def _common_rows(described: Iterable[DescribedImages]) -> NDArray[np.int64]:
    first, *others = (images.rows for images in described)
    if not all(np.array_equal(first, rows) for rows in others):
        raise RetrievalError(CHANGED)
    return first


def _missing(rows: NDArray[np.int64], count: int) -> list[int]:
    """The rows below a number that are not among others."""
    return sorted(set(range(count)) - set(rows.tolist()))


def _problem(image: Path) -> str:
    """Why an image cannot be read."""
    try:
        read_image(image, ANY_SIDE)
    except ImageError as error:
        return error.problem
    raise RetrievalError(CHANGED)
