"""The index of the tiny catalogue, searched without an engine."""

from pathlib import Path

import pytest

from retrieval_server.index.bundle import IndexBundle
from retrieval_server.index.publish import open_index
from retrieval_server.retrieval.retriever import Retriever
from tests.support.reference_search import NoEngine


@pytest.fixture(scope="module")
def bundle(tiny_index: Path) -> IndexBundle:
    return open_index(tiny_index)


@pytest.fixture(scope="module")
def retriever(bundle: IndexBundle) -> Retriever:
    return Retriever(bundle, NoEngine())
