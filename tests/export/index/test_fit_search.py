"""The residual level's steps fit the distribution of what the axes leave."""

import numpy as np
import pytest

from export.index.fit_search import residual_steps
from retrieval_server.exact_search.levels.fitting import residual_losses

GAUSSIAN_STEP = 0.5860  # of 8 levels, in σ: J. Max 1960, table II


def remainder(kind: str, rows: int) -> np.ndarray:
    """What the axes leave of some rows in 20 dimensions, of different deviations."""
    rng = np.random.default_rng(rows)
    drawn = rng.normal(size=(rows, 20)) if kind == "gaussian" else rng.laplace(size=(rows, 20))
    scaled: np.ndarray = (drawn * np.linspace(0.1, 2, 20)).astype(np.float32)
    return scaled


@pytest.mark.parametrize(("kind", "most"), [("gaussian", 1.02), ("long tails", 0.9)])
def test_residual_steps_lose_no_more_of_other_rows_than_those_of_a_gaussian(
    kind: str, most: float
) -> None:
    fitted, other = remainder(kind, 2000), remainder(kind, 3000)

    losses = residual_losses(other, residual_steps(fitted))

    gaussian = (GAUSSIAN_STEP * other.std(axis=0)).astype(np.float32)
    assert losses.sum() < most * residual_losses(other, gaussian).sum()


def test_a_dimension_without_a_remainder_has_no_step() -> None:
    rows = remainder("gaussian", 100)
    rows[:, 7] = 0

    steps = residual_steps(rows)

    assert steps[7] == 0
    assert (np.delete(steps, 7) > 0).all()
