"""From a catalogue to results on a terminal, through the three commands and a real process."""

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from client.__main__ import main as search_main
from client.cli import app as search_app
from export.cli import app as export_app
from retrieval_server.__main__ import main as server_main
from tests.support.patience import PATIENCE_S
from tests.support.programs.command import command


def export(*arguments: object) -> Result:
    result = CliRunner().invoke(export_app, list(map(str, arguments)), catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    return result


@pytest.fixture(scope="module")
def index(
    tiny_catalogue: Path,
    tiny_profile_file: Path,
    tiny_repository: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The catalogue's index, built by the command."""
    folder = tmp_path_factory.mktemp("built") / "index"
    models = ("--profile", tiny_profile_file, "--model-repository", tiny_repository)
    export("index", tiny_catalogue, "--output", folder, *models)
    return folder


@pytest.fixture(scope="module")
def address(
    index: Path, tiny_repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A server process that answers there."""
    address_file = tmp_path_factory.mktemp("server") / "address"
    with subprocess.Popen(
        [
            *command(server_main, "--index", index, "--port", "0"),
            *("--model-repository", tiny_repository, "--address-file", address_file),
        ],
        stderr=subprocess.DEVNULL,
    ) as process:
        pace = threading.Event()  # nobody sets it
        while not address_file.exists():
            assert process.poll() is None
            pace.wait(0.02)
        yield address_file.read_text().strip()
        process.terminate()
        assert process.wait(PATIENCE_S) == 0


@pytest.fixture
def search(address: str, monkeypatch: pytest.MonkeyPatch):
    """Run ``beauty-search`` against that server."""
    monkeypatch.setenv("BEAUTY_SEARCH_SERVER", address)
    monkeypatch.setenv("COLUMNS", "160")

    def run(*arguments: object, exit_code: int = 0, **options: object) -> Result:
        result = CliRunner().invoke(search_app, list(map(str, arguments)), **options)
        assert result.exit_code == exit_code, result.output
        return result

    return run


def test_photo_of_a_product_finds_its_family(search, tiny_catalogue: Path) -> None:
    photo = tiny_catalogue / "queries" / "q02.jpg"
    found = json.loads(search("search", photo, "--json", "--keep", "1", "--top-k", "5").stdout)
    assert found["query"] == str(photo)
    assert [match["rank"] for match in found["results"]] == [1, 2, 3, 4, 5]
    assert {match["product_id"][:3] for match in found["results"]} == {"p02"}
    stages = {match["product_id"]: match["stage"] for match in found["results"]}
    assert stages["p0204"] == "refined"  # its words alone are the family's
    assert found["results"][0]["attributes"]["brand"] == "Nuxe"


def test_table_shows_rank_product_description_and_provenance(search, tiny_catalogue: Path) -> None:
    shown = search("search", tiny_catalogue / "queries" / "q00.jpg", "--keep", "1").stdout
    assert "L'Oréal Ruby lipstick" in shown
    assert "text of #1" in shown
    assert "visual" in shown


def test_photo_may_come_from_standard_input(search, tiny_catalogue: Path) -> None:
    photo = tiny_catalogue / "queries" / "q01.jpg"
    piped = json.loads(search("search", "-", "--json", input=photo.read_bytes()).stdout)
    named = json.loads(search("search", photo, "--json").stdout)
    assert piped["results"] == named["results"]


def test_similar_products_do_not_contain_the_product(search) -> None:
    found = json.loads(search("similar", "p0300", "--json", "-k", "5").stdout)
    assert len(found["results"]) == 5
    assert "p0300" not in {match["product_id"] for match in found["results"]}


def test_unknown_product_fails_with_one_line(search) -> None:
    result = search("similar", "p9999", exit_code=1)
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert "'p9999' is not in the index" in line


def test_status_shows_what_is_served(search, index: Path) -> None:
    told = json.loads(search("status", "--json").stdout)
    assert told["product_count"] == 40
    assert told["index_version"] == (index / "current").read_text().strip()
    assert [model["name"] for model in told["models"]] == ["tiny_a", "tiny_b"]
    table = search("status").stdout
    assert "tiny_a" in table
    assert told["index_version"] in table


def test_folder_of_photos_becomes_a_contact_sheet(
    search, tiny_catalogue: Path, tmp_path: Path
) -> None:
    answers = search("batch", tiny_catalogue / "queries", "--json").stdout
    assert len(answers.splitlines()) == 8
    results, sheet = tmp_path / "results.jsonl", tmp_path / "sheet.html"
    results.write_text(answers, encoding="utf-8")
    export("contact-sheet", results, "--catalogue", tiny_catalogue, "--output", sheet)
    page = sheet.read_text(encoding="utf-8")
    assert page.count("<section") == 8
    assert "data:image/jpeg;base64," in page


def test_bad_photo_of_a_folder_is_reported_and_the_rest_is_answered(
    search, tiny_catalogue: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_catalogue / "queries", tmp_path / "queries")
    (folder / "broken.jpg").write_bytes(b"no image")
    result = search("batch", folder, "--json", exit_code=1)
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert [Path(answer["query"]).name for answer in answers if "error" in answer] == ["broken.jpg"]
    assert len(answers) == 9


def test_installed_command_prints_to_a_pipe(address: str, tiny_catalogue: Path) -> None:
    """As a process of its own, in an environment that knows no terminal and no UTF-8."""
    done = subprocess.run(
        command(search_main, "search", tiny_catalogue / "queries" / "q00.jpg"),
        env={"PATH": os.environ["PATH"], "LC_ALL": "C", "BEAUTY_SEARCH_SERVER": address},
        capture_output=True,
        check=True,
    )
    assert b"p0000" in done.stdout
    assert done.stderr == b""


def test_index_verifies_and_a_second_build_has_nothing_to_do(
    index: Path, tiny_catalogue: Path, tiny_profile_file: Path, tiny_repository: Path
) -> None:
    assert "every file as it was written" in export("verify", index).stderr
    models = ("--profile", tiny_profile_file, "--model-repository", tiny_repository)
    again = export("index", tiny_catalogue, "--output", index, *models)
    assert "nothing to do" in again.stderr
