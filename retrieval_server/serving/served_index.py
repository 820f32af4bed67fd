"""Holds the index that is served; a reload replaces it in one step."""

from __future__ import annotations

from retrieval_server.retrieval.retriever import Retriever


class ServedIndex:
    """Holds the retriever of the index that is served.

    A request takes the retriever once and keeps it to the end, so that no answer mixes two indexes.
    The old index is released when the last request that uses it has ended.

    Attributes:
        retriever: the current one.
    """

    def __init__(self, retriever: Retriever) -> None:
        self.retriever = retriever
