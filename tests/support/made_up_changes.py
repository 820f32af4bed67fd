"""Random changes of a made-up index, and the catalogue that they make."""

from dataclasses import dataclass

import numpy as np

from export.dataset.catalogue import CatalogueRow
from retrieval_server.changes.change import Change, Delete, Upsert
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.index.product import Product
from tests.support.made_up_databases import exact_vectors
from tests.support.made_up_index import made_up_products

NEW_WORDS = ("", "Xylo", "zürich hand wash", "Nuxe ruby lip balm no 3", "ハンドクリーム")


@dataclass
class Row:
    """A product of the catalogue, with its descriptors."""

    product: CatalogueRow
    descriptors: tuple[np.ndarray, ...]


def rows_of(bundle: IndexBundle) -> dict[str, Row]:
    """The catalogue of a version, in the order of its rows."""
    rows = {}
    for row in range(len(bundle)):
        product = bundle.product(row)
        rows[product.product_id] = Row(
            CatalogueRow(
                product.product_id, product.image, product.description, product.attributes
            ),
            tuple(np.array(matrix[row]) for matrix in bundle.descriptors),
        )
    return rows


def random_change(rng: np.random.Generator, bundle: IndexBundle, ids: list[str]) -> Change:
    """A product that replaces one of some ids or is new, or the end of one."""
    known = str(rng.choice(ids)) if ids else "none"
    if rng.random() < 0.3:
        return Delete(known)
    product = made_up_products(rng, 8)[rng.integers(8)]
    product_id = known if rng.random() < 0.5 else f"n{rng.integers(1000):05d}"
    description = product.description
    if rng.random() < 0.4:
        description = str(rng.choice(NEW_WORDS))
    attributes = dict(product.attributes)
    if rng.random() < 0.3:
        attributes |= {"brand": "Aéro", "price": "6.5"}
    return Upsert(
        product=Product(product_id, description, f"{product_id}.jpg", attributes),
        descriptors=tuple(exact_vectors(rng, 1)[0] for _ in bundle.descriptors),
    )


def apply(change: Change, catalogue: dict[str, Row]) -> None:
    """Change a catalogue; what changes moves to its end."""
    catalogue.pop(change.product_id, None)
    if isinstance(change, Upsert):
        product = change.product
        catalogue[product.product_id] = Row(
            CatalogueRow(
                product.product_id, product.image, product.description, product.attributes
            ),
            change.descriptors,
        )
