"""Databases of made-up descriptors that behave like real ones, of any size.

A descriptor is a Gaussian vector z put through the value distribution of each channel, which is
that of a real channel (zeros included), and L2-normalised. z is made of joint factors with a
decaying spectrum, the same ones for both backbones, and noise of each channel and image. The
factors of an image are a sum of a family's, a product's and a shot's part. The share of each, and
the spectrum, come from ``descriptor_calibration.json``, fitted to real descriptors by
``calibrate_descriptors.py``.

Rows come in random order; equal seeds and sizes give equal databases. Kinds of queries:

=============  ==================================================================================
duplicate      an image of the database, compressed again
shot           another clean shot of a product that is there
photo          a photo by a customer of a product that is there: the kind the challenge asks
photo, absent  a photo of a product whose whole family is not there
=============  ==================================================================================
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

CALIBRATION_FILE = Path(__file__).with_name("descriptor_calibration.json")
KINDS = ("duplicate", "shot", "photo", "photo, absent")
HARD_KINDS = ("photo", "photo, absent")
FACTORS = 384
LARGEST_FAMILY = 8
IMAGES_PER_PRODUCT = 2.2
_GRID = 129  # points of a channel's value distribution, over ±4 deviations
_SEEDS = {"loadings": 1, "families": 2, "products": 3, "images": 4, "queries": 5}

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class Calibration:
    """What makes the descriptors realistic.

    Attributes:
        quantiles: by backbone, for some real channels, values at equally spaced probabilities.
        decay: factor k has a variance ∝ (k + 4)^-decay.
        factor_share: share of the factors in the variance of z; the rest is noise.
        family: share of the family's part in the factors.
        product: share of the product's part; the rest is the shot's.
        photo: what is left of family and product in a customer's photo, as a correlation of z.
        duplicate: likewise of a whole image when it is compressed again.
    """

    quantiles: tuple[NDArray[np.float64], ...]
    decay: float
    factor_share: float
    family: float
    product: float
    photo: float
    duplicate: float

    @classmethod
    def read(cls, path: Path = CALIBRATION_FILE) -> Calibration:
        """Read a calibration."""
        data: dict[str, Any] = json.loads(path.read_text())
        quantiles = tuple(np.array(backbone) for backbone in data["quantiles"])
        return cls(
            quantiles, **{f.name: data[f.name] for f in fields(cls) if f.name in data["shares"]}
        )


class DescriptorGenerator:
    """Makes databases and queries.

    Args:
        rows: N.
        dimensions: C by backbone.
        calibration: what makes them realistic.
    """

    def __init__(self, rows: int, dimensions: Sequence[int], calibration: Calibration) -> None:
        self.rows, self.dimensions, self._is = rows, tuple(dimensions), calibration
        channels = sum(dimensions)
        spectrum = (np.arange(FACTORS) + 4.0) ** (-calibration.decay / 2)
        loadings = _random("loadings").normal(size=(FACTORS, channels)) * spectrum[:, None]
        loadings *= math.sqrt(calibration.factor_share) / np.linalg.norm(loadings, axis=0)
        self._loadings = loadings.astype(np.float32)
        self._tables = np.concatenate(
            [
                _value_tables(quantiles)[np.arange(size) % len(quantiles)]
                for quantiles, size in zip(calibration.quantiles, dimensions, strict=True)
            ]
        ).astype(np.float32)
        random = _random("products")
        images = 1 + random.poisson(IMAGES_PER_PRODUCT - 1, rows)
        product = np.repeat(np.arange(rows), images)[:rows]
        members = random.integers(1, LARGEST_FAMILY + 1, rows)
        self._family_of_product = np.repeat(np.arange(rows), members)[:rows]
        self._product_of_row = random.permutation(product)

    def descriptors(self, first: int, last: int) -> list[FloatArray]:
        """Rows [first, last) of the database, (m, C_n) by backbone."""
        rows = np.arange(first, last)
        return self._described(self._factors(self._product_of_row[rows], "images", rows), rows)

    def queries(self, kind: str, count: int) -> list[FloatArray]:
        """(count, C_n) by backbone."""
        numbers = KINDS.index(kind) * 1_000_000 + np.arange(count)
        rows = self.rows_of_queries(kind, count)
        products = self._product_of_row[rows]
        if kind == "photo, absent":
            products = self.rows + 10 + np.arange(count)
        if kind == "duplicate":
            return self._duplicates(rows, numbers)
        factors = self._factors(products, "queries", numbers)
        if kind != "shot":
            known = self._parts(products) / math.sqrt(self._is.family + self._is.product)
            photo = _normal("queries", numbers + 500_000, FACTORS)
            kept = self._is.photo
            factors = math.sqrt(kept) * known + math.sqrt(1 - kept) * photo
        return self._described(factors, numbers, "queries")

    def rows_of_queries(self, kind: str, count: int) -> NDArray[np.int64]:
        """(count,) for each query a row of its product, where that is there."""
        random = np.random.default_rng([_SEEDS["queries"], KINDS.index(kind)])
        return random.integers(0, self.rows, count)

    def same_product(self, row: int) -> list[int]:
        """The rows that show the product of a row, itself included."""
        return np.flatnonzero(self._product_of_row == self._product_of_row[row]).tolist()

    def _duplicates(self, rows: NDArray[np.int64], numbers: NDArray[np.int64]) -> list[FloatArray]:
        latent = self._latent(self._factors(self._product_of_row[rows], "images", rows), rows)
        kept = self._is.duplicate
        noise = _normal("queries", numbers, latent.shape[1])
        return self._values(math.sqrt(kept) * latent + math.sqrt(1 - kept) * noise)

    def _parts(self, products: NDArray[np.int64]) -> FloatArray:
        """The family's and the product's part of the factors."""
        known = np.minimum(products, self.rows - 1)
        families = np.where(products < self.rows, self._family_of_product[known], products)
        return math.sqrt(self._is.family) * _normal("families", families, FACTORS) + math.sqrt(
            self._is.product
        ) * _normal("products", products, FACTORS)

    def _factors(
        self, products: NDArray[np.int64], stream: str, numbers: NDArray[np.int64]
    ) -> FloatArray:
        shot = 1 - self._is.family - self._is.product
        return self._parts(products) + math.sqrt(shot) * _normal(stream, numbers, FACTORS)

    def _described(
        self, factors: FloatArray, numbers: NDArray[np.int64], stream: str = "images"
    ) -> list[FloatArray]:
        return self._values(self._latent(factors, numbers, stream))

    def _latent(
        self, factors: FloatArray, numbers: NDArray[np.int64], stream: str = "images"
    ) -> FloatArray:
        noise = _normal(stream, numbers + 250_000_000, self._loadings.shape[1])
        noise *= np.float32(math.sqrt(1 - self._is.factor_share))
        noise += factors.astype(np.float32) @ self._loadings
        return noise

    def _values(self, latent: FloatArray) -> list[FloatArray]:
        values = np.ascontiguousarray(latent, dtype=np.float32)
        _through_tables(values, self._tables)
        parts = np.split(values, np.cumsum(self.dimensions)[:-1], axis=1)
        return [
            np.ascontiguousarray(part / np.linalg.norm(part, axis=1, keepdims=True))
            for part in parts
        ]


def _random(stream: str) -> np.random.Generator:
    return np.random.default_rng([_SEEDS[stream], 0])


def _normal(stream: str, numbers: NDArray[np.int64], size: int) -> FloatArray:
    """Rows of standard normal numbers; a number always has the same row."""
    rows = np.empty((len(numbers), size), np.float32)
    _fill_normal(rows, np.asarray(numbers, np.uint64), np.uint64(_SEEDS[stream]))
    return rows


@njit(cache=True, nogil=True)
def _fill_normal(rows: FloatArray, numbers: NDArray[np.uint64], stream: np.uint64) -> None:
    """Box-Muller on SplitMix64 (Steele, Lea, Flood 2014), seeded by stream and number."""
    for row in range(rows.shape[0]):
        state = (numbers[row] + np.uint64(1)) * np.uint64(0xD1342543DE82EF95)
        state ^= stream * np.uint64(0x2545F4914F6CDD1D)
        for place in range(0, rows.shape[1], 2):
            state += np.uint64(0x9E3779B97F4A7C15)
            mixed = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            mixed ^= mixed >> np.uint64(31)
            first = (np.float32(mixed >> np.uint64(40)) + np.float32(0.5)) / np.float32(2**24)
            second = np.float32(mixed & np.uint64(0xFFFFFF)) / np.float32(2**24)
            radius = np.sqrt(np.float32(-2) * np.log(first))
            angle = np.float32(2 * math.pi) * second
            rows[row, place] = radius * np.cos(angle)
            if place + 1 < rows.shape[1]:
                rows[row, place + 1] = radius * np.sin(angle)


def _value_tables(quantiles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values of each channel on a grid of z, from its values at equally spaced probabilities."""
    grid = np.linspace(-4, 4, _GRID)
    probabilities = np.array([0.5 * math.erfc(-z / math.sqrt(2)) for z in grid])
    known = np.linspace(0, 1, quantiles.shape[1])
    return np.stack([np.interp(probabilities, known, channel) for channel in quantiles])


@njit(cache=True, nogil=True)
def _through_tables(values: FloatArray, tables: FloatArray) -> None:
    last = tables.shape[1] - 1
    for row in range(values.shape[0]):
        for channel in range(values.shape[1]):
            place = (values[row, channel] + np.float32(4)) * np.float32(last / 8)
            place = min(max(place, np.float32(0)), np.float32(last) - np.float32(0.001))
            left = int(place)
            part = place - np.float32(left)
            low, high = tables[channel, left], tables[channel, left + 1]
            values[row, channel] = low + part * (high - low)
