"""A setting: everything that a ranking depends on, one point of a tuning grid.

Paper → here: ``alphas`` is α of eq. (8), ``keep`` is k of Algorithm 1, ``threshold`` is τ of
eq. (7). ``text_weight`` is β of the factor 1 + β t, which the paper does not have.
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
    """The settings of the initial ranking.

    Attributes:
        side: height and width of the images, in pixels.
        poolings: pooling of each backbone, in the order of the profile.
        alphas: α of each backbone; 0 leaves the backbone out.
        fusion: ``product``, eq. (8), or ``sum``, Σ α_n s_n.
        text_weight: β, the strength of the words of a query.
    """

    side: int
    poolings: tuple[PoolingChoice, ...]
    alphas: tuple[float, ...]
    fusion: str = PRODUCT
    text_weight: float = Profile.text_weight

    @property
    def used(self) -> tuple[int, ...]:
        """The backbones with α > 0, as positions in the profile."""
        return tuple(backbone for backbone, alpha in enumerate(self.alphas) if alpha)

    @property
    def is_single(self) -> bool:
        """Whether one backbone alone ranks."""
        return len(self.used) == 1

    def similarities(
        self, cosines: Sequence[NDArray[np.float64]], text: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """Fuse cosines to similarities.

        Args:
            cosines: (Q, N) by backbone.
            text: t of each query and product, (Q, N); None for queries without words.

        Returns:
            (Q, N) float64.
        """
        stacked = np.stack(cosines, axis=-1)
        similarities: NDArray[np.float64] = (
            fused_similarity(stacked, self.alphas)
            if self.fusion == PRODUCT
            else stacked @ np.asarray(self.alphas)
        )
        if text is not None:
            similarities *= 1 + self.text_weight * text
        return similarities

    def with_pooling(self, backbone: int, pooling: PoolingChoice) -> InitialStage:
        """The same settings with another pooling of one backbone."""
        poolings = list(self.poolings)
        poolings[backbone] = pooling
        return replace(self, poolings=tuple(poolings))


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A setting of the initial ranking and of the refinement.

    Attributes:
        initial: settings of the initial ranking.
        keep: k; 7 leaves the initial ranking.
        threshold: τ.
    """

    initial: InitialStage
    keep: int
    threshold: float

    def profile(self, source: Profile) -> Profile:
        """A profile with this setting's side, poolings, α and β; k and τ are no part of a profile.

        It lacks the backbones with α = 0. A backbone whose graph changes gets a new model name.
        """
        assert self.initial.fusion == PRODUCT, "a profile fuses by eq. (8)"
        used = self.initial.used
        backbones = tuple(_changed(source, self.initial, position) for position in used)
        if len({backbone.model for backbone in backbones}) < len(backbones):  # one network twice
            backbones = tuple(
                replace(backbone, model=f"{backbone.model}_{position}")
                for position, backbone in zip(used, backbones, strict=True)
            )
        changed = replace(
            source,
            side=self.initial.side,
            backbones=backbones,
            text_weight=self.initial.text_weight,
        )
        return source if changed == source else replace(changed, name=f"{source.name}-tuned")

    def describe(self, profile: Profile, *, has_words: bool) -> str:
        """This setting in one line for people.

        Args:
            profile: the profile that is tuned.
            has_words: whether the queries have words, so that β counts.
        """
        initial = self.initial
        names = [profile.models[backbone] for backbone in initial.used]
        poolings = {initial.poolings[backbone].label for backbone in initial.used}
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
            alphas = ", ".join(f"{initial.alphas[backbone]:g}" for backbone in initial.used)
            parts.append(f"α {alphas}" + (" (sum)" if initial.fusion == SUM else ""))
        if has_words:
            parts.append(f"β {initial.text_weight:g}")
        refined = f"k {self.keep}, τ {self.threshold:g}" if self.keep < RESULTS else "no refinement"
        return "; ".join([*parts, refined])


def _changed(source: Profile, initial: InitialStage, position: int) -> Backbone:
    backbone = source.backbones[position]
    pooling, alpha = initial.poolings[position], initial.alphas[position]
    changed = replace(pooling.apply(backbone), alpha=alpha)
    if pooling == PoolingChoice.of(backbone) and initial.side == source.side:
        return replace(backbone, alpha=alpha)  # the same graph keeps its name
    stem = backbone.model.removesuffix(f"_{backbone.pooling}")
    return replace(changed, model=f"{stem}_{pooling.label}_{initial.side}")
