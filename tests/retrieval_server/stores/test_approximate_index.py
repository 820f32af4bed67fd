"""An engine with an approximate index: what is said to be proved holds as far as its list goes."""

from collections.abc import Iterator

import numpy as np
import pytest

from retrieval_server.exact_search.proof import Guarantee
from retrieval_server.stores.candidate_store import Selection, SumList
from retrieval_server.stores.filter_expression import FilterExpressions
from retrieval_server.stores.layout import ROW, VECTOR
from retrieval_server.stores.milvus import METRIC, STRONG, Milvus
from retrieval_server.stores.milvus_store import MilvusStore
from retrieval_server.stores.schema import vector_fields
from retrieval_server.stores.store_search import StoreSearch
from tests.support.lite_store import lite_address
from tests.support.patience import PATIENCE_S

ROWS, DIMENSION, QUERIES = 1500, 24, 40
ALPHAS, TOP_K = (0.9, 0.4), 7
KINDS = {"HNSW": {"M": 4, "efConstruction": 8}, "IVF_FLAT": {"nlist": 16}}


class NotedLists(MilvusStore):
    """Notes the lists of the engine."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)
        self.lists: list[set[int]] = []

    def search_sum(self, query: np.ndarray, top_m: int, selection: Selection) -> SumList:
        found = super().search_sum(query, top_m, selection)
        self.lists.append(set(found.rows.tolist()))
        self.query = query
        return found


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def database() -> list[np.ndarray]:
    """Clusters of descriptors without negative values, by backbone."""
    rng = np.random.default_rng(11)
    centres = rng.random((2, 40, DIMENSION)) ** 4
    return [
        unit(each[rng.integers(40, size=ROWS)] + 0.1 * rng.random((ROWS, DIMENSION)))
        for each in centres
    ]


@pytest.fixture(scope="module", params=KINDS)
def store(
    request: pytest.FixtureRequest,
    database: list[np.ndarray],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[NotedLists]:
    address = lite_address(tmp_path_factory.mktemp("store"), request.param.lower())
    milvus = Milvus(address, PATIENCE_S, STRONG, creates=True)
    name = address.collection
    milvus.create_collection(name, vector_fields(2 * DIMENSION, ()))
    vectors = np.concatenate(database, axis=1)
    entities = [{ROW: row, VECTOR: vector} for row, vector in enumerate(vectors)]
    milvus.call("upsert", name, entities)
    milvus.call("flush", name)
    milvus.call("release_collection", name)
    milvus.call("drop_index", name, VECTOR)
    index = milvus._pymilvus.MilvusClient.prepare_index_params()
    index.add_index(
        VECTOR, index_type=request.param, metric_type=METRIC, params=KINDS[request.param]
    )
    milvus.call("create_index", name, index)
    milvus.load(name)
    sizes, rectified = [DIMENSION, DIMENSION], (True, True)
    yield NotedLists(milvus, name, sizes, rectified, FilterExpressions(()))
    milvus.call("drop_collection", name)
    milvus.close()


def test_what_is_said_to_be_proved_is_brute_force_over_the_rows_that_the_engine_has_not_missed(
    store: NotedLists, database: list[np.ndarray]
) -> None:
    """It has missed those whose inner product is above the last one of its list."""
    rng = np.random.default_rng(12)
    search = StoreSearch(store, ROWS, 0, PATIENCE_S)
    vectors = np.concatenate(database, axis=1).astype(np.float64)
    proved = 0
    for _ in range(QUERIES):
        row = rng.integers(ROWS)
        query = tuple(unit(part[row] + 0.1 * rng.random(DIMENSION)) for part in database)
        store.lists.clear()
        ranking = search.rank_all(query, ALPHAS, TOP_K)
        similarities = np.ones(ROWS)
        for part, descriptor, alpha in zip(database, query, ALPHAS, strict=True):
            similarities *= 1 + alpha * (part.astype(np.float64) @ descriptor.astype(np.float64))
        assert ranking.similarities == pytest.approx(similarities[ranking.rows], abs=1e-12)
        read = np.isin(np.arange(ROWS), list(set().union(*store.lists)))
        sums = vectors @ store.query.astype(np.float64)
        last = sums[list(store.lists[-1])].min()
        is_proved = ranking.proof.guarantee is Guarantee.EXACT_FOR_LIST
        assert is_proved or ranking.proof.guarantee is Guarantee.NONE
        assert store.approximation in ranking.proof.reason or not is_proved
        covered = np.flatnonzero(read | (sums <= last) if is_proved else read)
        best = covered[np.lexsort((covered, -similarities[covered]))]
        assert ranking.rows.tolist() == best[:TOP_K].tolist()
        proved += is_proved
    assert proved > QUERIES // 2
