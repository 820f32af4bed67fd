"""Products are added, replaced and removed while the server answers."""

import logging
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
from numpy.typing import NDArray

from retrieval_server.errors import ChangeLogError
from retrieval_server.index.publish import open_index
from retrieval_server.serving.calls.answering import OUT_OF_MEMORY
from retrieval_server.serving.calls.upsert_stream import MOST_IN_PREPARATION
from retrieval_server.stores.layout import CLAIM_PLACE, FIRST
from retrieval_server.stores.load import Load
from retrieval_server.stores.milvus import STRONG, Milvus
from retrieval_server.stores.published_version import published
from retrieval_server.v1 import retrieval_pb2 as pb
from tests.support.lite_store import lite_address
from tests.support.patience import PATIENCE_S, eventually
from tests.support.raw_stream import RawStream
from tests.support.request_log import requests_in
from tests.support.scraped_metrics import value
from tests.support.served import Served, ServedBy
from tests.support.tiny_world import DIMENSIONS


@pytest.fixture(scope="module")
def store(tiny_index: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Milvus]:
    """A store that holds ``tiny_index``."""
    address = lite_address(tmp_path_factory.mktemp("store"))
    milvus = Milvus(address, PATIENCE_S, STRONG, creates=True)
    Load(open_index(tiny_index), milvus, max_loss=0).run()
    yield milvus
    milvus.close()


@pytest.fixture
def unchanged_store(store: Milvus) -> Iterator[str]:
    """The address of that store, without changes."""
    yield store.address.text
    store.call("delete", published(store)[1].changes, filter=f"{FIRST} >= {CLAIM_PLACE}")


Settings = dict[str, object]


@pytest.fixture
def form(request: pytest.FixtureRequest, tiny_index_copy: Path) -> Settings:
    """The settings that name the index in one of its forms, by default in files."""
    if getattr(request, "param", "files") == "files":
        return {"index": tiny_index_copy}
    return {"index": None, "store": request.getfixturevalue("unchanged_store")}


in_both_forms = pytest.mark.parametrize("form", ["files", "store"], indirect=True)


@pytest.fixture
def writer(served_by: ServedBy, form: Settings) -> Iterator[Served]:
    with served_by(**form, writable=True) as served:
        yield served


@pytest.fixture(scope="module")
def photo(tiny_catalogue: Path) -> bytes:
    """A photo of the first family."""
    return (tiny_catalogue / "queries" / "q00.jpg").read_bytes()


def upsert(served: Served, *requests: pb.UpsertRequest) -> list[pb.UpsertResponse]:
    return list(served.stub.Upsert(iter(requests), timeout=PATIENCE_S))


def delete(served: Served, *product_ids: str) -> pb.DeleteResponse:
    return served.stub.Delete(pb.DeleteRequest(product_ids=product_ids), timeout=PATIENCE_S)


def product(served: Served, product_id: str) -> pb.GetProductsResponse:
    return served.stub.GetProducts(
        pb.GetProductsRequest(product_ids=[product_id]), timeout=PATIENCE_S
    )


def status(served: Served) -> pb.GetStatusResponse:
    return served.stub.GetStatus(pb.GetStatusRequest(), timeout=PATIENCE_S)


def best(found: pb.SearchResponse) -> str:
    return found.results[0].product_id


def by_descriptors(product_id: str, seed: int = 0, **fields: object) -> pb.UpsertRequest:
    rng = np.random.default_rng(seed)
    vectors = {model: rng.normal(size=length) for model, length in DIMENSIONS.items()}
    descriptors = {
        model: pb.Descriptor(values=vector / np.linalg.norm(vector))
        for model, vector in vectors.items()
    }
    return pb.UpsertRequest(
        product_id=product_id, descriptors=pb.Descriptors(by_model=descriptors), **fields
    )


