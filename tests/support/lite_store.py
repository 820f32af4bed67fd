"""A store in a file of Milvus Lite; its tests are skipped without pymilvus and milvus-lite."""

from pathlib import Path

import pytest

from retrieval_server.stores.address import StoreAddress


def lite_address(folder: Path, collection: str = "products") -> StoreAddress:
    pytest.importorskip("pymilvus", reason="needs the extra milvus-lite")
    pytest.importorskip("milvus_lite", reason="needs the extra milvus-lite")
    return StoreAddress.of(f"milvus-lite:{folder / 'store.db'}/{collection}")
