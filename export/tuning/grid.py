"""The settings that can be tuned, and the grid over them.

=============  ===============  ==================================================================
setting        where            values of the default grid
=============  ===============  ==================================================================
pooling, p     profile          every pooling; p that publications used, and their neighbours
side           profile          the profile's own, 0.7 and 1.5 times as large
α              profile          the profile's own, and 0.5 to 8 in doubling steps
β              profile          the profile's own, 0, and 0.25 to 4 in doubling steps
backbones      profile          all of them, or one alone
fusion         not a setting    product, eq. (8); the sum, ref. [20], for comparison only
k              request, server  1 to 6, and 7, which leaves the initial ranking
τ              index            0.4 to 0.8
=============  ===============  ==================================================================
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import TypeVar

import numpy as np

from export.evaluation.metrics import RESULTS
from export.models.pooling_choice import PoolingChoice
from export.text_index.settings import TextSettings
from export.tuning.setting import PRODUCT, SUM, InitialStage, Setting
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
SIDE_STEP = 32  # pixels: most backbones divide the side by it
SMALLEST_SIDE = 4 * SIDE_STEP  # of the defaults: poolings with regions need some cells
DEFAULT_ALPHAS = (0.5, 1.0, 2.0, 4.0, 8.0)
DEFAULT_TEXT_WEIGHTS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
DEFAULT_THRESHOLDS = (0.4, 0.5, 0.6, 0.7, 0.8)
DEFAULT_KEEPS = (1, 2, 3, 4, 5, 6, RESULTS)
MOST_ALPHAS = 256  # combinations; beyond it, one α at a time is changed


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The values to try. Those of the profile are always tried, and come first.

    Attributes:
        profile: the profile to tune.
        sides: heights and widths of the images, in pixels.
        poolings: poolings for all backbones at once, then for one backbone at a time (see
            ``tune``).
        alphas: α for every backbone.
        text_weights: β; the profile's own alone where no query has words.
        keeps: k.
        thresholds: τ.
    """

    profile: Profile
    sides: tuple[int, ...]
    poolings: tuple[PoolingChoice, ...]
    alphas: tuple[float, ...]
    text_weights: tuple[float, ...]
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
        text_weights: Sequence[float] = (),
        keeps: Sequence[int] = (),
        thresholds: Sequence[float] = (),
    ) -> Grid:
        """Make a grid; an empty argument takes the default values."""
        scaled = [_scaled(profile.side, factor) for factor in SIDE_FACTORS]
        sides = sides or [side for side in scaled if side >= SMALLEST_SIDE]
        return cls(
            profile=profile,
            sides=_distinct(profile.side, *sides),
            poolings=_distinct(
                *map(PoolingChoice.of, profile.backbones), *(poolings or DEFAULT_POOLINGS)
            ),
            alphas=tuple(alphas or DEFAULT_ALPHAS),
            text_weights=_distinct(profile.text_weight, *(text_weights or DEFAULT_TEXT_WEIGHTS)),
            keeps=_distinct(DEFAULT_KEEP, *(keeps or DEFAULT_KEEPS)),
            thresholds=_distinct(TextSettings.threshold, *(thresholds or DEFAULT_THRESHOLDS)),
        )

    @property
    def default(self) -> Setting:
        """The setting of the unchanged profile, with the default k and the default τ."""
        return Setting(
            initial=InitialStage(
                side=self.profile.side,
                poolings=tuple(map(PoolingChoice.of, self.profile.backbones)),
                alphas=tuple(backbone.alpha for backbone in self.profile.backbones),
                text_weight=self.profile.text_weight,
            ),
            keep=DEFAULT_KEEP,
            threshold=TextSettings.threshold,
        )

    def initial_stages(self) -> Iterator[InitialStage]:
        """Every initial ranking whose backbones share a pooling; the profile's own comes first."""
        count = len(self.profile.backbones)
        shared = [(pooling,) * count for pooling in self.poolings]
        for side, poolings in product(
            self.sides, _distinct(self.default.initial.poolings, *shared)
        ):
            for (fusion, alphas), text_weight in product(self._fusions(), self.text_weights):
                yield InitialStage(
                    side=side,
                    poolings=poolings,
                    alphas=alphas,
                    fusion=fusion,
                    text_weight=text_weight,
                )

    @property
    def tunes_words(self) -> bool:
        """Whether several β are tried."""
        return len(self.text_weights) > 1

    def without_words(self) -> Grid:
        """This grid for queries without words, for which β does not matter."""
        return replace(self, text_weights=(self.profile.text_weight,))

    def other_poolings(self, initial: InitialStage) -> Iterator[InitialStage]:
        """The initial rankings that differ from one in the pooling of one backbone."""
        for backbone, pooling in product(initial.used, self.poolings):
            if pooling != initial.poolings[backbone]:
                yield initial.with_pooling(backbone, pooling)

    def edges(self, setting: Setting) -> list[str]:
        """Name the options whose value in a setting is the least or the greatest that was tried."""
        initial = setting.initial
        chosen: dict[str, list[float]] = {"--side": [initial.side]}
        tried: dict[str, Sequence[float]] = {"--side": self.sides, "--alpha": self.alphas}
        if initial.text_weight:  # 0 is the least that there is
            chosen["--text-weight"] = [initial.text_weight]
            tried["--text-weight"] = self.text_weights
        if not initial.is_single:
            chosen["--alpha"] = [initial.alphas[backbone] for backbone in initial.used]
        if setting.keep < RESULTS:
            chosen["--threshold"] = [setting.threshold]
            tried["--threshold"] = self.thresholds
        return [
            f"{option} {value:g}"
            for option, values in chosen.items()
            for value in dict.fromkeys(values)
            if len(tried[option]) > 1 and value in {min(tried[option]), max(tried[option])}
        ]

    def _fusions(self) -> Iterator[tuple[str, tuple[float, ...]]]:
        """Every fusion with its α."""
        for alphas in self._products():
            yield PRODUCT, alphas
        for alphas in self._sums():
            yield SUM, alphas
        for alphas in self._singles():
            yield PRODUCT, alphas

    def _products(self) -> tuple[tuple[float, ...], ...]:
        own = self.default.initial.alphas
        if len(own) == 1:
            return ()
        values = [_distinct(alpha, *self.alphas) for alpha in own]
        if np.prod([len(alphas) for alphas in values]) <= MOST_ALPHAS:
            return _distinct(own, *product(*values))
        one_changed = (
            (*own[:backbone], alpha, *own[backbone + 1 :])
            for backbone, alphas in enumerate(values)
            for alpha in alphas
        )
        return _distinct(own, *one_changed)

    def _sums(self) -> tuple[tuple[float, ...], ...]:
        """The α of the products, scaled to 1 for the largest: only their ratios matter in a sum."""
        return _distinct(
            *(
                tuple(alpha / max(alphas) for alpha in alphas)
                for alphas in self._products()
                if any(alphas)
            )
        )

    def _singles(self) -> tuple[tuple[float, ...], ...]:
        """α of one backbone at a time: above 0, it only sets the share of the words, as β does."""
        own = self.default.initial.alphas
        return tuple(
            tuple((alpha or 1.0) if other == backbone else 0.0 for other in range(len(own)))
            for backbone, alpha in enumerate(own)
        )


def _scaled(side: int, factor: float) -> int:
    return round(side * factor / SIDE_STEP) * SIDE_STEP


def _distinct(*values: T) -> tuple[T, ...]:
    return tuple(dict.fromkeys(values))
