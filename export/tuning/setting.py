"""One point of a tuning grid: everything a ranking depends on.

Paper → here: ``alphas`` is α of eq. (8), ``keep`` is k of Algorithm 1, ``threshold`` is τ of
eq. (7).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from export.evaluation.metrics import RESULTS
from export.models.pooling_choice import PoolingChoice
from retrieval_server.exact_search.similarity import fused_similarity
from retrieval_server.models.profile import Backbone, Profile

PRODUCT, SUM = "product", "sum"


@dataclass(frozen=True, kw_only=True)
class InitialStage:
    """What the initial ranking depends on.

    Attributes:
        side: height and width in pixels that the backbones see.
        poolings: by backbone, in the order of the profile.
        alphas: by backbone; 0 leaves it out.
        fusion: ``product``, eq. (8), or ``sum``, Σ α_n s_n.
    """

    side: int
    poolings: tuple[PoolingChoice, ...]
    alphas: tuple[float, ...]
    fusion: str = PRODUCT

    @property
    def used(self) -> tuple[int, ...]:
        """Numbers of the backbones that are not left out."""
        return tuple(number for number, alpha in enumerate(self.alphas) if alpha)

    @property
    def is_single(self) -> bool:
        """Whether one backbone alone ranks."""
        return len(self.used) == 1

    def similarities(self, cosines: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
        """Fuse cosines (Q, N) by backbone to similarities (Q, N)."""
        stacked = np.stack(cosines, axis=-1)
        if self.fusion == PRODUCT:
            return fused_similarity(stacked, self.alphas)
        similarities: NDArray[np.float64] = stacked @ np.asarray(self.alphas)
        return similarities

    def with_pooling(self, number: int, pooling: PoolingChoice) -> InitialStage:
        """The same with another pooling of one backbone."""
        poolings = list(self.poolings)
        poolings[number] = pooling
        return replace(self, poolings=tuple(poolings))


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One point of the grid.

    Attributes:
        initial: the initial ranking.
        keep: k; 7 leaves the initial ranking.
        threshold: τ.
    """

    initial: InitialStage
    keep: int
    threshold: float

    def profile(self, source: Profile) -> Profile:
        """The profile that has this setting, as far as a profile says it.

        Backbones that are left out are gone; one whose graph changes gets a model name of its own.
        """
        assert self.initial.fusion == PRODUCT, "a profile fuses by eq. (8)"
        used = self.initial.used
        backbones = tuple(_changed(source, self.initial, number) for number in used)
        if len({backbone.model for backbone in backbones}) < len(backbones):  # one network twice
            backbones = tuple(
                replace(backbone, model=f"{backbone.model}_{number}")
                for number, backbone in zip(used, backbones, strict=True)
            )
        if self.initial.side == source.side and backbones == source.backbones:
            return source
        return Profile(name=f"{source.name}-tuned", side=self.initial.side, backbones=backbones)

    def describe(self, profile: Profile) -> str:
        """This setting in one line for people."""
        initial = self.initial
        names = [profile.models[number] for number in initial.used]
        poolings = {initial.poolings[number].label for number in initial.used}
        parts = [f"side {initial.side}"]
        if len(poolings) == 1:
            parts.append(poolings.pop())
        else:
            parts += [
                f"{name}: {initial.poolings[profile.models.index(name)].label}" for name in names
            ]
        if initial.is_single:
            parts.append(f"{names[0]} alone")
        else:
            alphas = ", ".join(f"{initial.alphas[number]:g}" for number in initial.used)
            parts.append(f"α {alphas}" + (" (sum)" if initial.fusion == SUM else ""))
        refined = f"k {self.keep}, τ {self.threshold:g}" if self.keep < RESULTS else "no refinement"
        return "; ".join([*parts, refined])


def _changed(source: Profile, initial: InitialStage, number: int) -> Backbone:
    backbone = source.backbones[number]
    pooling = initial.poolings[number]
    changed = replace(pooling.apply(backbone), alpha=initial.alphas[number])
    if pooling == PoolingChoice.of(backbone) and initial.side == source.side:
        return replace(backbone, alpha=initial.alphas[number])  # the graph stays, and its name
    stem = backbone.model.removesuffix(f"_{backbone.pooling}")
    return replace(changed, model=f"{stem}_{pooling.label}_{initial.side}")
