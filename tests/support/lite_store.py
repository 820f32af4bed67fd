"""A store in a file of Milvus Lite; its tests are skipped without pymilvus and milvus-lite.

``make test-milvus`` names a Milvus server instead, whose collections then stay there.
"""

import os
import uuid
from pathlib import Path

import pytest

from retrieval_server.stores.address import StoreAddress

SERVER_VARIABLE = "TEST_MILVUS"  # HOST:PORT of a Milvus server


def lite_address(folder: Path, collection: str = "products") -> StoreAddress:
    pytest.importorskip("pymilvus", reason="needs the extra milvus-lite")
    server = os.environ.get(SERVER_VARIABLE)
    if server:
        return StoreAddress.of(f"milvus://{server}/{collection}_{uuid.uuid4().hex[:8]}")
    pytest.importorskip("milvus_lite", reason="needs the extra milvus-lite")
    return StoreAddress.of(f"milvus-lite:{folder / 'store.db'}/{collection}")
