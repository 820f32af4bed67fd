"""Holds the index that is served; a reload replaces it in one step."""

from __future__ import annotations

from dataclasses import dataclass

from retrieval_server.retrieval.retriever import Retriever


@dataclass(frozen=True)
class Refusal:
    """Why the version that ``current`` names is not served.

    Attributes:
        cause: one of a few words, for the metrics.
        message: one line for a person.
    """

    cause: str
    message: str


class ServedIndex:
    """Holds the retriever of the index that is served.

    A request takes the retriever once and keeps it to the end, so that no answer mixes two indexes.
    The old index is released when the last request that uses it has ended.

    Attributes:
        retriever: the current one.
        refusal: why the version that ``current`` names is not served; None if it is.
        is_compacting: whether a compaction that this server has started is running.
        failed_compaction: what its last compaction said, if it has failed; else None.
    """

    def __init__(self, retriever: Retriever) -> None:
        self.retriever = retriever
        self.refusal: Refusal | None = None
        self.is_compacting = False
        self.failed_compaction: str | None = None

    @property
    def warnings(self) -> list[str]:
        """What a person should know of the index that is served, beside its manifest's warnings."""
        refused = None if self.refusal is None else self.refusal.message
        return [each for each in (refused, self.failed_compaction) if each is not None]
