"""Which version of an index is published in a store, and what it says of itself."""

from __future__ import annotations

import json

from retrieval_server.errors import StoreError
from retrieval_server.stores.layout import INDEX_KEY, RELOAD, StoredRecord
from retrieval_server.stores.milvus import STRONG, Milvus


def published(milvus: Milvus) -> tuple[str, StoredRecord]:
    """The version that is published in a store.

    Args:
        milvus: the connection, whose address has the name of the collection.

    Returns:
        The collection with its documents, and what it says of itself.

    Raises:
        StoreError: if there is none, or it is not complete.
        StoreUnavailableError: if Milvus fails.
    """
    documents = milvus.aliased(milvus.address.collection)
    if documents is None:
        raise StoreError(
            f"{milvus.address} holds no index. Load one with: beauty-export load INDEX "
            f"--store {milvus.address}"
        )
    return documents, read_record(milvus, documents)


def read_record(milvus: Milvus, documents: str) -> StoredRecord:
    """What a version says of itself.

    Args:
        milvus: the connection.
        documents: the collection with its documents.

    Raises:
        StoreError: if it is not complete, or of another layout.
        StoreUnavailableError: if Milvus fails.
    """
    milvus.load(documents)
    place = f"{milvus.address} ({documents})"
    text = milvus.documents(documents, [INDEX_KEY], STRONG).get(INDEX_KEY)
    if text is None:
        raise StoreError(f"{place} holds no complete index. {RELOAD}")
    try:
        return StoredRecord.from_json(json.loads(text), place)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"{place} is damaged: {error!r}. {RELOAD}") from error
