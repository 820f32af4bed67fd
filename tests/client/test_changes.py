"""The commands and the client change the catalogue of a real server."""

import asyncio
import json
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from client import (
    AsyncRetrievalClient,
    CatalogueProduct,
    Deleted,
    RetrievalClient,
    RetrievalError,
    UnavailableError,
    Upserted,
)
from retrieval_server.v1 import retrieval_pb2 as pb
from tests.support.beauty_search import beauty_search, json_lines
from tests.support.patience import PATIENCE_S
from tests.support.request_log import requests_in
from tests.support.served import Served, ServedBy


@pytest.fixture
def writer(served_by: ServedBy, tiny_index_copy: Path) -> Iterator[Served]:
    with served_by(index=tiny_index_copy, writable=True) as served:
        yield served


@pytest.fixture
def images(tiny_catalogue: Path) -> Path:
    return tiny_catalogue / "queries"


def test_upsert_sends_a_catalogue_and_reports_what_is_refused(
    writer: Served, images: Path, tmp_path: Path
) -> None:
    (tmp_path / "q00.jpg").write_bytes((images / "q00.jpg").read_bytes())
    (tmp_path / "text.jpg").write_text("no image")
    catalogue = tmp_path / "new.csv"
    catalogue.write_text(
        "\ufeffid,image,description,brand,price\n"
        'a,q00.jpg,"Two\nlines",Nuxe,12.50\n'
        "b,missing.jpg,,,\n"
        "c,text.jpg,,,\n"
        "d,q00.jpg,,Nuxe,twelve\n"
        "e,,,,\n"
        "f,q00.jpg\n"
        "a,q00.jpg,Again,,\n",
        encoding="utf-8",
    )
    rejects = tmp_path / "rejects.jsonl"
    done = beauty_search(
        "upsert", catalogue, "--rejects", rejects, "--json", "--server", writer.address
    )
    assert done.exit_code == 1
    lines = json_lines(done.stdout)
    assert [(line["product_id"], line["code"], line["line"]) for line in lines] == [
        ("a", 0, 3),
        ("b", 3, 4),
        ("c", 3, 5),
        ("d", 3, 6),
        ("e", 3, 7),
        ("f", 3, 8),
        ("a", 0, 9),
    ]
    assert "2 products changed, 5 refused" in done.stderr
    refused = [json.loads(line) for line in rejects.read_text(encoding="utf-8").splitlines()]
    assert [each["product_id"] for each in refused] == list("bcdef")
    assert "missing.jpg" in refused[0]["message"]
    assert refused[3]["message"] == "has no image."
    with RetrievalClient(writer.address, timeout_s=PATIENCE_S) as client:
        (product,) = client.products(["a"]).products
        assert (product.description, product.image, product.attributes) == ("Again", "q00.jpg", {})


def test_upsert_reads_json_lines_and_folders(writer: Served, images: Path, tmp_path: Path) -> None:
    (tmp_path / "q00.jpg").write_bytes((images / "q00.jpg").read_bytes())
    rows = [
        {"id": 7, "image": "q00.jpg", "price": 1.50, "brand": None},
        {"id": "list", "image": ["q00.jpg"]},
    ]
    text = "".join(json.dumps(row).replace("1.5", "1.50") + "\n" for row in rows) + "no json\n"
    (tmp_path / "catalog.jsonl").write_text(text)
    done = beauty_search("upsert", tmp_path, "--server", writer.address)
    assert done.exit_code == 1
    assert "line 2, 'list': holds more than one value in 'image'." in done.stderr
    assert "line 3, '': is no JSON" in done.stderr
    with RetrievalClient(writer.address, timeout_s=PATIENCE_S) as client:
        assert client.products(["7"]).products[0].attributes == {"price": "1.50"}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("new.csv", b"id,picture\na,b\n", "has no column 'image'. Columns: 'id', 'picture'."),
        ("new.csv", b"id,image\n\xff\xfe,b\n", "is not UTF-8"),
        ("new.csv", b"id,image\n", "has no products."),
        ("new.xlsx", b"PK", "must be a .csv or .jsonl file"),
    ],
)
def test_a_file_that_is_no_catalogue_is_one_line(
    tmp_path: Path, name: str, content: bytes, message: str, writer: Served
) -> None:
    (tmp_path / name).write_bytes(content)
    done = beauty_search("upsert", tmp_path / name, "--server", writer.address)
    assert done.exit_code == 1
    (line,) = done.stderr.strip().splitlines()
    assert message in line


def test_delete_removes_products_and_reports_unknown_ones(writer: Served) -> None:
    done = beauty_search("delete", "p0000", "nobody", "--server", writer.address)
    assert done.exit_code == 1
    assert done.stdout == "1 deleted, position 1\n"
    assert "'nobody' is not in the index" in done.stderr
    status = beauty_search("status", "--server", writer.address)
    assert "position 1, 1 to compact; takes changes" in status.stdout