@in_both_forms
def test_the_next_search_finds_a_new_product_and_not_a_deleted_one(
    writer: Served, photo: bytes
) -> None:
    before = status(writer)
    (added,) = upsert(
        writer,
        pb.UpsertRequest(
            product_id="new",
            image=photo,
            description="<p>A new jar</p>",
            image_path="new.jpg",
            attributes={"brand": "Nuxe", "price": "12.50"},
        ),
    )
    assert (added.code, added.message, added.change_position) == (0, "", 1)
    found = writer.search(image=photo)
    assert (best(found), found.change_position) == ("new", 1)
    assert found.results[0].description == "A new jar"
    assert found.searched_count == before.product_count + 1
    assert best(writer.search(words="new jar")) == "new"
    under = pb.Filter(equals=pb.Equals(column="price", value=pb.Value(number=12.5)))
    assert [each.product_id for each in writer.search(image=photo, filter=under).results] == ["new"]
    assert best(writer.search(product_id="new")) != "new"
    assert product(writer, "new").products[0].attributes["brand"] == "Nuxe"

    removed = delete(writer, "new", "p0000", "nobody", "new")
    assert (removed.deleted_count, list(removed.missing_ids)) == (2, ["nobody"])
    assert removed.change_position == product(writer, "new").change_position == 3
    assert list(product(writer, "new").missing_ids) == ["new"]
    assert {"new", "p0000"}.isdisjoint(
        each.product_id for each in writer.search(image=photo).results
    )
    after = status(writer)
    assert after.product_count == before.product_count - 1
    assert (after.changes.position, after.changes.writable) == (3, True)


@in_both_forms
def test_a_replaced_product_is_replaced_as_a_whole(writer: Served, photo: bytes) -> None:
    upsert(writer, by_descriptors("p0001", description="Other"))
    found = product(writer, "p0001").products[0]
    assert (found.description, dict(found.attributes), found.image) == ("Other", {}, "")
    assert status(writer).product_count == len(list(_ids(writer, photo)))


def _ids(served: Served, photo: bytes) -> Iterable[str]:
    return (each.product_id for each in served.search(image=photo, top_k=100).results)


@in_both_forms
def test_refused_changes_say_why_and_the_others_go_on(writer: Served, photo: bytes) -> None:
    requests = [
        by_descriptors("first"),
        by_descriptors("  "),
        pb.UpsertRequest(product_id="none"),
        pb.UpsertRequest(product_id="torn", image=photo[:40]),
        by_descriptors("column", attributes={"colour": "red"}),
        by_descriptors("price", attributes={"price": "12,50 €"}),
        pb.UpsertRequest(product_id="model", descriptors=pb.Descriptors()),
        by_descriptors("first", 2, description="again", attributes={"price": " "}),
        by_descriptors("last"),
    ]
    responses = upsert(writer, *requests)
    assert [each.product_id for each in responses] == [each.product_id for each in requests]
    assert [each.code for each in responses] == [0, 3, 3, 3, 3, 3, 3, 0, 0]
    assert [each.change_position for each in responses] == [1, 0, 0, 0, 0, 0, 0, 2, 3]
    assert [each.message for each in responses[1:6]] == [
        "product_id: is empty. Every product needs an id.",
        "look: is missing. Set image or descriptors.",
        responses[3].message,
        "attributes: there is no column 'colour'. Columns: 'brand' (text), 'price' (number).",
        "attributes: '12,50 €' cannot stand in the column 'price', which holds numbers: write it "
        "like 12.50, without a currency.",
    ]
    assert responses[3].message.startswith("image: ")
    assert product(writer, "first").products[0].description == "again"


def test_each_upsert_is_counted_and_the_stream_has_one_line_in_the_log(
    served_by: ServedBy, tiny_index_copy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        served_by(index=tiny_index_copy, writable=True, metrics_port=0) as served,
        caplog.at_level(logging.INFO),
    ):
        upsert(served, by_descriptors("a"), by_descriptors(""), by_descriptors("b", 1))
        (line,) = requests_in(caplog)
        assert (line["method"], line["status"]) == ("Upsert", "OK")
        assert (line["durable"], line["refused"]) == (2, 1)
        for code, count in (("OK", 2), ("INVALID_ARGUMENT", 1)):
            assert value(served, "beauty_requests_total", method="Upsert", code=code) == count
        assert value(served, "beauty_request_duration_seconds_count", method="Upsert") == 3
        assert value(served, "beauty_requests_in_flight", method="Upsert") == 0


