"""The parameters of a fit, as the manifest of an index records them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True, kw_only=True)
class FitParameters:
    """The scalars that the levels were encoded with; see rotation and coarse.

    Attributes:
        rows: number of rows of the database when the fit was made.
        sample_rows: number of rows that the fit was made from.
        alphas: the profile's α by backbone, which shaped the scalings.
        scalings: β by backbone.
        rotation_error: ε.
        mean_lows: smallest b that the coarse level can hold, by backbone.
        mean_steps: step of b at the coarse level, by backbone.
        residual_step: step of the residual norm at the coarse level.
        tail_step: step of the norm beside the axes of the coarse level.
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
    """What the manifest of an index records about its levels.

    Attributes:
        fit: the scalars that the levels were encoded with.
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
