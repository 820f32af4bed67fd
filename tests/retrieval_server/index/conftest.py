"""One version of an index, to damage."""

from pathlib import Path

import pytest


@pytest.fixture
def version(tiny_index_copy: Path) -> Path:
    """One version of an index, to damage."""
    return tiny_index_copy / (tiny_index_copy / "current").read_text().strip()