def test_the_client_sends_products_in_order_and_several_streams(
    writer: Served, images: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    products = [
        CatalogueProduct(product_id=f"n{number:03d}", image=images / "q00.jpg")
        for number in range(70)
    ]
    products.insert(3, CatalogueProduct(product_id="neither"))
    with RetrievalClient(writer.address) as client:
        outcomes = list(client.upsert(products))
        assert [each.product_id for each in outcomes] == [each.product_id for each in products]
        assert [each.product_id for each in outcomes if not each.is_durable] == ["neither"]
        assert client.status().changes.position == 70
        deleted = client.delete([f"n{number:03d}" for number in range(70)])
        assert (deleted.deleted_count, deleted.change_position) == (70, 140)
    lines = [(each["method"], each["status"], each.get("durable")) for each in requests_in(caplog)]
    assert lines == [("Upsert", "OK", 63), ("Upsert", "OK", 7), ("Delete", "OK", None)]


def test_the_asyncio_client_changes_products_likewise(
    writer: Served, images: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    products = [
        CatalogueProduct(product_id=f"a{number:03d}", image=images / "q00.jpg")
        for number in range(65)
    ]
    products.insert(3, CatalogueProduct(product_id="neither"))

    async def changed() -> tuple[list[Upserted], Deleted]:
        async with AsyncRetrievalClient(writer.address) as client:
            outcomes = [each async for each in client.upsert(products)]
            return outcomes, await client.delete([product.product_id for product in products])

    outcomes, deleted = writer.result(changed())
    assert [each.product_id for each in outcomes] == [each.product_id for each in products]
    assert [each.product_id for each in outcomes if not each.is_durable] == ["neither"]
    assert (deleted.deleted_count, deleted.missing_ids) == (65, ("neither",))
    assert {each["status"] for each in requests_in(caplog)} == {"OK"}


@pytest.mark.parametrize("client_of", [RetrievalClient, AsyncRetrievalClient])
def test_upserts_go_on_when_a_server_that_was_killed_is_back(
    served_by: ServedBy, tiny_index_copy: Path, images: Path, client_of: type
) -> None:
    # A server that is held does not read all of it, so the client is sending when it is killed.
    image = (images / "q00.jpg").read_bytes() + bytes(200_000)
    products = [CatalogueProduct(product_id=f"r{number}", image=image) for number in range(60)]

    def blocking(address: str) -> list[Upserted]:
        with RetrievalClient(address, timeout_s=PATIENCE_S) as client:
            return list(client.upsert(products))

    async def asynchronous(address: str) -> list[Upserted]:
        async with AsyncRetrievalClient(address, timeout_s=PATIENCE_S) as client:
            return [each async for each in client.upsert(products)]

    settings = {"index": tiny_index_copy, "writable": True}
    with ThreadPoolExecutor(1) as executor:
        with served_by(**settings) as first:
            first.hold()
            upserting = (
                executor.submit(blocking, first.address)
                if client_of is RetrievalClient
                else executor.submit(lambda: asyncio.run(asynchronous(first.address)))
            )
            assert first.engine.arrived.acquire(timeout=PATIENCE_S)
            first.stop(0)
        port = int(first.address.rpartition(":")[2])
        with served_by(**settings, port=port) as second:
            outcomes = upserting.result(PATIENCE_S)
            assert [each.product_id for each in outcomes] == [each.product_id for each in products]
            assert all(each.is_durable for each in outcomes)
            assert second.stub.GetStatus(pb.GetStatusRequest()).changes.position == 60


def test_a_request_that_is_too_large_for_the_server_is_refused_and_the_others_go_on(
    served_by: ServedBy, tiny_index_copy: Path, images: Path
) -> None:
    image = images / "q00.jpg"
    sizes = {"first": image, "large": bytes(2**21), "larger": bytes(2**22), "last": image}
    products = [CatalogueProduct(product_id=name, image=data) for name, data in sizes.items()]

    async def asynchronous(address: str) -> list[Upserted]:
        async with AsyncRetrievalClient(address) as client:
            return [each async for each in client.upsert(products)]

    with served_by(index=tiny_index_copy, writable=True, max_image_bytes=100_000) as served:
        with RetrievalClient(served.address) as client:
            outcomes = list(client.upsert(products))
        for each in (outcomes, served.result(asynchronous(served.address))):
            assert [outcome.product_id for outcome in each] == list(sizes)
            assert [outcome.code for outcome in each] == [0, 3, 3, 0]
            assert "reads at most 1,148,576" in each[1].message


def test_upserts_end_with_an_error_when_no_server_comes_back(
    served_by: ServedBy, tiny_index_copy: Path, images: Path
) -> None:
    product = CatalogueProduct(product_id="a", image=images / "q00.jpg")
    with served_by(index=tiny_index_copy, writable=True) as served:
        client = RetrievalClient(served.address, timeout_s=PATIENCE_S)
        assert next(client.upsert([product])).is_durable
    client.timeout_s = 0.2
    with client, pytest.raises(UnavailableError):
        list(client.upsert([product]))


def test_a_server_that_takes_no_changes_says_how(served_by: ServedBy, images: Path) -> None:
    with served_by() as served, RetrievalClient(served.address) as client:
        with pytest.raises(RetrievalError, match="--writable"):
            client.delete(["p0000"])
        with pytest.raises(RetrievalError, match="--writable"):
            list(client.upsert([CatalogueProduct(product_id="a", image=images / "q00.jpg")]))
