"""The profile of a set of descriptors: backbones with pooling, input side, and default α and β.

A profile is a frozen value. The manifest of an index contains the complete profile, so a server
needs no other source for it. ``export/models/profiles.py`` defines the profiles that ship.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from retrieval_server.errors import ProfileError

READERS = ("ppocr",)
MAX_ALPHA = 1e6  # larger than any useful value; products of such factors do not overflow
MAX_TEXT_WEIGHT = 100.0
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """One backbone with its pooling: a folder of the model repository.

    Attributes:
        model: name of the folder in ``model_repository/``, such as ``densenet201_grmac``.
        timm_name: timm's name of the architecture, with the tag.
        alpha: strength α of the backbone in eq. (8), 0 ≤ α ≤ ``MAX_ALPHA``.
        pooling: name of the pooling, such as ``grmac`` (eq. 1-2).
        p: exponent of the pooling; None means the pooling's default.
        weights: source of the trained weights: ``timm`` (hub) or ``package:<name>``.
        mean: per-channel mean in [0, 1] for normalisation; None means the mean of the weights.
        std: per-channel standard deviation in [0, 1] for normalisation; None means that of the
            weights.
    """

    model: str
    timm_name: str
    alpha: float
    pooling: str = "grmac"
    p: float | None = None
    weights: str = "timm"
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None

    def __post_init__(self) -> None:
        """Refuse values that no stage can use.

        Raises:
            ProfileError: naming the value.
        """
        for name in ("model", "timm_name", "pooling", "weights"):
            if not isinstance(value := getattr(self, name), str):
                raise ProfileError(
                    f"Backbone {self.model!r}: {name} must be a text, got {value!r}."
                )
        if not _NAME.fullmatch(self.model):
            raise ProfileError(f"Model name {self.model!r} must match {_NAME.pattern}.")
        if not (_is_number(self.alpha) and 0 <= self.alpha <= MAX_ALPHA):
            raise ProfileError(
                f"Backbone {self.model}: alpha must be 0..{MAX_ALPHA:g}, got {self.alpha!r}."
            )
        if self.p is not None and not _is_number(self.p):
            raise ProfileError(f"Backbone {self.model}: p must be a number, got {self.p!r}.")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if values is not None and (len(values) != 3 or not all(map(_is_number, values))):
                raise ProfileError(f"Backbone {self.model}: {name} needs 3 numbers, got {values}.")


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A named set of backbones that take the same pixels.

    Attributes:
        name: name of the profile, and of its ensemble in ``model_repository/``.
        side: height and width in pixels of the square image that the backbones take.
        backbones: one or more backbones, in the order of eq. (8).
        reader: one of ``READERS``, which reads the words on photos; None for no reading.
        text_weight: default strength β of the words of a query, 0 ≤ β ≤ ``MAX_TEXT_WEIGHT``.
    """

    name: str
    side: int
    backbones: tuple[Backbone, ...]
    reader: str | None = None
    text_weight: float = 1.0

    def __post_init__(self) -> None:
        """Refuse values that no stage can use.

        Raises:
            ProfileError: naming the value.
        """
        if not _NAME.fullmatch(self.name):
            raise ProfileError(f"Profile name {self.name!r} must match {_NAME.pattern}.")
        if type(self.side) is not int or not 32 <= self.side <= 4096:
            raise ProfileError(
                f"Profile {self.name}: side must be a whole number, 32..4096, got {self.side!r}."
            )
        models = [backbone.model for backbone in self.backbones]
        if not models or len(set(models)) != len(models) or self.name in models:
            raise ProfileError(
                f"Profile {self.name} needs one or more backbones with distinct model names, "
                f"none of them {self.name!r} itself; got {models}."
            )
        if self.reader is not None and self.reader not in READERS:
            raise ProfileError(
                f"Profile {self.name}: reader must be one of {', '.join(READERS)}, got "
                f"{self.reader!r}."
            )
        if not (_is_number(self.text_weight) and 0 <= self.text_weight <= MAX_TEXT_WEIGHT):
            raise ProfileError(
                f"Profile {self.name}: text_weight must be 0..{MAX_TEXT_WEIGHT:g}, got "
                f"{self.text_weight!r}."
            )

    @property
    def models(self) -> tuple[str, ...]:
        """Model names, in the order of eq. (8)."""
        return tuple(backbone.model for backbone in self.backbones)

    @property
    def alphas(self) -> dict[str, float]:
        """Default α of eq. (8) by model name."""
        return {backbone.model: backbone.alpha for backbone in self.backbones}

    def to_json(self) -> dict[str, Any]:
        """This profile as plain JSON values; ``from_json`` reads them back."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read a profile from plain values, as in a manifest or a TOML file.

        Raises:
            ProfileError: if a key is missing or unknown, naming the known ones.
        """
        _check_keys("A profile", cls, data)
        backbones = []
        for entry in data["backbones"]:
            _check_keys("A backbone", Backbone, entry)
            triples = {
                key: tuple(float(value) if _is_number(value) else value for value in entry[key])
                for key in ("mean", "std")
                if entry.get(key) is not None
            }
            backbones.append(Backbone(**{**entry, **triples}))
        return cls(**{**data, "backbones": tuple(backbones)})


def _is_number(value: object) -> bool:
    """Whether a value is a number that a float can hold."""
    try:
        return type(value) in {int, float} and math.isfinite(value)  # type: ignore[arg-type]
    except OverflowError:  # an integer of hundreds of digits
        return False


def _check_keys(subject: str, kind: type[Any], data: Mapping[str, Any]) -> None:
    known = {field.name for field in fields(kind)}
    required = {"name", "side", "backbones"} if kind is Profile else {"model", "timm_name", "alpha"}
    if unknown := set(data) - known:
        raise ProfileError(f"{subject} has no {sorted(unknown)}. Known keys: {sorted(known)}.")
    if missing := required - set(data):
        raise ProfileError(f"{subject} needs {sorted(missing)}. Known keys: {sorted(known)}.")
