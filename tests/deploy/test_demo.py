"""What `make demo` runs, on the tiny catalogue and its models."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from retrieval_server.index.publish import open_index
from tests.support.paths import ROOT
from tests.support.patience import PATIENCE_S

DEMO = ROOT / "deploy" / "demo.py"


@pytest.fixture
def folder(tiny_catalogue: Path, tmp_path: Path) -> Path:
    shutil.copytree(tiny_catalogue, tmp_path / "sample")
    return tmp_path


def start(folder: Path, repository: Path, *arguments: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, DEMO, *map(str, arguments), "--folder", folder],
        cwd=ROOT,
        env=os.environ | {"RETRIEVAL_MODEL_REPOSITORY": str(repository)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def answers(folder: Path) -> bool:
    """Whether the server that the demo started still listens."""
    host, _, port = (folder / "server.address").read_text().strip().rpartition(":")
    with socket.socket() as client:
        return client.connect_ex((host, int(port))) == 0


def test_the_demo_searches_every_query_and_shows_one_before_and_after_refinement(
    folder: Path, tiny_repository: Path, tiny_profile_file: Path
) -> None:
    with start(folder, tiny_repository, "search", "--profile", tiny_profile_file) as demo:
        out, err = demo.communicate(timeout=PATIENCE_S)

    assert demo.returncode == 0, err
    assert "initial ranking" in out
    assert "refined ranking" in out
    assert out.strip().endswith(f"{folder / 'contact-sheet.html'}")
    queries = len(list((folder / "sample" / "queries").iterdir()))
    assert len((folder / "results.jsonl").read_text().splitlines()) == queries
    assert len(open_index(folder / "index")) == 40
    assert not answers(folder)


def test_a_failure_is_shown_and_leaves_no_server(
    folder: Path, tiny_repository: Path, tiny_profile_file: Path
) -> None:
    (folder / "sample" / "catalog.csv").unlink()

    with start(folder, tiny_repository, "search", "--profile", tiny_profile_file) as demo:
        _, err = demo.communicate(timeout=PATIENCE_S)

    assert demo.returncode == 1
    assert "beauty-export ended with exit status" in err


def test_the_page_is_served_until_the_demo_is_told_to_stop(
    folder: Path, tiny_repository: Path, tiny_profile_file: Path
) -> None:
    pytest.importorskip("starlette")
    page = ("web", "--page-port", 0)
    with start(folder, tiny_repository, *page, "--profile", tiny_profile_file) as demo:
        assert any("http://" in line for line in demo.stdout)  # until it says where the page is
        assert answers(folder)
        demo.send_signal(signal.SIGTERM)
        demo.communicate(timeout=PATIENCE_S)

    assert demo.returncode == 130
    assert not answers(folder)
