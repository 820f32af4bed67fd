"""The settings of the textual index, each with its one default."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from retrieval_server.errors import RetrievalError
from retrieval_server.text.language_filter import DEFAULT_LANGUAGE_FILTER, LANGUAGE_FILTERS
from retrieval_server.text.tokens import DEFAULT_TOKENISER, REPLACED_TOKENISERS, TOKENISERS


@dataclass(frozen=True, kw_only=True)
class TextSettings:
    """Settings of the textual index; the manifest records all of them.

    Attributes:
        threshold: τ of eq. (7) in (0, 1); section 2.2 has 0.6.
        tokeniser: one of ``tokens.TOKENISERS``; the default keeps brands and sizes whole.
        language_filter: one of ``LANGUAGE_FILTERS``; section 2.2 leaves out what is not English.
        max_neighbours: the longest list allowed, the nearest kept; None allows any, as eq. (7).

    Raises:
        RetrievalError: if a value is none of these.
    """

    threshold: float = 0.6
    tokeniser: str = DEFAULT_TOKENISER
    language_filter: str = DEFAULT_LANGUAGE_FILTER
    max_neighbours: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise RetrievalError(f"The threshold {self.threshold} must lie between 0 and 1.")
        if self.tokeniser in REPLACED_TOKENISERS:
            raise RetrievalError(
                f"The tokeniser {self.tokeniser!r} was replaced by "
                f"{REPLACED_TOKENISERS[self.tokeniser]!r}, which resolves markup. Choose that one; "
                "if an index names the old one, build the index again."
            )
        for name, value, choices in (
            ("tokeniser", self.tokeniser, TOKENISERS),
            ("language filter", self.language_filter, LANGUAGE_FILTERS),
        ):
            if value not in choices:
                raise RetrievalError(
                    f"Unknown {name} {value!r}. Choose one of {', '.join(choices)}."
                )
        if self.max_neighbours is not None and self.max_neighbours < 1:
            raise RetrievalError(f"max_neighbours is {self.max_neighbours}; it must be 1 or more.")

    def to_json(self) -> dict[str, Any]:
        """These settings as plain JSON values."""
        return asdict(self)
