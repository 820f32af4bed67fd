import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from export.calibration.calibrated_version import publish_calibration
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.index.publish import open_index
from retrieval_server.stores.address import StoreAddress
from retrieval_server.stores.load import Load
from retrieval_server.stores.milvus import STRONG, Milvus
from retrieval_server.stores.stored_index import StoredIndex
from tests.support.lite_store import lite_address
from tests.support.made_up_calibration import made_up_calibration
from tests.support.patience import PATIENCE_S


@pytest.fixture(scope="module")
def index(tiny_index: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``tiny_index`` with a calibration."""
    root = shutil.copytree(tiny_index, tmp_path_factory.mktemp("calibrated") / "index")
    publish_calibration(open_index(root), made_up_calibration())
    return root


@pytest.fixture(scope="module")
def bundle(index: Path) -> IndexBundle:
    return open_index(index)


@pytest.fixture(scope="module")
def address(bundle: IndexBundle, tmp_path_factory: pytest.TempPathFactory) -> StoreAddress:
    """A store in a file that holds ``index``."""
    address = lite_address(tmp_path_factory.mktemp("store"))
    milvus = Milvus(address, PATIENCE_S, STRONG, creates=True)
    Load(bundle, milvus, max_loss=0).run()
    milvus.close()
    return address


@pytest.fixture(scope="module")
def stored(address: StoreAddress) -> Iterator[StoredIndex]:
    """The index in that store, open."""
    milvus = Milvus(address, PATIENCE_S)
    yield StoredIndex.published(milvus, search_s=PATIENCE_S)
    milvus.close()
