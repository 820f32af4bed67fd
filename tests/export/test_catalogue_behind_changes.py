"""A build from a catalogue that does not have the changes which compactions have taken."""

from pathlib import Path

import pytest

from export.cli import BAD_INPUT
from export.index.compact import compact
from export.index.taken_changes import TakenChanges, read_taken
from retrieval_server.index.publish import current_version
from retrieval_server.v1 import retrieval_pb2 as pb
from tests.support.export.beauty_export import Run, check_failed
from tests.support.export.index_builds import add_row
from tests.support.patience import PATIENCE_S
from tests.support.served import ServedBy


@pytest.fixture
def build(
    run: Run, catalogue: Path, tmp_path: Path, index_options: tuple[object, ...]
) -> tuple[object, ...]:
    """The command that builds the index."""
    command = ("index", catalogue, "--output", tmp_path / "index", *index_options)
    assert run(*command).exit_code == 0
    return command


@pytest.fixture
def index(build: tuple[object, ...], served_by: ServedBy, catalogue: Path, tmp_path: Path) -> Path:
    """The index after two compactions: a new product, a replaced one, two deleted ones."""
    image = (catalogue / "images" / "p0000.png").read_bytes()
    with served_by(index=tmp_path / "index", writable=True, reload_every_s=0.05) as writer:

        def change(product_id: str, description: str, deleted: str) -> None:
            request = pb.UpsertRequest(
                product_id=product_id,
                image=image,
                image_path="images/p0000.png",
                description=description,
            )
            list(writer.stub.Upsert(iter([request]), timeout=PATIENCE_S))
            writer.stub.Delete(pb.DeleteRequest(product_ids=[deleted]), timeout=PATIENCE_S)
            assert compact(tmp_path / "index").changes == 2

        change("new", "a violet jar", "p0001")
        change("p0002", "a jar with another text", "p0102")
    return tmp_path / "index"


def test_a_catalogue_without_upserted_products_is_refused_before_anything_is_built(
    run: Run, build: tuple[object, ...], index: Path
) -> None:
    version = current_version(index)
    assert read_taken(index / version) == TakenChanges(("new", "p0002"), ("p0001", "p0102"))
    outcome = run(*build)
    check_failed(outcome, "lacks 1 of the 2 products that were upserted", "'new'", "--max-loss 1")
    assert outcome.exit_code == BAD_INPUT
    assert current_version(index) == version
    assert run(*build, "--max-loss", "1").exit_code == 0
    assert run(*build).exit_code == 0, "what a build has done without is forgotten"


def test_a_catalogue_that_undoes_other_changes_is_built_with_warnings(
    run: Run, build: tuple[object, ...], index: Path, catalogue: Path
) -> None:
    add_row(catalogue, "new", "images/p0000.png", "a violet jar", "", "")
    outcome = run(*build)
    assert outcome.exit_code == 0, outcome.stderr
    deleted, other = (line for line in outcome.stderr.splitlines() if "since the last" in line)
    assert deleted.startswith("warning: ")
    assert "deleted from the index since the last build: 2, the first: 'p0001'" in deleted
    assert "other texts than their upserts since the last build: 1, the first: 'p0002'" in other
    assert read_taken(index / current_version(index)) == TakenChanges()
    assert "since the last" not in run(*build).stderr


def test_a_damaged_record_of_the_changes_is_named(
    run: Run, build: tuple[object, ...], index: Path
) -> None:
    path = index / "changes" / current_version(index) / "taken.json"
    path.write_text('{"upserted": [1], "deleted": []}')
    check_failed(run(*build), str(path), "Remove it")
