"""A small gRPC server that records what it is asked; its address."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.recording_servicer import Servicer, started


@pytest.fixture
def servicer() -> Servicer:
    return Servicer()


@pytest.fixture
def address(servicer: Servicer) -> Iterator[str]:
    server, address = started(servicer)
    yield address
    servicer.release.set()
    server.stop(grace=None).wait()


@pytest.fixture
def closed_address() -> str:
    """An address where nobody listens: the port was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return f"localhost:{probe.getsockname()[1]}"


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"photo")
    return path
