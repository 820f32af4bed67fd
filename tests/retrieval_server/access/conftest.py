"""Certificates and tokens to rotate."""

import shutil
from pathlib import Path

import pytest

from tests.support.access import FIRST, SECOND


@pytest.fixture
def tls(certificates: Path, tmp_path: Path) -> Path:
    """The certificates, to be rotated."""
    return shutil.copytree(certificates, tmp_path / "tls")


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    path.write_text(f"{FIRST}\n{SECOND}\n")
    return path
