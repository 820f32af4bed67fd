"""One server for the tests that leave it as it is, and the command ``beauty-server``."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from retrieval_server import cli
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.index.publish import open_index
from tests.support.served import Served, ServedBy


@pytest.fixture(scope="module")
def shared(served_by: ServedBy) -> Iterator[Served]:
    """One server for the tests that leave it as it is."""
    with served_by(max_image_bytes=100_000, max_concurrent_requests=200) as served:
        yield served


@pytest.fixture(scope="module")
def bundle(tiny_index: Path) -> IndexBundle:
    return open_index(tiny_index)


@pytest.fixture
def arguments(tiny_index: Path, tiny_repository: Path) -> list[str]:
    return ["--index", str(tiny_index), "--model-repository", str(tiny_repository), "--port", "0"]


@pytest.fixture
def failing(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Run the command in this process; the exit status and the text on stderr."""

    def run(*further: str, base: list[str] = arguments) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["beauty-server", *base, *further])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        status = caught.value.code
        assert isinstance(status, int)
        return status, capsys.readouterr().err

    return run
