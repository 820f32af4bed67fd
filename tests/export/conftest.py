"""The command ``beauty-export``, called in this process."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from export.cli import main
from tests.support.export.beauty_export import Outcome, Run


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run ``beauty-export`` with arguments."""

    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["beauty-export", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        output = capsys.readouterr()
        return Outcome(int(ended.value.code or 0), output.out, output.err)

    return run


@pytest.fixture
def index_options(tiny_profile_file: Path, tiny_repository: Path) -> tuple[object, ...]:
    return ("--profile", tiny_profile_file, "--model-repository", tiny_repository)


@pytest.fixture
def catalogue(catalogue_folder: Callable[..., Path]) -> Path:
    """A catalogue to change."""
    return catalogue_folder(families=2, members=3)