def test_a_bulk_upsert_takes_turns_with_the_searches_of_its_own_connection(
    served_by: ServedBy,
    tiny_index_copy: Path,
    tiny_catalogue: Path,
    photo: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    count = MOST_IN_PREPARATION + 10
    other = (tiny_catalogue / "queries" / "q05.jpg").read_bytes()
    with served_by(index=tiny_index_copy, writable=True) as served:
        described = []
        infer, in_flight = served.engine.infer, served.engine.in_flight

        def noted(ensemble: str, images: NDArray[np.uint8], timeout_s: float | None) -> object:
            described.append(images.tobytes())
            return infer(ensemble, images, timeout_s)

        monkeypatch.setattr(served.engine, "infer", noted)
        served.hold()
        requests = (pb.UpsertRequest(product_id=str(n), image=photo) for n in range(count))
        responses = served.stub.Upsert(requests, timeout=PATIENCE_S)
        for _ in range(in_flight):
            assert served.engine.arrived.acquire(timeout=PATIENCE_S)
        places = served.running._service.changes._queue._places
        eventually(lambda: places.waiting == 1)  # further ones are not read
        waiting = MOST_IN_PREPARATION - in_flight
        eventually(lambda: served.waiting("encode") == waiting)
        search = served.stub.Search.future(pb.SearchRequest(image=other), timeout=PATIENCE_S)
        eventually(lambda: served.waiting("encode") == waiting + 1)
        served.release()
        assert search.result().results
        assert [each.change_position for each in responses] == list(range(1, count + 1))
        (turn,) = [turn for turn, image in enumerate(described) if image != described[0]]
        assert turn <= in_flight + 1


def test_a_lack_of_memory_is_not_the_fault_of_a_product(writer: Served, photo: bytes) -> None:
    writer.engine.failure = MemoryError()
    (refused,) = upsert(writer, pb.UpsertRequest(product_id="a", image=photo))
    assert refused.code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
    assert refused.message == OUT_OF_MEMORY


def test_a_stopping_server_makes_durable_what_it_has_read_and_ends_the_stream(
    served_by: ServedBy,
    tiny_index_copy: Path,
    photo: bytes,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with (
        served_by(index=tiny_index_copy, writable=True) as served,
        caplog.at_level(logging.INFO),
    ):
        served.hold()
        unsent = threading.Event()

        def requests() -> Iterator[pb.UpsertRequest]:
            yield pb.UpsertRequest(product_id="a", image=photo)
            unsent.wait(PATIENCE_S)

        responses = served.stub.Upsert(requests(), timeout=PATIENCE_S)
        assert served.engine.arrived.acquire(timeout=PATIENCE_S)
        stopping = threading.Thread(target=served.stop, args=(PATIENCE_S,))
        stopping.start()
        eventually(served.running._service._streams._stopping.is_set)
        served.release()
        answered = next(responses)
        assert (answered.code, answered.change_position) == (0, 1)
        with pytest.raises(grpc.RpcError):
            next(responses)
        assert responses.code() is grpc.StatusCode.UNAVAILABLE
        unsent.set()
        stopping.join(PATIENCE_S)
        assert not stopping.is_alive()
        (line,) = requests_in(caplog)
        assert (line["status"], line["durable"], line["refused"]) == ("UNAVAILABLE", 1, 0)


def test_streams_of_changes_count_as_streams(served_by: ServedBy, tiny_index_copy: Path) -> None:
    with served_by(index=tiny_index_copy, writable=True, max_streams=1) as served:
        first = RawStream(served.stub)
        first.send(product_id="p0000")
        assert first.next().id == 1
        with pytest.raises(grpc.RpcError) as caught:
            upsert(served, by_descriptors("a"))
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "max_streams" in caught.value.details()
        assert list(first.rest()) == []
        assert upsert(served, by_descriptors("a"))[0].code == 0


@in_both_forms
def test_a_server_without_the_setting_refuses_changes_and_names_it(
    served_by: ServedBy, tiny_index_copy: Path, form: Settings
) -> None:
    with served_by(**form) as served:
        for call in (
            lambda: upsert(served, by_descriptors("new")),
            lambda: delete(served, "p0000"),
        ):
            with pytest.raises(grpc.RpcError) as caught:
                call()
            assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
            assert "--writable" in caught.value.details()
        assert not status(served).changes.writable
    assert not (tiny_index_copy / "changes").exists()


def test_others_follow_the_writer_and_one_takes_over_when_it_ends(
    served_by: ServedBy, tiny_index_copy: Path
) -> None:
    with served_by(index=tiny_index_copy) as follower:
        with served_by(index=tiny_index_copy, writable=True) as first:
            upsert(first, by_descriptors("a"), by_descriptors("b", 1))
            with served_by(index=tiny_index_copy, writable=True) as second:
                (refused,) = upsert(second, by_descriptors("c", 2))
                assert refused.code == grpc.StatusCode.FAILED_PRECONDITION.value[0]
                assert "Another server writes" in refused.message
                assert status(second).changes.position == 2
                first.stop(0)
                (taken,) = upsert(second, by_descriptors("c", 2))
                assert (taken.code, taken.change_position) == (0, 3)
        eventually(lambda: status(follower).changes.position == 3)
        assert product(follower, "c").products
        assert status(follower).changes.lag_s == 0


def test_each_server_of_a_store_writes_in_its_turn_and_the_others_follow(
    served_by: ServedBy, unchanged_store: str
) -> None:
    settings = {"index": None, "store": unchanged_store}
    with (
        served_by(**settings) as follower,
        served_by(**settings, writable=True) as first,
        served_by(**settings, writable=True) as second,
    ):
        upsert(first, by_descriptors("a"), by_descriptors("b", 1))
        assert upsert(second, by_descriptors("c", 2))[0].change_position == 3
        (refused,) = upsert(first, by_descriptors("d", 3))
        assert refused.code == grpc.StatusCode.UNAVAILABLE.value[0]
        assert "writes the changes of this index now" in refused.message
        assert upsert(first, by_descriptors("d", 3))[0].change_position == 4
        for served in (follower, second):
            eventually(lambda served=served: status(served).changes.position == 4)
            assert product(served, "d").products


@in_both_forms
def test_changes_are_there_after_a_restart(served_by: ServedBy, form: Settings) -> None:
    with served_by(**form, writable=True) as served:
        upsert(served, by_descriptors("a", description="kept"))
        delete(served, "p0000")
    with served_by(**form) as served:
        assert product(served, "a").products[0].description == "kept"
        assert list(product(served, "p0000").missing_ids) == ["p0000"]


def test_a_damaged_log_stops_a_server_that_starts_and_not_one_that_runs(
    served_by: ServedBy, tiny_index_copy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        served_by(index=tiny_index_copy, writable=True) as served,
        served_by(index=tiny_index_copy) as follower,
    ):
        upsert(served, by_descriptors("a"))
        eventually(lambda: status(follower).changes.position == 1)
        upsert(served, by_descriptors("b", 1))
        upsert(served, by_descriptors("c", 2))
        (segment,) = (tiny_index_copy / "changes").glob("*/*.log")
        content = bytearray(segment.read_bytes())
        content[len(content) // 2] ^= 1
    with caplog.at_level(logging.ERROR), served_by(index=tiny_index_copy) as follower:
        position = status(follower).changes.position
        segment.write_bytes(content)
        foreign = segment.with_name("00000000000000000004.log")
        foreign.write_bytes(b"no segment")
        eventually(lambda: "the check for changes fails" in caplog.text)
        assert status(follower).changes.position == position
        assert follower.search(product_id="a").results
        eventually(lambda: status(follower).changes.lag_s > 0)
    with pytest.raises(ChangeLogError, match=r"0004\.log is no segment of a change log"):
        served_by(index=tiny_index_copy).__enter__()
    foreign.unlink()
    with pytest.raises(ChangeLogError, match="is damaged at byte"):
        served_by(index=tiny_index_copy).__enter__()
