"""The index that is being served; another one takes its place at once and whole."""

from __future__ import annotations

from retrieval_server.retrieval.retriever import Retriever


class ServedIndex:
    """Holds the retriever of the index that is served.

    Whoever answers a request takes the retriever once and stays with it: an answer never mixes two
    indexes. The old one goes when the last request that took it has ended.

    Attributes:
        retriever: the one to take now.
    """

    def __init__(self, retriever: Retriever) -> None:
        self.retriever = retriever
