"""A server follows the version that is published in its store, and tells when the store fails."""

import grpc
import pytest

from retrieval_server.index.publish import open_index
from retrieval_server.stores.layout import INDEX_KEY, documents_of
from retrieval_server.stores.load import Load
from retrieval_server.stores.milvus import STRONG, Milvus
from retrieval_server.v1 import retrieval_pb2 as pb
from tests.support.lite_store import lite_address
from tests.support.patience import PATIENCE_S


@pytest.fixture
def milvus(tmp_path):
    milvus = Milvus(lite_address(tmp_path), PATIENCE_S, STRONG, creates=True)
    yield milvus
    milvus.close()


def status(served):
    return served.stub.GetStatus(pb.GetStatusRequest())


def poll(served):
    served.result(served.running.index_watch.poll())


def test_the_version_that_is_published_is_served_without_a_restart(
    served_by, bundle, smaller_index, milvus
):
    smaller = open_index(smaller_index)
    Load(smaller, milvus, max_loss=0).run()
    with served_by(index=None, store=milvus.address.text, reload_every_s=0) as served:
        assert status(served).product_count == 20
        Load(bundle, milvus, max_loss=0).run()
        poll(served)
        assert status(served).index_version == bundle.version
        assert len(served.search(product_id="p0704").results) == 7


def test_a_damaged_version_is_refused_and_the_old_one_stays(
    served_by, bundle, smaller_index, milvus
):
    Load(open_index(smaller_index), milvus, max_loss=0).run()
    with served_by(index=None, store=milvus.address.text, reload_every_s=0) as served:
        old = status(served).index_version
        Load(bundle, milvus, max_loss=0).run()
        documents = documents_of(milvus.address.collection, bundle.version)
        milvus.call("delete", documents, ids=[INDEX_KEY])
        poll(served)
        assert status(served).index_version == old
        assert any("holds no complete index" in each for each in status(served).warnings)
        assert len(served.search(product_id="p0001").results) == 7


def test_a_store_that_lost_the_collections_makes_the_server_unready(served_by, bundle, milvus):
    Load(bundle, milvus, max_loss=0).run()
    with served_by(index=None, store=milvus.address.text, reload_every_s=0) as served:
        alias = milvus.address.collection
        milvus.call("drop_alias", alias)
        milvus.call("drop_collection", documents_of(alias, bundle.version))
        served.result(served.running._readiness.poll())
        assert not served.running._readiness.is_ready
        error = served.refused(product_id="p0001")
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert error.details().startswith("The store milvus-lite:")
