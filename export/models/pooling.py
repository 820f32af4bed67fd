"""Poolings: feature map (B, C, h, w) → vector (B, C), each image on its own.

=================  ===============================================================================
name               what it computes
=================  ===============================================================================
grmac              eq. (1)-(2) as printed: attention-weighted regional maxima, p = 1
grmac-released     the authors' code, per image: region maxima L2-normalised, region weights ≤ 1/3
                   cut, the whole map counted twice
rmac               regional maxima, L2-normalised and summed (Tolias et al. 2015), no attention
gem                generalised mean, p = 3 (Radenović et al. 2018)
mac                maximum over the map
spoc               mean over the map
=================  ===============================================================================

The released code takes minimum, mean and region weights over the whole batch. Here every step is
per image: a descriptor must not depend on its neighbours in a batch.

Paper → here: X̃ → ``activation``, t → ``threshold``, R_s → ``Regions``,
GMP → ``Regions.maxima``, v → the returned vector before L2 normalisation.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from export.models.pooling_choice import POOLINGS, PoolingChoice
from retrieval_server.errors import ProfileError

LEVELS = 3  # R-MAC's L; both the authors' code and ref. [20] use 3
RELEASED_MIN_WEIGHT = 1 / 3  # weights up to here count as 0 in the authors' code
RELEASED_EPS = 1e-6  # added to a region's norm in the authors' code


class Level(NamedTuple):
    """One level of R-MAC's regions: squares at every pair of offsets.

    Attributes:
        side: side of each square, in cells.
        offsets: rows at which squares begin, and likewise columns.
    """

    side: int
    offsets: tuple[int, ...]


def rmac_levels(cells: int, levels: int = LEVELS) -> tuple[Level, ...]:
    """Place the regions of R-MAC on a square map: level l has l × l squares of equal side.

    Tolias et al. 2015, section 4.1, with the rounding of the code the authors released.

    Args:
        cells: side of the map, in cells.
        levels: L; a 15-cell map has 1 + 4 + 9 regions of side 15, 10 and 7.

    Raises:
        ProfileError: if the map is too small for that many levels.
    """
    placed = []
    for level in range(1, levels + 1):
        side = 2 * cells // (level + 1)
        if side < 1:
            raise ProfileError(
                f"A feature map of {cells} × {cells} cells has no regions at level {level}. "
                "Choose a larger side, or a pooling without regions (gem, mac, spoc)."
            )
        half = math.floor(side / 2 - 1)
        step = (cells - side) / (level - 1) if level > 1 else 0.0
        placed.append(Level(side, tuple(math.floor(half + i * step) - half for i in range(level))))
    return tuple(placed)


class Regions(nn.Module):
    """The squares of one level, cut from a map of ``cells`` × ``cells``."""

    offsets: Tensor

    def __init__(self, level: Level) -> None:
        super().__init__()
        self.side = level.side
        self.register_buffer("offsets", torch.tensor(level.offsets), persistent=False)

    def maxima(self, maps: Tensor) -> Tensor:
        """Maximum of each region, GMP of eq. (2): (B, C, h, w) to (B, C, l, l)."""
        return self._at_offsets(functional.max_pool2d(maps, self.side, stride=1))

    def means(self, maps: Tensor) -> Tensor:
        """Mean of each region: (B, C, h, w) to (B, C, l, l)."""
        return self._at_offsets(functional.avg_pool2d(maps, self.side, stride=1))

    def _at_offsets(self, windows: Tensor) -> Tensor:
        """Keep the windows that are regions: the levels of most maps are not evenly spaced."""
        return windows.index_select(2, self.offsets).index_select(3, self.offsets)


def attention_mask(feature_map: Tensor, p: float = 1.0) -> Tensor:
    """Mark the cells whose mean activation exceeds the threshold of eq. (1).

    Args:
        feature_map: (B, C, h, w) float.
        p: larger values keep less of the background; 1 makes the threshold the mean.

    Returns:
        (B, 1, h, w) float, 1 where X̃ > t, else 0. All 0 for a constant map.
    """
    above_minimum, threshold = _activation_and_threshold(feature_map, p)
    return (above_minimum > threshold).to(feature_map.dtype)


def threshold_margin(feature_map: Tensor, p: float = 1.0) -> Tensor:
    """Measure how close the cells of each image are to the threshold of eq. (1).

    Args:
        feature_map: (B, C, h, w) float.
        p: as for ``attention_mask``.

    Returns:
        (B,) float, the smallest |X̃ - t| of any cell in units of X̃'s standard deviation. If it
        is tiny, rounding may change a cell of the mask, and with it a region's weight.
    """
    above_minimum, threshold = _activation_and_threshold(feature_map, p)
    distance = (above_minimum - threshold).abs().amin(dim=(1, 2, 3))
    return distance / above_minimum.flatten(1).std(dim=1)


def _activation_and_threshold(feature_map: Tensor, p: float) -> tuple[Tensor, Tensor]:
    """X̃ - min X̃, (B, 1, h, w), and t - min X̃ of eq. (1), (B, 1, 1, 1).

    The minimum cancels on both sides of X̃ > t, so it is never added back.
    """
    activation = feature_map.mean(dim=1, keepdim=True)
    above_minimum = activation - activation.amin(dim=(2, 3), keepdim=True)
    if p == 1.0:
        return above_minimum, above_minimum.mean(dim=(2, 3), keepdim=True)
    # relative to the largest, so that no power over- or underflows
    largest = above_minimum.amax(dim=(2, 3), keepdim=True).clamp_min(1e-30)
    mean_power = (above_minimum / largest).pow(p).mean(dim=(2, 3), keepdim=True)
    return above_minimum, largest * mean_power.pow(1 / p)


class GeneralizedAttentionRmac(nn.Module):
    """Attention-weighted regional maxima, eq. (1)-(2); all zero if the mask is empty."""

    def __init__(self, cells: int, p: float, *, released: bool = False) -> None:
        super().__init__()
        self.p = p
        self.released = released
        levels = rmac_levels(cells)
        self.levels = nn.ModuleList(map(Regions, (levels[0], *levels) if released else levels))

    def forward(self, feature_map: Tensor) -> Tensor:
        """Pool (B, C, h, w) to (B, C)."""
        mask = attention_mask(feature_map, self.p)
        return torch.stack([self._term(feature_map, mask, level) for level in self.levels]).sum(0)

    def _term(self, feature_map: Tensor, mask: Tensor, level: Any) -> Tensor:
        """One level's part of the sum in eq. (2), (B, C)."""
        weights: Tensor = level.means(mask)  # (B, 1, l, l)
        maxima: Tensor = level.maxima(feature_map)  # (B, C, l, l)
        if self.released:
            weights = weights * (weights > RELEASED_MIN_WEIGHT).to(weights.dtype)
            maxima = maxima / (maxima.square().sum(1, keepdim=True).sqrt() + RELEASED_EPS)
        return (weights * maxima).sum(dim=(2, 3))


