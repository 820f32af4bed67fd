"""The commands ``extract`` and ``index --from-shards``, and their exit statuses."""

import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from export.cli import BAD_INPUT, main
from export.commands import options
from retrieval_server.index.publish import open_index
from tests.support.export.shard_job import Job, files

Outcome = tuple[int, str]


@pytest.fixture
def run(
    small: Job,
    tiny_profile_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., Outcome]:
    """Run a command on the small catalogue; its exit status and what it says."""
    monkeypatch.setenv("RETRIEVAL_MODEL_REPOSITORY", str(small.repository))
    monkeypatch.setenv("BEAUTY_EXPORT_PROFILE", str(tiny_profile_file))

    def run(command: str, *options: object) -> Outcome:
        arguments = ["beauty-export", command, small.catalogue, *options]
        monkeypatch.setattr(sys, "argv", [str(word) for word in arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), capsys.readouterr().err

    return run


def test_an_indexed_job_s_pods_extract_and_a_merge_builds_the_index(
    small: Job,
    run: Callable[..., Outcome],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = tmp_path / "index"
    for number in range(2):
        monkeypatch.setenv("JOB_COMPLETION_INDEX", str(number))
        status, said = run("extract", "--output", small.folder, "--shards", 2)
        assert status == 0
        assert f"{small.place(number, 2)}: " in said
        again = run("extract", "--output", small.folder, "--shards", 2)
        assert again == (0, f"nothing to do: {small.place(number, 2)} is complete\n")
    merged, said = run("index", "--output", root, "--from-shards", small.folder)
    assert merged == 0
    assert ": 6 products" in said
    assert files(open_index(root).folder) == files(
        small.merge(tmp_path / "whole", from_shards=None).folder
    )


def test_bad_input_ends_with_65_so_that_nobody_tries_again(
    small: Job, run: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "index"
    status, said = run("index", "--output", root, "--from-shards", small.folder)
    assert (status, said[:6]) == (BAD_INPUT, "error:")
    assert BAD_INPUT == 65
    status, said = run("extract", "--output", small.folder, "--profile", "unheard-of")
    assert status == BAD_INPUT
    (small.catalogue / "catalog.csv").write_text("id,image\n")
    status, said = run("extract", "--output", small.folder)
    assert status == BAD_INPUT
    assert "description" in said


def test_an_engine_that_is_away_ends_with_1_so_that_somebody_tries_again(
    small: Job, run: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(options, "TRITON_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
    status, said = run(
        "extract", "--output", small.folder, "--engine", "triton", "--triton-url", address
    )
    assert status == 1
    assert address in said
