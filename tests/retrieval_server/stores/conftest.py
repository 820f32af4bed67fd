from collections.abc import Iterator
from pathlib import Path

import pytest

from retrieval_server.index.bundle import IndexBundle
from retrieval_server.index.publish import open_index
from retrieval_server.stores.address import StoreAddress
from retrieval_server.stores.load import Load
from retrieval_server.stores.milvus import STRONG, Milvus
from retrieval_server.stores.stored_index import StoredIndex
from tests.support.lite_store import lite_address
from tests.support.patience import PATIENCE_S


@pytest.fixture(scope="module")
def bundle(tiny_index: Path) -> IndexBundle:
    return open_index(tiny_index)


@pytest.fixture(scope="module")
def address(bundle: IndexBundle, tmp_path_factory: pytest.TempPathFactory) -> StoreAddress:
    """A store in a file that holds ``tiny_index``."""
    address = lite_address(tmp_path_factory.mktemp("store"))
    milvus = Milvus(address, PATIENCE_S, STRONG)
    Load(bundle, milvus, max_loss=0).run()
    milvus.close()
    return address


@pytest.fixture(scope="module")
def stored(address: StoreAddress) -> Iterator[StoredIndex]:
    """The index in that store, open."""
    milvus = Milvus(address, PATIENCE_S)
    yield StoredIndex.published(milvus, search_s=PATIENCE_S)
    milvus.close()