class Rmac(nn.Module):
    """Regional maxima, each L2-normalised, summed (Tolias et al. 2015, without PCA)."""

    def __init__(self, cells: int) -> None:
        super().__init__()
        self.levels = nn.ModuleList(map(Regions, rmac_levels(cells)))

    def forward(self, feature_map: Tensor) -> Tensor:
        """Pool (B, C, h, w) to (B, C)."""
        return torch.stack([self._term(feature_map, level) for level in self.levels]).sum(0)

    def _term(self, feature_map: Tensor, level: Any) -> Tensor:
        maxima: Tensor = level.maxima(feature_map)
        return l2_normalise(maxima).sum(dim=(2, 3))


class Gem(nn.Module):
    """Generalised mean over the map; values below 1e-6 count as 1e-6 (Radenović et al. 2018)."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, feature_map: Tensor) -> Tensor:
        """Pool (B, C, h, w) to (B, C)."""
        return feature_map.clamp_min(1e-6).pow(self.p).mean(dim=(2, 3)).pow(1 / self.p)


class Mac(nn.Module):
    """Maximum over the map."""

    def forward(self, feature_map: Tensor) -> Tensor:
        """Pool (B, C, h, w) to (B, C)."""
        return feature_map.amax(dim=(2, 3))


class Spoc(nn.Module):
    """Mean over the map."""

    def forward(self, feature_map: Tensor) -> Tensor:
        """Pool (B, C, h, w) to (B, C)."""
        return feature_map.mean(dim=(2, 3))


def l2_normalise(vectors: Tensor) -> Tensor:
    """Scale (B, C, ...) to unit L2 norm along C; an all-zero vector stays zero.

    Dividing by the largest component first keeps the sum of squares in range at float16.
    """
    scaled = vectors / vectors.abs().amax(dim=1, keepdim=True).clamp_min(1e-6)
    return scaled / scaled.square().sum(dim=1, keepdim=True).sqrt().clamp_min(1e-2)


_BUILDERS: dict[str, Callable[[int, float], nn.Module]] = {  # (cells, p)
    "grmac": GeneralizedAttentionRmac,
    "grmac-released": lambda cells, p: GeneralizedAttentionRmac(cells, p, released=True),
    "rmac": lambda cells, p: Rmac(cells),
    "gem": lambda cells, p: Gem(p),
    "mac": lambda cells, p: Mac(),
    "spoc": lambda cells, p: Spoc(),
}
assert set(_BUILDERS) == set(POOLINGS)


def build_pooling(name: str, cells: int, p: float | None = None) -> nn.Module:
    """Build a pooling by name.

    Args:
        name: one of ``POOLINGS``.
        cells: side of the square feature map, in cells.
        p: exponent of eq. (1) for the grmac family, of the mean for gem; None means 1 and 3.

    Returns:
        A module from (B, C, cells, cells) float to (B, C), not L2-normalised.

    Raises:
        ProfileError: if the name is unknown or p is not positive.
    """
    choice = PoolingChoice.checked(name, p)
    return _BUILDERS[name](cells, 1.0 if choice.p is None else choice.p)
