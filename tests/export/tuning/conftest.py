"""The tiny catalogue, described and tuned by small networks."""

import pytest

from export.tuning.described_dataset import describe_dataset
from export.tuning.pooling_sweep import PoolingSweep
from export.tuning.tune import tune
from tests.support.export.small_grid import SMALL_GRID
from tests.support.export.small_networks import SMALL, WEIGHTS


@pytest.fixture(scope="module")
def described(tiny_catalogue, tmp_path_factory):
    sweep = PoolingSweep(tmp_path_factory.mktemp("cache"), WEIGHTS)
    return describe_dataset(tiny_catalogue, SMALL, SMALL_GRID.sides, SMALL_GRID.poolings, sweep)


@pytest.fixture(scope="module")
def tuning(described):
    return tune(described, SMALL_GRID, folds=4, seed=0)
