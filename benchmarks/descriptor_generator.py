"""Synthetic descriptor databases of any size, with the statistics of real descriptors.

A descriptor starts as a Gaussian vector z. Each channel of z is mapped to the value distribution of
a real channel (zeros included), and the result is L2-normalised. z is a sum of joint factors with a
decaying spectrum, shared by both backbones, and of noise for each channel and image. The factors of
an image are a sum of three components: one of its family, one of its product, one of the shot. The
share of each component and the spectrum come from ``descriptor_calibration.json``, which
``calibrate_descriptors.py`` fits to real descriptors.

There are two databases. The *first* is the calibrated one. The *second* has the same sizes and
kinds of queries and is hard in other ways: a flatter spectrum, heavy tails, channels of different
sizes, a backbone with values of both signs, a quarter of whose cosines is negative, and rows that
are exact copies of others. It is like no real catalogue; it shows which results are a property of
the first database.

Rows are in random order. Equal seeds and sizes give equal databases. Kinds of queries:

=============  ==================================================================================
duplicate      an image of the database, compressed again
shot           another clean shot of a product in the database
photo          a customer's photo of a product in the database: the queries of the challenge
photo, absent  a customer's photo of a product whose whole family is not in the database
=============  ==================================================================================
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from benchmarks.random_rows import SEEDS, normal_rows, seeded

CALIBRATION_FILE = Path(__file__).with_name("descriptor_calibration.json")
KINDS = ("duplicate", "shot", "photo", "photo, absent")
HARD_KINDS = ("photo", "photo, absent")
FIRST, SECOND = "first", "second"
DATABASES: dict[str, dict[str, Any]] = {  # by name, what differs from the calibration
    FIRST: {},
    SECOND: {
        "decay": 1.3,
        "factor_share": 0.8,
        "tail": 0.35,
        "spread": 0.8,
        "signed": 1,
        "shift": 0.3,
        "copies": 0.2,
    },
}
FACTORS = 384
LARGEST_FAMILY = 8
IMAGES_PER_PRODUCT = 2.2
_GRID = 129  # points of a channel's value distribution, over ±4 standard deviations

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class Calibration:
    """The parameters that make the descriptors realistic.

    Attributes:
        quantiles: by backbone, the values of some real channels at equally spaced probabilities.
        decay: factor k has a variance ∝ (k + 4)^-decay.
        factor_share: share of the factors in the variance of z; the rest is noise.
        family: share of the family's component in the factors.
        product: share of the product's component in the factors; the rest is the shot's.
        photo: correlation of a customer's photo with the components of its family and product.
        duplicate: correlation of z of an image with z of the same image compressed again.
        tail: a value at z is multiplied by exp(tail · |z|).
        spread: the values of a channel are multiplied by exp(spread · n), n standard normal.
        signed: number of backbones, from the last, with values of both signs: z and ``shift``.
        shift: the mean of such a value, in standard deviations.
        copies: share of the rows that are exact copies of other rows.
    """

    quantiles: tuple[NDArray[np.float64], ...]
    decay: float
    factor_share: float
    family: float
    product: float
    photo: float
    duplicate: float
    tail: float = 0.0
    spread: float = 0.0
    signed: int = 0
    shift: float = 0.0
    copies: float = 0.0

    @classmethod
    def read(cls, path: Path = CALIBRATION_FILE) -> Calibration:
        """Read a calibration."""
        data: dict[str, Any] = json.loads(path.read_text())
        quantiles = tuple(np.array(backbone) for backbone in data["quantiles"])
        return cls(
            quantiles, **{f.name: data[f.name] for f in fields(cls) if f.name in data["shares"]}
        )


def calibration_of(database: str) -> Calibration:
    """The calibration of one of the ``DATABASES``."""
    return replace(Calibration.read(), **DATABASES[database])


class DescriptorGenerator:
    """Generates the descriptors of a database and of its queries.

    Args:
        rows: N.
        dimensions: C by backbone.
        calibration: the parameters of the distribution.
        images: number of images of each product; None for a random number, 2.2 on average.
    """

    def __init__(
        self,
        rows: int,
        dimensions: Sequence[int],
        calibration: Calibration,
        images: int | None = None,
    ) -> None:
        self.rows, self.dimensions, self._calibration = rows, tuple(dimensions), calibration
        channels = sum(dimensions)
        spectrum = (np.arange(FACTORS) + 4.0) ** (-calibration.decay / 2)
        loadings = seeded("loadings").normal(size=(FACTORS, channels)) * spectrum[:, None]
        loadings *= math.sqrt(calibration.factor_share) / np.linalg.norm(loadings, axis=0)
        self._loadings = loadings.astype(np.float32)
        self._tables = np.concatenate(
            [
                tables[np.arange(size) % len(tables)]
                for tables, size in zip(_value_tables(calibration), dimensions, strict=True)
            ]
        ).astype(np.float32)
        self._tables *= np.exp(
            calibration.spread * normal_rows("channels", np.zeros(1, int), channels)
        ).T
        random = seeded("products")
        counts = 1 + random.poisson(IMAGES_PER_PRODUCT - 1, rows) if images is None else images
        product = np.repeat(np.arange(rows), counts)[:rows]
        members = random.integers(1, LARGEST_FAMILY + 1, rows)
        self._family_of_product = np.repeat(np.arange(rows), members)[:rows]
        self._source_of_row = _sources(rows, calibration.copies)
        self._product_of_row = random.permutation(product)[self._source_of_row]

    def descriptors(self, first: int, last: int) -> list[FloatArray]:
        """Descriptors of the rows [first, last) of the database, (last - first, C) by backbone.

        The last bits of a row depend on its place in the product of matrices. So whoever writes
        the rows has to copy those of ``copies``.
        """
        rows = self._source_of_row[first:last]
        return self._described(self._factors(self._product_of_row[rows], "images", rows), rows)

    def copies(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The rows that are copies, (m,), and the rows that they are copies of, (m,)."""
        copies = np.flatnonzero(self._source_of_row != np.arange(self.rows))
        return copies, self._source_of_row[copies]

    def queries(self, kind: str, count: int) -> list[FloatArray]:
        """Descriptors of queries of one kind, (count, C) by backbone."""
        keys = KINDS.index(kind) * 1_000_000 + np.arange(count)
        rows = self._source_of_row[self.rows_of_queries(kind, count)]
        products = self._product_of_row[rows]
        if kind == "photo, absent":
            products = self.rows + 10 + np.arange(count)
        if kind == "duplicate":
            return self._duplicates(rows, keys)
        factors = self._factors(products, "queries", keys)
        if kind != "shot":
            known_share = self._calibration.family + self._calibration.product
            known = self._known_factors(products) / math.sqrt(known_share)
            photo = normal_rows("queries", keys + 500_000, FACTORS)
            correlation = self._calibration.photo
            factors = math.sqrt(correlation) * known + math.sqrt(1 - correlation) * photo
        return self._described(factors, keys, "queries")

    def rows_of_queries(self, kind: str, count: int) -> NDArray[np.int64]:
        """For each query a row of its product, (count,); without meaning for "photo, absent"."""
        random = np.random.default_rng([SEEDS["queries"], KINDS.index(kind)])
        return random.integers(0, self.rows, count)

    def families(self) -> NDArray[np.int64]:
        """The family of each row's product, (N,), from 0."""
        families: NDArray[np.int64] = self._family_of_product[self._product_of_row]
        return families

    def products(self) -> NDArray[np.int64]:
        """The product of each row, (N,), from 0."""
        return self._product_of_row

    def same_product(self, row: int) -> list[int]:
        """The rows that show the product of a row, including the row."""
        return np.flatnonzero(self._product_of_row == self._product_of_row[row]).tolist()

    def _duplicates(self, rows: NDArray[np.int64], keys: NDArray[np.int64]) -> list[FloatArray]:
        latent = self._latent(self._factors(self._product_of_row[rows], "images", rows), rows)
        correlation = self._calibration.duplicate
        noise = normal_rows("queries", keys, latent.shape[1])
        return self._values(math.sqrt(correlation) * latent + math.sqrt(1 - correlation) * noise)

    def _known_factors(self, products: NDArray[np.int64]) -> FloatArray:
        """The components of the family and of the product in the factors."""
        clipped = np.minimum(products, self.rows - 1)
        families = np.where(products < self.rows, self._family_of_product[clipped], products)
        family = math.sqrt(self._calibration.family) * normal_rows("families", families, FACTORS)
        product = math.sqrt(self._calibration.product) * normal_rows("products", products, FACTORS)
        return family + product

    def _factors(
        self, products: NDArray[np.int64], stream: str, keys: NDArray[np.int64]
    ) -> FloatArray:
        shot = 1 - self._calibration.family - self._calibration.product
        return self._known_factors(products) + math.sqrt(shot) * normal_rows(stream, keys, FACTORS)

    def _described(
        self, factors: FloatArray, keys: NDArray[np.int64], stream: str = "images"
    ) -> list[FloatArray]:
        return self._values(self._latent(factors, keys, stream))

    def _latent(
        self, factors: FloatArray, keys: NDArray[np.int64], stream: str = "images"
    ) -> FloatArray:
        noise = normal_rows(stream, keys + 250_000_000, self._loadings.shape[1])
        noise *= np.float32(math.sqrt(1 - self._calibration.factor_share))
        noise += factors.astype(np.float32) @ self._loadings
        return noise

    def _values(self, latent: FloatArray) -> list[FloatArray]:
        values = np.ascontiguousarray(latent, dtype=np.float32)
        _through_tables(values, self._tables)
        matrices = np.split(values, np.cumsum(self.dimensions)[:-1], axis=1)
        return [
            np.ascontiguousarray(matrix / np.linalg.norm(matrix, axis=1, keepdims=True))
            for matrix in matrices
        ]


