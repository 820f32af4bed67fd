"""The page's program in this process, in front of a gRPC server that records."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from client import RetrievalClient
from client.web.app import web_app
from tests.support.web_api import HERE, PNG


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    """A folder with one picture, and a secret beside it."""
    folder = tmp_path / "catalogue"
    (folder / "images").mkdir(parents=True)
    (folder / "images" / "a #1?&ü%2e.jpg").write_bytes(PNG)
    (folder / "catalog.csv").write_text("id,image,description\n")
    (tmp_path / "secret.png").write_bytes(PNG)
    (folder / "images" / "link.png").symlink_to(tmp_path / "secret.png")
    return folder


@pytest.fixture
def page(address: str, catalogue: Path) -> Iterator[TestClient]:
    """The page as a browser calls it."""
    with RetrievalClient(address) as client:
        yield TestClient(web_app(client, catalogue), base_url=HERE)
