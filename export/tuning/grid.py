"""The settings that can be tuned, and the grid over them.

=============  ===============  ==================================================================
setting        where            values of the default grid
=============  ===============  ==================================================================
pooling, p     profile          every pooling; p that publications used, and their neighbours
side           profile          the profile's own, 0.7 and 1.5 times as large
α              profile          the profile's own, and 0.5 to 8 in doubling steps
backbones      profile          all of them, or one alone
fusion         not a setting    product, eq. (8); the sum, ref. [20], for comparison only
k              request, server  1 to 6, and 7, which leaves the initial ranking
τ              index            0.4 to 0.8
=============  ===============  ==================================================================
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TypeVar

import numpy as np

from export.evaluation.metrics import RESULTS
from export.models.pooling_choice import PoolingChoice
from export.text_index.settings import TextSettings
from export.tuning.setting import SUM, InitialStage, Setting
from retrieval_server.models.profile import Profile
from retrieval_server.retrieval.search_request import DEFAULT_KEEP

T = TypeVar("T")

# 3.5: refs. [20] and the winner of 2020; gem's 3: Radenović et al. 2018
DEFAULT_POOLINGS = (
    *(PoolingChoice("grmac", p) for p in (1.0, 2.0, 3.5)),
    *(PoolingChoice("grmac-released", p) for p in (1.0, 3.5)),
    *(PoolingChoice("gem", p) for p in (2.0, 3.0, 5.0)),
    *(PoolingChoice(name) for name in ("rmac", "mac", "spoc")),
)
SIDE_FACTORS = (0.7, 1.5)
SIDE_STEP = 32  # what most backbones reduce a side by
SMALLEST_SIDE = 4 * SIDE_STEP  # tried unless told: poolings with regions need some cells
DEFAULT_ALPHAS = (0.5, 1.0, 2.0, 4.0, 8.0)
DEFAULT_THRESHOLDS = (0.4, 0.5, 0.6, 0.7, 0.8)
DEFAULT_KEEPS = (1, 2, 3, 4, 5, 6, RESULTS)
MOST_ALPHAS = 256  # combinations; beyond it, one α at a time is changed


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Values to try; those of the profile are tried in any case, and come first.

    Attributes:
        profile: what is tuned.
        sides: heights and widths in pixels.
        poolings: each for all backbones; for single ones where that helps (see ``tune``).
        alphas: α to try for every backbone.
        keeps: k.
        thresholds: τ.
    """

    profile: Profile
    sides: tuple[int, ...]
    poolings: tuple[PoolingChoice, ...]
    alphas: tuple[float, ...]
    keeps: tuple[int, ...]
    thresholds: tuple[float, ...]

    @classmethod
    def of(
        cls,
        profile: Profile,
        *,
        sides: Sequence[int] = (),
        poolings: Sequence[PoolingChoice] = (),
        alphas: Sequence[float] = (),
        keeps: Sequence[int] = (),
        thresholds: Sequence[float] = (),
    ) -> Grid:
        """Put a grid together; what is not given takes the default values."""
        scaled = [_scaled(profile.side, factor) for factor in SIDE_FACTORS]
        sides = sides or [side for side in scaled if side >= SMALLEST_SIDE]
        return cls(
            profile=profile,
            sides=_distinct(profile.side, *sides),
            poolings=_distinct(
                *map(PoolingChoice.of, profile.backbones), *(poolings or DEFAULT_POOLINGS)
            ),
            alphas=tuple(alphas or DEFAULT_ALPHAS),
            keeps=_distinct(DEFAULT_KEEP, *(keeps or DEFAULT_KEEPS)),
            thresholds=_distinct(TextSettings.threshold, *(thresholds or DEFAULT_THRESHOLDS)),
        )

    @property
    def default(self) -> Setting:
        """The profile as it is, with the defaults of index and server."""
        return Setting(
            initial=InitialStage(
                side=self.profile.side,
                poolings=tuple(map(PoolingChoice.of, self.profile.backbones)),
                alphas=tuple(backbone.alpha for backbone in self.profile.backbones),
            ),
            keep=DEFAULT_KEEP,
            threshold=TextSettings.threshold,
        )

    def initial_stages(self) -> Iterator[InitialStage]:
        """Every initial ranking of the grid, the profile's own first; one pooling for all."""
        count = len(self.profile.backbones)
        shared = [(pooling,) * count for pooling in self.poolings]
        for side, poolings in product(
            self.sides, _distinct(self.default.initial.poolings, *shared)
        ):
            for alphas in self._products():
                yield InitialStage(side=side, poolings=poolings, alphas=alphas)
            for alphas in self._sums():
                yield InitialStage(side=side, poolings=poolings, alphas=alphas, fusion=SUM)
            for alphas in self._singles():
                yield InitialStage(side=side, poolings=poolings, alphas=alphas)

    def other_poolings(self, initial: InitialStage) -> Iterator[InitialStage]:
        """The same ranking with another pooling of one of its backbones."""
        for number, pooling in product(initial.used, self.poolings):
            if pooling != initial.poolings[number]:
                yield initial.with_pooling(number, pooling)

    def edges(self, setting: Setting) -> list[str]:
        """What lies at an edge of the grid in a setting, so that more values may help; in words."""
        initial = setting.initial
        chosen: dict[str, list[float]] = {"--side": [initial.side]}
        tried: dict[str, Sequence[float]] = {"--side": self.sides, "--alpha": self.alphas}
        if not initial.is_single:
            chosen["--alpha"] = [initial.alphas[number] for number in initial.used]
        if setting.keep < RESULTS:
            chosen["--threshold"] = [setting.threshold]
            tried["--threshold"] = self.thresholds
        return [
            f"{option} {value:g}"
            for option, values in chosen.items()
            for value in dict.fromkeys(values)
            if len(tried[option]) > 1 and value in {min(tried[option]), max(tried[option])}
        ]

    def _products(self) -> tuple[tuple[float, ...], ...]:
        own = self.default.initial.alphas
        if len(own) == 1:
            return ()
        values = [_distinct(alpha, *self.alphas) for alpha in own]
        if np.prod([len(some) for some in values]) <= MOST_ALPHAS:
            return _distinct(own, *product(*values))
        one_changed = (
            (*own[:number], alpha, *own[number + 1 :])
            for number, some in enumerate(values)
            for alpha in some
        )
        return _distinct(own, *one_changed)

    def _sums(self) -> tuple[tuple[float, ...], ...]:
        """Those of the products, but only their ratios matter."""
        return _distinct(
            *(
                tuple(alpha / max(alphas) for alpha in alphas)
                for alphas in self._products()
                if any(alphas)
            )
        )

    def _singles(self) -> tuple[tuple[float, ...], ...]:
        """One backbone at a time with its own α, which does not matter unless it is 0."""
        own = self.default.initial.alphas
        return tuple(
            tuple((alpha or 1.0) if n == number else 0.0 for n in range(len(own)))
            for number, alpha in enumerate(own)
        )


def _scaled(side: int, factor: float) -> int:
    return round(side * factor / SIDE_STEP) * SIDE_STEP


def _distinct(*values: T) -> tuple[T, ...]:
    return tuple(dict.fromkeys(values))
