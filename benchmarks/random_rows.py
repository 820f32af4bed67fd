"""Random numbers of ``descriptor_generator``: a stream for each purpose, and rows by their keys."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

SEEDS = {
    "loadings": 1,
    "families": 2,
    "products": 3,
    "images": 4,
    "queries": 5,
    "copies": 6,
    "channels": 7,
}

FloatArray = NDArray[np.float32]


def seeded(stream: str) -> np.random.Generator:
    """A generator for one of the streams."""
    return np.random.default_rng([SEEDS[stream], 0])


def normal_rows(stream: str, keys: NDArray[np.int64], size: int) -> FloatArray:
    """A row of standard normal numbers for each key; equal streams and keys give equal rows."""
    rows = np.empty((len(keys), size), np.float32)
    _fill_normal(rows, np.asarray(keys, np.uint64), np.uint64(SEEDS[stream]))
    return rows


@njit(cache=True, nogil=True)
def _fill_normal(rows: FloatArray, keys: NDArray[np.uint64], stream: np.uint64) -> None:
    """Box-Muller on SplitMix64 (Steele, Lea, Flood 2014), seeded by stream and key."""
    for row in range(rows.shape[0]):
        state = (keys[row] + np.uint64(1)) * np.uint64(0xD1342543DE82EF95)
        state ^= stream * np.uint64(0x2545F4914F6CDD1D)
        for column in range(0, rows.shape[1], 2):
            state += np.uint64(0x9E3779B97F4A7C15)
            mixed = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            mixed ^= mixed >> np.uint64(31)
            first = (np.float32(mixed >> np.uint64(40)) + np.float32(0.5)) / np.float32(2**24)
            second = np.float32(mixed & np.uint64(0xFFFFFF)) / np.float32(2**24)
            radius = np.sqrt(np.float32(-2) * np.log(first))
            angle = np.float32(2 * math.pi) * second
            rows[row, column] = radius * np.cos(angle)
            if column + 1 < rows.shape[1]:
                rows[row, column + 1] = radius * np.sin(angle)
