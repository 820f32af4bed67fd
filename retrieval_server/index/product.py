"""A product of an index."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Product:
    """A product, with the values of its catalogue row.

    Attributes:
        product_id: the product's id.
        description: the description, verbatim.
        image: path of the image relative to the catalogue file, verbatim.
        attributes: values of the catalogue's further columns, by column name.
    """

    product_id: str
    description: str
    image: str
    attributes: dict[str, str]
