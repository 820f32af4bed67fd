"""Which products are described where, when several machines share a catalogue.

A product's shard depends on its id and on the number of shards alone: not on its place in the
catalogue, nor on the other products. Within a shard the order is the catalogue's.
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
        """Name of its folder among those of the others."""
        return f"shard-{self.number:05d}-of-{self.count:05d}"

    def rows(self, catalogue: Catalogue) -> NDArray[np.int64]:
        """The rows of its products, (M,) ascending."""
        return np.flatnonzero(shard_numbers(catalogue, self.count) == self.number)

    def part(self, catalogue: Catalogue) -> Catalogue:
        """A catalogue of its products alone."""
        return replace(catalogue, rows=tuple(catalogue.rows[row] for row in self.rows(catalogue)))


WHOLE = Shard(0, 1)


def shard_number(product_id: str, count: int) -> int:
    """The number of a product's shard: the first 64 bits of SHA-256 of its id, modulo ``count``."""
    digest = hashlib.sha256(product_id.encode()).digest()
    return int.from_bytes(digest[:8], "big") % count


def shard_numbers(catalogue: Catalogue, count: int) -> NDArray[np.int64]:
    """The number of each row's shard, (N,)."""
    numbers = (shard_number(row.product_id, count) for row in catalogue.rows)
    return np.fromiter(numbers, np.int64, len(catalogue.rows))
