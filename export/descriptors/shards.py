"""Shards: how several machines share the images of one catalogue.

The shard of a product depends only on the product's id and on the number of shards, not on its
row in the catalogue nor on the other products. A shard keeps the order of the catalogue.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from export.dataset.catalogue import Catalogue


@dataclass(frozen=True)
class Shard:
    """One part of a catalogue.

    Attributes:
        number: which one, from 0.
        count: how many there are.
    """

    number: int
    count: int

    @property
    def folder_name(self) -> str:
        """Name of the shard's folder, beside the folders of the other shards."""
        return f"shard-{self.number:05d}-of-{self.count:05d}"

    def rows(self, catalogue: Catalogue) -> NDArray[np.int64]:
        """The catalogue rows of the shard's products, (M,) ascending."""
        return np.flatnonzero(shard_numbers(catalogue, self.count) == self.number)

    def part(self, catalogue: Catalogue) -> Catalogue:
        """A catalogue that holds the shard's products only."""
        return replace(catalogue, rows=tuple(catalogue.rows[row] for row in self.rows(catalogue)))


WHOLE = Shard(0, 1)


def shard_number(product_id: str, count: int) -> int:
    """The number of a product's shard: the first 64 bits of SHA-256 of its id, modulo ``count``."""
    digest = hashlib.sha256(product_id.encode()).digest()
    return int.from_bytes(digest[:8], "big") % count


def shard_numbers(catalogue: Catalogue, count: int) -> NDArray[np.int64]:
    """The shard number of every catalogue row, (N,)."""
    numbers = (shard_number(row.product_id, count) for row in catalogue.rows)
    return np.fromiter(numbers, np.int64, len(catalogue.rows))