def _sources(rows: int, share: float) -> NDArray[np.int64]:
    """The row that each row is a copy of, (N,); most rows are their own source.

    Source n of m has a share ∝ n^(-2/3) of the copies: a few rows have a thousand, most have none.
    """
    sources = np.arange(rows)
    random = seeded("copies")
    shuffled = random.permutation(rows)
    count = int(share * rows)
    originals = shuffled[count:]
    places = len(originals) * random.random(count) ** 3
    sources[shuffled[:count]] = originals[places.astype(np.int64)]
    return sources


def _value_tables(calibration: Calibration) -> list[NDArray[np.float64]]:
    """By backbone, values of some channels at the points of a grid of z, (channels, points).

    A calibrated channel has its values at equally spaced probabilities, a signed one z and a mean.
    """
    grid = np.linspace(-4, 4, _GRID)
    tail = np.exp(calibration.tail * np.abs(grid))
    probabilities = np.array([0.5 * math.erfc(-z / math.sqrt(2)) for z in grid])
    signed = grid * tail
    density = np.exp(-(grid**2) / 2)
    deviation = math.sqrt((density * signed**2).sum() / density.sum())
    first_signed = len(calibration.quantiles) - calibration.signed
    tables = []
    for backbone, quantiles in enumerate(calibration.quantiles):
        known = np.linspace(0, 1, quantiles.shape[1])
        values = [np.interp(probabilities, known, channel) for channel in quantiles]
        if backbone >= first_signed:
            tables.append((signed + calibration.shift * deviation)[None])
        else:
            tables.append(np.stack(values) * tail)
    return tables


@njit(cache=True, nogil=True)
def _through_tables(values: FloatArray, tables: FloatArray) -> None:
    last = tables.shape[1] - 1
    for row in range(values.shape[0]):
        for channel in range(values.shape[1]):
            position = (values[row, channel] + np.float32(4)) * np.float32(last / 8)
            position = min(max(position, np.float32(0)), np.float32(last) - np.float32(0.001))
            left = int(position)
            fraction = position - np.float32(left)
            low, high = tables[channel, left], tables[channel, left + 1]
            values[row, channel] = low + fraction * (high - low)
