"""The numbers of a fit, as they stand in the manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True, kw_only=True)
class FitParameters:
    """What the levels were encoded with, besides the axes; see rotation and coarse_level.

    Attributes:
        rows: rows of the database when the fit was made.
        sample_rows: how many of them it was made from.
        alphas: the profile's α, which shaped the scalings.
        scalings: β by backbone.
        rotation_error: ε.
        mean_lows: smallest b that the coarse level can tell, by backbone.
        mean_steps: its step, by backbone.
        residual_step: step of the coarse level's residual norm.
        tail_step: step of the norm beside its axes.
        code_offsets: code of zero at the byte level, by backbone.
    """

    rows: int
    sample_rows: int
    alphas: tuple[float, ...]
    scalings: tuple[float, ...]
    rotation_error: float
    mean_lows: tuple[float, ...]
    mean_steps: tuple[float, ...]
    residual_step: float
    tail_step: float
    code_offsets: tuple[int, ...]


@dataclass(frozen=True)
class SearchRecord:
    """What the manifest says about the levels.

    Attributes:
        fit: what they were encoded with.
        rectified: by backbone, whether no descriptor has a negative value.
    """

    fit: FitParameters
    rectified: tuple[bool, ...]

    def to_json(self) -> dict[str, Any]:
        """This record as plain JSON values; floats survive to the last bit."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what ``to_json`` wrote."""
        fit: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in data["fit"].items()
        }
        return cls(FitParameters(**fit), tuple(data["rectified"]))
