"""Loading an index into a store: it goes on where it was, verifies, and publishes at the end."""

import json
from pathlib import Path

import pytest

from retrieval_server.errors import (
    ChangeWriteError,
    IndexLossError,
    StoreError,
    StoreUnavailableError,
)
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.index.publish import open_index
from retrieval_server.stores import layout, load
from retrieval_server.stores.address import StoreAddress
from retrieval_server.stores.layout import (
    INDEX_KEY,
    KEY,
    NO_VECTOR,
    TEXT,
    VECTOR,
    changes_of,
    documents_of,
    product_key,
    vectors_of,
)
from retrieval_server.stores.load import Load
from retrieval_server.stores.milvus import STRONG, Milvus
from retrieval_server.stores.stored_index import StoredIndex
from tests.support.lite_store import lite_address
from tests.support.patience import PATIENCE_S


@pytest.fixture
def milvus(tmp_path: Path):
    milvus = Milvus(lite_address(tmp_path), PATIENCE_S, STRONG, creates=True)
    yield milvus
    milvus.close()


@pytest.fixture(scope="module")
def stored_copy(bundle: IndexBundle, tmp_path_factory: pytest.TempPathFactory):
    """A store that holds ``tiny_index``, to damage."""
    milvus = Milvus(
        lite_address(tmp_path_factory.mktemp("damaged")), PATIENCE_S, STRONG, creates=True
    )
    loaded(bundle, milvus)
    yield milvus
    milvus.close()


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven rows in a batch: six batches of ``tiny_index``."""
    monkeypatch.setattr(load, "MOST_IN_A_BATCH", 7)


def loaded(bundle: IndexBundle, milvus: Milvus, max_loss: float = 0.0) -> load.Loaded:
    return Load(bundle, milvus, max_loss).run()


def opened(milvus: Milvus) -> StoredIndex:
    return StoredIndex.published(milvus, PATIENCE_S)


class StoppedError(Exception):
    """Stands for a kill."""


def stop_after(batches: int):
    """What stops a load after some batches."""

    def advance(rows: int) -> None:
        nonlocal batches
        batches -= 1
        if not batches:
            raise StoppedError

    return advance


def test_a_stopped_load_publishes_nothing_and_goes_on_where_it_was(bundle, milvus, small_batches):
    with pytest.raises(StoppedError):
        Load(bundle, milvus, 0).run(stop_after(4))
    with pytest.raises(StoreError, match=r"holds no index\. Load one with: beauty-export load"):
        opened(milvus)

    assert loaded(bundle, milvus).written == len(bundle) - 4 * 7
    assert opened(milvus).version == bundle.version
    assert loaded(bundle, milvus).written == 0


def test_a_batch_that_was_written_in_part_is_written_again(
    bundle, milvus, small_batches, monkeypatch
):
    """The load is stopped between the vectors and the documents of a batch."""
    call, calls = Milvus.call, []

    def stopped(self, method, *arguments, **named):
        if method == "upsert":
            calls.append(method)
            if len(calls) == 5:  # a batch has three: vectors, documents, mark
                raise StoppedError
        return call(self, method, *arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(Milvus, "call", stopped)
        with pytest.raises(StoppedError):
            loaded(bundle, milvus)

    assert loaded(bundle, milvus).written == len(bundle) - 7
    assert len(opened(milvus)) == len(bundle)


@pytest.fixture(scope="module")
def other(smaller_index: Path) -> IndexBundle:
    return open_index(smaller_index)


def test_a_version_with_too_few_products_is_not_published(bundle, other, milvus):
    loaded(bundle, milvus)
    with pytest.raises(IndexLossError, match=r"has 20 products, 20 fewer than .* --max-loss 0\.2"):
        loaded(other, milvus, max_loss=0.2)
    assert opened(milvus).version == bundle.version

    replaced = loaded(other, milvus, max_loss=0.5)

    assert opened(milvus).version == other.version
    assert replaced.replaced == bundle.version
    alias = milvus.address.collection
    assert replaced.replaced_collections == (
        documents_of(alias, bundle.version),
        vectors_of(alias, bundle.version),
        changes_of(alias, bundle.version),
    )
    assert loaded(bundle, milvus).written == 0  # back to the older one, which is still there
    assert opened(milvus).version == bundle.version


def test_a_version_without_the_changes_of_the_published_one_is_not_published(bundle, other, milvus):
    loaded(bundle, milvus)
    writer = opened(milvus).open_log_writer()

    with pytest.raises(IndexLossError, match="Servers have taken changes to "):
        Load(other, milvus, max_loss=0.9).run(lambda rows: writer.append([b"a change"]))
    assert opened(milvus).version == bundle.version
    with pytest.raises(ChangeWriteError, match="another server"):  # the load was the writer
        writer.append([b"another"])
    assert writer.append([b"another"]) > 1

    with pytest.raises(IndexLossError, match=r"does not have them\. .* with --max-loss 1\."):
        loaded(other, milvus, max_loss=0.9)
    loaded(other, milvus, max_loss=1)
    assert opened(milvus).version == other.version
    with pytest.raises(ChangeWriteError):
        writer.append([b"too late"])
    with pytest.raises(ChangeWriteError, match="the index has a new version"):
        writer.append([b"too late"])


def overwrite(milvus: Milvus, collection: str, key: str, text: str) -> None:
    entity = {KEY: key, TEXT: text, VECTOR: NO_VECTOR}
    milvus.call("upsert", collection, [entity])


def test_a_store_that_holds_something_else_is_not_published(bundle, milvus):
    loaded(bundle, milvus)
    documents = documents_of(milvus.address.collection, bundle.version)
    overwrite(milvus, documents, product_key(3), "1 []")
    with pytest.raises(StoreError, match="have another document product/3, unlike the index"):
        loaded(bundle, milvus)


def test_missing_rows_are_noticed_when_the_store_is_opened(bundle, milvus):
    loaded(bundle, milvus)
    vectors = vectors_of(milvus.address.collection, bundle.version)
    milvus.call("delete", vectors, filter="row in [3, 5]")
    with pytest.raises(StoreError, match="has 38 rows, and its index has 40"):
        opened(milvus)


def test_words_that_are_damaged_or_missing_are_noticed_when_the_store_is_opened(bundle, milvus):
    loaded(bundle, milvus)
    documents = documents_of(milvus.address.collection, bundle.version)
    key = layout.piece_key("words.description.norms.npy", 0)
    overwrite(milvus, documents, key, "1 AAAA")
    with pytest.raises(StoreError, match=r"pieces of words\.description\.norms\.npy .* checksum"):
        opened(milvus)
    milvus.call("delete", documents, ids=[key])
    with pytest.raises(StoreError, match=f"is damaged: {documents} has no {key}"):
        opened(milvus)


@pytest.mark.parametrize("text", ["", "[]", "{", f'{{"layout": {layout.LAYOUT}}}'])
def test_a_damaged_record_is_one_line(stored_copy, bundle, text):
    documents = documents_of(stored_copy.address.collection, bundle.version)
    overwrite(stored_copy, documents, INDEX_KEY, f"1 {text}")
    with pytest.raises(StoreError, match=r"is damaged: .*Load the index again"):
        opened(stored_copy)


def test_another_layout_is_refused_and_replaced_by_the_next_load(bundle, milvus):
    loaded(bundle, milvus)
    documents = documents_of(milvus.address.collection, bundle.version)
    overwrite(milvus, documents, INDEX_KEY, '1 {"layout": 99}')
    with pytest.raises(StoreError, match=f"has layout 99, this program reads {layout.LAYOUT}"):
        opened(milvus)
    assert loaded(bundle, milvus).written == 0
    assert opened(milvus).version == bundle.version


def test_a_collection_of_the_same_name_is_not_touched(bundle, milvus):
    taken = documents_of("taken", bundle.version)
    loaded(bundle, milvus)
    milvus.call("rename_collection", documents_of("products", bundle.version), "taken")
    address = StoreAddress.of(milvus.address.text.replace("/products", "/taken"))
    milvus.address = address
    with pytest.raises(StoreError, match="taken is a collection of its own"):
        loaded(bundle, milvus)
    assert not milvus.has_collection(taken)


def test_long_texts_and_odd_characters_come_back_as_they_are(bundle, milvus, monkeypatch):
    monkeypatch.setattr(layout, "PART_CHARACTERS", 10)
    loaded(bundle, milvus)
    stored = opened(milvus)
    rows = range(len(bundle))
    assert stored.products(rows) == bundle.products(rows)
    found, expected = stored.words.cosines("nuxe ruby"), bundle.words.cosines("nuxe ruby")
    assert found.rows.tolist() == expected.rows.tolist() != []
    assert found.cosines.tolist() == expected.cosines.tolist()


ODD = ["", "é" * 30, "\ud800 alone", 'quotes " and \\ and \n', "a" * 200_000, "product/1#1"]


@pytest.mark.parametrize("text", ODD, ids=range(len(ODD)))
def test_a_document_is_the_same_after_it_was_divided(milvus, text):
    milvus.create_collection("texts", load.document_fields())
    milvus.load("texts")
    for key, part in layout.parts_of("a", json.dumps(text)):
        overwrite(milvus, "texts", key, part)
    assert json.loads(milvus.documents("texts", ["a", "b"])["a"]) == text


def test_no_proxy_is_asked_for_a_store_on_this_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    milvus = Milvus(lite_address(tmp_path), PATIENCE_S, creates=True)
    assert not milvus.has_collection("products")
    milvus.close()


def test_a_file_is_made_by_a_load_and_not_by_who_reads(tmp_path):
    address = lite_address(tmp_path)
    with pytest.raises(StoreError, match=r"There is no store .*store\.db\. Load an index into one"):
        Milvus(address, PATIENCE_S)
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_does_not_answer_is_one_line(tmp_path):
    lite_address(tmp_path)  # skips without pymilvus
    with pytest.raises(
        StoreUnavailableError, match=r"^The store milvus://127\.0\.0\.1:1/x fails: "
    ):
        Milvus(StoreAddress.of("milvus://127.0.0.1:1/x"), 0.2)
