"""``beauty-search smoke-test``: one known image through the whole of a deployment."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from client import RetrievalClient, ServerStatus
from client.cli import app
from client.terminal.known_answer import smoke_test_by_catalogue
from export.dataset.catalogue import read_catalogue
from retrieval_server.errors import EngineUnavailableError
from retrieval_server.v1 import retrieval_pb2 as pb
from tests.support.patience import PATIENCE_S
from tests.support.served import Served, ServedBy
from tests.support.tiny_world import DIMENSIONS


@pytest.fixture(scope="module")
def served(served_by: ServedBy) -> Iterator[Served]:
    with served_by() as server:
        yield server


@pytest.fixture(scope="module")
def images(tiny_catalogue: Path) -> dict[str, Path]:
    """The catalogue's image of each product."""
    catalogue = read_catalogue(tiny_catalogue)
    return {row.product_id: catalogue.image_path(row) for row in catalogue.rows}


def smoke(served: Served, *arguments: object) -> Result:
    clean = {name: None for name in os.environ if name.startswith("BEAUTY_SEARCH")}
    words = ["smoke-test", *map(str, arguments), "--server", served.address]
    return CliRunner().invoke(app, words, env=clean)


def test_every_catalogue_image_finds_its_product_first(
    served: Served, images: dict[str, Path], tiny_index: Path
) -> None:
    version = (tiny_index / "current").read_text().strip()
    for product_id, image in images.items():
        result = smoke(served, image, "--expect", product_id)
        assert result.exit_code == 0, result.output
        assert result.stdout.startswith(f"{product_id} comes first of 7 with similarity 8.0000")
        assert f"from index {version}" in result.stdout


def test_the_server_knows_a_product_of_the_catalogue(
    served: Served, tiny_catalogue: Path, tmp_path: Path
) -> None:
    result = smoke(served, "--catalogue", tiny_catalogue)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("p0000 comes first of 7 with similarity 8.0000")
    assert smoke(served, "--catalogue", tiny_catalogue, "--wait", PATIENCE_S).exit_code == 0
    elsewhere = smoke(served, "--catalogue", tmp_path)
    assert elsewhere.exit_code == 1
    assert str(tmp_path / "images" / "p0000.png") in elsewhere.stderr


def test_another_product_first_fails_and_names_both(
    served: Served, images: dict[str, Path]
) -> None:
    result = smoke(served, images["p0000"], "--expect", "p0001")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "found p0000 first; p0001 has rank " in result.stderr
    unknown = smoke(served, images["p0000"], "--expect", "nobody")
    assert unknown.exit_code == 1
    assert "nobody is not among the results" in unknown.stderr


def test_a_missing_image_and_a_missing_id_are_failures(served: Served, tmp_path: Path) -> None:
    absent = smoke(served, tmp_path / "absent.jpg", "--expect", "p0000")
    assert absent.exit_code == 1
    assert "absent.jpg" in absent.stderr
    for words in ((), ("absent.jpg",), ("--expect", "p0000"), ("absent.jpg", "--catalogue", ".")):
        assert smoke(served, *words).exit_code == 2


def test_waiting_outlasts_models_that_are_away(served: Served, images: dict[str, Path]) -> None:
    served.engine.failure = EngineUnavailableError("Triton is away.")
    at_once = smoke(served, images["p0000"], "--expect", "p0000")
    assert at_once.exit_code == 1
    assert "Triton is away" in at_once.stderr

    async def come_back_later() -> None:
        asyncio.get_running_loop().call_later(1.5, setattr, served.engine, "failure", None)

    served.result(come_back_later())  # longer than gRPC's own retries
    later = smoke(served, images["p0000"], "--expect", "p0000", "--wait", PATIENCE_S)
    assert later.exit_code == 0, later.output


class DeletingClient(RetrievalClient):
    """Deletes the first product that the server proposes, before it is searched for."""

    has_deleted = False

    def status(self) -> ServerStatus:
        status = super().status()
        if not self.has_deleted:
            self.has_deleted = True
            self.delete([status.example.product_id])
        return status


def test_a_product_that_is_deleted_meanwhile_is_not_searched_for(
    served_by: ServedBy, tiny_index_copy: Path, tiny_catalogue: Path
) -> None:
    with (
        served_by(index=tiny_index_copy, writable=True) as writer,
        DeletingClient(writer.address, timeout_s=PATIENCE_S) as client,
    ):
        found = smoke_test_by_catalogue(client, tiny_catalogue, 0.0)
        assert found.startswith("p0001 comes first of 7")
        gone = smoke(writer, tiny_catalogue / "images" / "p0000.png", "--expect", "p0000")
        assert (gone.exit_code, "p0000 is not among the results" in gone.stderr) == (1, True)


def test_an_index_without_products_or_images_is_told_as_such(
    served_by: ServedBy, tiny_index_copy: Path, tiny_catalogue: Path
) -> None:
    with served_by(index=tiny_index_copy, writable=True) as writer:
        ids = [f"p{family:02d}{member:02d}" for family in range(8) for member in range(5)]
        writer.stub.Delete(pb.DeleteRequest(product_ids=ids), timeout=PATIENCE_S)
        empty = smoke(writer, "--catalogue", tiny_catalogue)
        assert (empty.exit_code, "has no products" in empty.stderr) == (1, True)
        descriptors = pb.Descriptors(
            by_model={
                model: pb.Descriptor(values=np.eye(length)[0].astype(np.float32))
                for model, length in DIMENSIONS.items()
            }
        )
        request = pb.UpsertRequest(product_id="drawn", descriptors=descriptors)
        (done,) = writer.stub.Upsert(iter([request]), timeout=PATIENCE_S)
        assert done.code == 0, done.message
        told = smoke(writer, "--catalogue", tiny_catalogue).stderr
        assert "proposes drawn, which has no image" in told
