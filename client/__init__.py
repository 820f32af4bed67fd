"""The caller's room: a Python client and the command line ``beauty-search``.

Needs grpcio, protobuf, rich and typer only. Use::

    from pathlib import Path
    from client import RetrievalClient

    with RetrievalClient("localhost:50051") as client:
        for match in client.search(Path("photo.jpg"), top_k=5).results:
            print(match.rank, match.product_id, match.similarity)
"""

from client.access import Access
from client.errors import (
    DeadlineExceededError,
    InvalidQueryError,
    OverloadedError,
    ProductNotFoundError,
    RetrievalError,
    TooLargeError,
    UnavailableError,
    UnreadableFileError,
)
from client.results import (
    Example,
    Limits,
    Match,
    Model,
    SearchLevel,
    SearchResult,
    ServerStatus,
    Stage,
    TextEvidence,
    TextIndex,
    Timings,
)
from client.retrieval_client import RetrievalClient

__all__ = [
    "Access",
    "DeadlineExceededError",
    "Example",
    "InvalidQueryError",
    "Limits",
    "Match",
    "Model",
    "OverloadedError",
    "ProductNotFoundError",
    "RetrievalClient",
    "RetrievalError",
    "SearchLevel",
    "SearchResult",
    "ServerStatus",
    "Stage",
    "TextEvidence",
    "TextIndex",
    "Timings",
    "TooLargeError",
    "UnavailableError",
    "UnreadableFileError",
]
