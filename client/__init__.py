"""The caller's room: a Python client and the command line ``beauty-search``.

Needs grpcio, protobuf, rich and typer only. Use::

    from pathlib import Path
    from client import RetrievalClient

    with RetrievalClient("localhost:50051") as client:
        for match in client.search(Path("photo.jpg"), top_k=5).results:
            print(match.rank, match.product_id, match.similarity)

A name is imported when it is used first, so that the command catches Ctrl-C before gRPC is loaded.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from client.access import Access
    from client.async_client import AsyncRetrievalClient
    from client.changes import CatalogueProduct, Deleted, Upserted
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
    from client.filters import Column, Filter
    from client.query import Answer, Query
    from client.results import (
        FoundProducts,
        Guarantee,
        Match,
        MatchedWord,
        Model,
        Point,
        Product,
        Proof,
        ReadLine,
        SearchResult,
        Stage,
        TextEvidence,
        Timings,
        WordsEvidence,
    )
    from client.retrieval_client import RetrievalClient
    from client.server_status import (
        CalibratedKind,
        Calibration,
        CatalogueColumn,
        ChangeStatus,
        ColumnKind,
        Example,
        Limits,
        Quality,
        SearchLevel,
        ServerStatus,
        TextIndex,
        WordIndex,
    )

_MODULES = (
    "client.retrieval_client",
    "client.async_client",
    "client.query",
    "client.filters",
    "client.results",
    "client.server_status",
    "client.changes",
    "client.errors",
    "client.access",
)

__all__ = [
    "Access",
    "Answer",
    "AsyncRetrievalClient",
    "CalibratedKind",
    "Calibration",
    "CatalogueColumn",
    "CatalogueProduct",
    "ChangeStatus",
    "Column",
    "ColumnKind",
    "DeadlineExceededError",
    "Deleted",
    "Example",
    "Filter",
    "FoundProducts",
    "Guarantee",
    "InvalidQueryError",
    "Limits",
    "Match",
    "MatchedWord",
    "Model",
    "OverloadedError",
    "Point",
    "Product",
    "ProductNotFoundError",
    "Proof",
    "Quality",
    "Query",
    "ReadLine",
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
    "Upserted",
    "WordIndex",
    "WordsEvidence",
]


def __getattr__(name: str) -> object:
    """Import a name of ``__all__`` from the module that has it."""
    if name in __all__:
        for module in map(import_module, _MODULES):
            if hasattr(module, name):
                return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
