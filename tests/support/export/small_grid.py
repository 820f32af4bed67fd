"""A grid of few settings for the small networks."""

from export.models.pooling_choice import PoolingChoice
from export.tuning.grid import Grid
from tests.support.export.small_networks import SMALL

GRMAC, GEM, SPOC = PoolingChoice("grmac", 1.0), PoolingChoice("gem", 3.0), PoolingChoice("spoc")
SMALL_GRID = Grid.of(
    SMALL,
    sides=(64,),
    poolings=(GRMAC, SPOC),
    alphas=(1.0,),
    text_weights=(1.0,),
    keeps=(1, 7),
    thresholds=(0.4,),
)
