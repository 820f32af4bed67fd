"""The loops that apply factors of rows to bounds of L compute what their references say."""

import numpy as np
import pytest

from retrieval_server.exact_search.kernels.growth import grow_candidates, grow_rows, grown_reference
from retrieval_server.exact_search.kernels.layout import BLOCK_ROWS

ROWS, BLOCKS = 300, 5
SHIFT = 0.7


@pytest.fixture
def values() -> list[np.ndarray]:
    """Estimates and bounds of L, some -inf, and the growths of all rows, 1 for two thirds."""
    rng = np.random.default_rng(5)
    estimates = rng.normal(0, 1, BLOCKS * BLOCK_ROWS).astype(np.float32)
    estimates[rng.random(len(estimates)) < 0.1] = -np.inf
    bounds = estimates + rng.random(len(estimates)).astype(np.float32)
    growths = np.where(rng.random(ROWS) < 0.33, 1 + 9 * rng.random(ROWS), 1).astype(np.float32)
    return [estimates, bounds, growths]


def test_every_row_grows_and_its_block_keeps_a_bound(values: list[np.ndarray]) -> None:
    estimates, bounds, growths = values
    maxima = bounds.reshape(BLOCKS, -1).max(axis=1)
    expected = [grown_reference(each[:ROWS], growths, SHIFT) for each in (estimates, bounds)]
    rows = np.flatnonzero(growths > 1).astype(np.int32)

    grow_rows(rows, growths[rows], SHIFT, estimates, bounds, maxima)

    for found, grown in zip((estimates, bounds), expected, strict=True):
        assert found[:ROWS].tolist() == grown.tolist()
    assert (maxima >= bounds.reshape(BLOCKS, -1).max(axis=1)).all()


@pytest.mark.parametrize("count", [0, 1, 200, ROWS])
def test_candidates_grow_by_their_rows(values: list[np.ndarray], count: int) -> None:
    estimates, bounds, growths = values
    rows = np.sort(np.random.default_rng(6).permutation(ROWS)[:count]).astype(np.int32)
    expected = [
        grown_reference(each[:count], growths[rows], SHIFT).tolist() + each[count:].tolist()
        for each in (estimates, bounds)
    ]

    grow_candidates(rows, growths, SHIFT, estimates, bounds)

    assert [estimates.tolist(), bounds.tolist()] == expected


def test_growing_rounds_up_and_keeps_minus_infinity() -> None:
    values = np.array([-np.inf, -0.5, 0.25, 1e-30], np.float32)
    growths = np.full(4, 3.0, np.float32)
    grown = grown_reference(values, growths, SHIFT)
    exact = (values.astype(np.float64) + SHIFT) * 3.0 - SHIFT
    assert (grown >= exact).all()
    assert grown[0] == -np.inf
