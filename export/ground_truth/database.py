"""The database of a ground truth, an index or a catalogue: its images and their products, by name.

An image is known by its id. A product is known by its name in the column ``product``, if there is
such a column; an image may have none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from export.dataset.catalogue import Catalogue
from retrieval_server.attributes.names import PRODUCT_COLUMN
from retrieval_server.index.bundle import IndexBundle


class Database(Protocol):
    """What a ground truth is checked against."""

    @property
    def folder(self) -> Path:
        """Folder of the index, or file of the catalogue."""

    def row_of(self, image_id: str) -> int | None:
        """The row of an image; None if there is none."""

    def product_of(self, image_id: str) -> str:
        """The product of an image that is there; empty if it has none."""

    def images_of(self, product: str) -> tuple[str, ...]:
        """The ids of the images of a product; none if there is no such product."""


@dataclass(frozen=True)
class CatalogueDatabase:
    """The images and products of a catalogue."""

    catalogue: Catalogue
    rows: Mapping[str, int]
    images: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, catalogue: Catalogue) -> CatalogueDatabase:
        """The database of a catalogue.

        Args:
            catalogue: the products.
        """
        images = defaultdict(list)
        for row in catalogue.rows:
            if product := row.attributes.get(PRODUCT_COLUMN):
                images[product].append(row.product_id)
        return cls(
            catalogue,
            {row.product_id: number for number, row in enumerate(catalogue.rows)},
            {product: tuple(ids) for product, ids in images.items()},
        )

    @property
    def folder(self) -> Path:
        """The file of the catalogue."""
        return self.catalogue.path

    def row_of(self, image_id: str) -> int | None:
        """The row of an image; None if there is none."""
        return self.rows.get(image_id)

    def product_of(self, image_id: str) -> str:
        """The product of an image that is there; empty if it has none."""
        return self.catalogue.rows[self.rows[image_id]].attributes.get(PRODUCT_COLUMN, "")

    def images_of(self, product: str) -> tuple[str, ...]:
        """The ids of the images of a product; none if there is no such product."""
        return self.images.get(product, ())


class IndexDatabase:
    """The images and products of an index.

    Args:
        bundle: the index.
    """

    def __init__(self, bundle: IndexBundle) -> None:
        self._bundle = bundle
        has_products = PRODUCT_COLUMN in bundle.columns.names
        self._products = bundle.columns[PRODUCT_COLUMN] if has_products else None

    @property
    def folder(self) -> Path:
        """The folder of the version."""
        return self._bundle.folder

    def row_of(self, image_id: str) -> int | None:
        """The row of an image; None if there is none."""
        return self._bundle.row_of(image_id)

    def product_of(self, image_id: str) -> str:
        """The product of an image that is there; empty if it has none."""
        row = self._bundle.row_of(image_id)
        assert row is not None, "the caller has found the image"
        return self._bundle.product(row).attributes.get(PRODUCT_COLUMN, "")

    def images_of(self, product: str) -> tuple[str, ...]:
        """The ids of the images of a product; none if there is no such product."""
        if self._products is None:
            return ()
        rows = np.flatnonzero(np.isin(self._products.values, self._products.codes_of((product,))))
        return tuple(self._bundle.product_id(int(row)) for row in rows)
