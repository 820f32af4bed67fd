"""A pooling with its exponent, by name; ``pooling`` lists what each computes."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple, Self

from retrieval_server.errors import ProfileError
from retrieval_server.models.profile import Backbone

DEFAULT_P = {"grmac": 1.0, "grmac-released": 1.0, "gem": 3.0}  # the poolings that have an exponent
WITHOUT_P = ("rmac", "mac", "spoc")
POOLINGS = (*DEFAULT_P, *WITHOUT_P)


class PoolingChoice(NamedTuple):
    """One pooling.

    Attributes:
        name: one of ``POOLINGS``.
        p: its exponent; None where it has none.
    """

    name: str
    p: float | None = None

    @classmethod
    def of(cls, backbone: Backbone) -> Self:
        """The pooling of a backbone, with its exponent explicit."""
        return cls.checked(backbone.pooling, backbone.p)

    @classmethod
    def checked(cls, name: str, p: float | None = None) -> Self:
        """A pooling that exists, with its exponent explicit.

        Raises:
            ProfileError: if the name is unknown, or p is not positive or of no use to it.
        """
        if name not in POOLINGS:
            raise ProfileError(f"Unknown pooling {name!r}. Choose one of: {', '.join(POOLINGS)}.")
        if p is not None and not p > 0:
            raise ProfileError(f"Pooling {name}: p must be positive, got {p}.")
        if name in WITHOUT_P:
            return cls(name)
        return cls(name, DEFAULT_P[name] if p is None else float(p))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``NAME`` or ``NAME:P``, such as ``gem:4``.

        Raises:
            ProfileError: if the text has another form, or names no pooling.
        """
        name, separator, exponent = text.partition(":")
        try:
            p = float(exponent) if separator else None
        except ValueError:
            raise ProfileError(f"Pooling {text!r} must be NAME or NAME:P, such as gem:4.") from None
        if p is not None and name in WITHOUT_P:
            raise ProfileError(f"Pooling {text!r}: {name} has no exponent.")
        return cls.checked(name, p)

    @property
    def label(self) -> str:
        """The name in file and model names, such as ``gem-p4``."""
        return self.name if self.p is None else f"{self.name}-p{self.p:g}"

    @property
    def mask_p(self) -> float:
        """Exponent of eq. (1) for the attention mask; the paper's for a pooling without a mask."""
        has_mask = self.name in {"grmac", "grmac-released"}
        return self.p if has_mask and self.p is not None else DEFAULT_P["grmac"]

    def apply(self, backbone: Backbone) -> Backbone:
        """The backbone with this pooling; its p is None if that is the pooling's default."""
        p = None if self.p is None or self.p == DEFAULT_P[self.name] else self.p
        return replace(backbone, pooling=self.name, p=p)
