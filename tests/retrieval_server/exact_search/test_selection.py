"""The loops that select rows find what their references by numpy find."""

import numpy as np
import pytest

from retrieval_server.exact_search.kernels.largest import largest, largest_reference
from retrieval_server.exact_search.kernels.layout import BLOCK_ROWS, LANES
from retrieval_server.exact_search.kernels.selection import (
    keep,
    keep_by_group,
    keep_by_group_reference,
    keep_reference,
    survivors,
    survivors_reference,
)

ROWS = 300  # do not fill the last block
GROUPS = 50
NO_ROWS = np.empty(0, np.int32)
THRESHOLDS = [np.float32(value) for value in (-np.inf, 0, 0.5, 0.75, 1, 2)]


def values(seed: int) -> np.ndarray:
    """Values of 300 rows in [0, 1), many of them equal, some -inf."""
    rng = np.random.default_rng(seed)
    chosen = (rng.integers(0, 8, ROWS) / 8).astype(np.float32)
    chosen[rng.random(ROWS) < 0.1] = -np.inf
    return chosen


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_survivors_are_the_rows_whose_bound_reaches_the_threshold(threshold: np.float32) -> None:
    blocks = -(-ROWS // BLOCK_ROWS)
    bounds = np.full(blocks * BLOCK_ROWS, np.inf, np.float32)  # rows that do not exist are no rows
    bounds[:ROWS] = values(1)
    maxima, found = bounds.reshape(blocks, -1).max(axis=1), np.empty(ROWS + LANES, np.int32)

    count = survivors(bounds, maxima, ROWS, threshold, found)

    assert found[:count].tolist() == survivors_reference(bounds, ROWS, threshold).tolist()


@pytest.mark.parametrize("count", [0, 1, 200, ROWS])
@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_kept_rows_stay_in_order_with_their_estimates(count: int, threshold: np.float32) -> None:
    rows, estimates, bounds = np.arange(0, 7 * ROWS, 7, dtype=np.int32), values(2), values(3)
    expected = keep_reference(rows, estimates, bounds, count, threshold)

    kept = keep(rows, estimates, bounds, count, threshold)

    for array, left in zip((rows, estimates, bounds), expected, strict=True):
        assert array[:kept].tolist() == left.tolist()


@pytest.mark.parametrize("count", [0, 1, 200, ROWS])
def test_rows_kept_by_group_reach_the_threshold_of_their_group(count: int) -> None:
    rng = np.random.default_rng(6)
    groups = rng.integers(0, GROUPS, 2 * ROWS).astype(np.int32)
    known = rng.permutation(GROUPS)[:7].astype(np.int32)
    thresholds = rng.choice([0.5, 0.75, 2.0], len(known)).astype(np.float32)
    rows, estimates, bounds = np.arange(0, 2 * ROWS, 2, dtype=np.int32), values(2), values(3)
    memory = np.full(GROUPS, -1, np.int32)
    expected = keep_by_group_reference(rows, estimates, bounds, count, groups, known, thresholds)

    kept = keep_by_group(rows, estimates, bounds, count, groups, known, thresholds, memory)

    for array, left in zip((rows, estimates, bounds), expected, strict=True):
        assert array[:kept].tolist() == left.tolist()
    assert (memory == -1).all()  # for the next search


@pytest.mark.parametrize("count", [0, 1, 64, 200, ROWS])
@pytest.mark.parametrize("wanted", [1, 2, 7, 32, 400])
def test_largest_are_found_once_each_and_no_row_without_an_estimate(
    count: int, wanted: int
) -> None:
    estimates = values(4)

    positions = largest(estimates, count, wanted, NO_ROWS, NO_ROWS, NO_ROWS)

    found = positions[positions >= 0]
    assert len(positions) == wanted
    assert len(set(found.tolist())) == len(found)
    assert sorted(estimates[found].tolist(), reverse=True) == (
        largest_reference(estimates[:count], wanted, np.arange(count)).tolist()
    )


@pytest.mark.parametrize("count", [0, 1, 64, 200, ROWS])
@pytest.mark.parametrize("wanted", [1, 2, 7, 32, GROUPS])
@pytest.mark.parametrize("kind", ["equal", "rising", "falling", "few groups"])
@pytest.mark.parametrize("rows", [NO_ROWS, np.arange(0, 2 * ROWS, 2, dtype=np.int32)])
def test_largest_of_groups_are_of_different_groups(
    count: int, wanted: int, kind: str, rows: np.ndarray
) -> None:
    estimates = values(4)
    if kind in ("rising", "falling"):
        estimates = np.sort(estimates)[:: 1 if kind == "rising" else -1].copy()
    of_row = np.random.default_rng(5).integers(0, 3 if kind == "few groups" else GROUPS, 2 * ROWS)
    groups, memory = of_row.astype(np.int32), np.full(GROUPS, -1, np.int32)

    positions = largest(estimates, count, wanted, rows[:count], groups, memory)

    found = positions[positions >= 0]
    group_at = groups[rows] if len(rows) else groups
    assert len(positions) == wanted
    assert len(set(group_at[found].tolist())) == len(found)
    assert sorted(estimates[found].tolist(), reverse=True) == (
        largest_reference(estimates[:count], wanted, group_at[:count]).tolist()
    )
    assert (memory == -1).all()  # for the next search
