"""The command `beauty-export publish`, and how `index` leads to it."""

from pathlib import Path

import pytest

from export.cli import BAD_INPUT
from retrieval_server.index.publish import approved_version, open_index
from tests.support.export.beauty_export import Run, check_failed

Versions = tuple[Path, str, str]


@pytest.fixture
def shrunken(
    run: Run, catalogue: Path, tmp_path: Path, index_options: tuple[object, ...]
) -> Versions:
    """An index folder, its current version, and one of half the products that is not published."""
    root = tmp_path / "index"
    arguments = ("index", catalogue, "--output", root, *index_options)
    run(*arguments)
    old = open_index(root).version
    file = catalogue / "catalog.csv"
    file.write_text("".join(file.read_text("utf-8").splitlines(keepends=True)[:4]), "utf-8")
    outcome = run(*arguments)
    check_failed(outcome, "3 of 6 products are missing (50 %)", "beauty-export publish")
    assert outcome.exit_code == BAD_INPUT
    warning = outcome.stderr.splitlines()[0]
    assert f"lacks products of the current version {old}: 3 of 6" in warning
    assert open_index(root).version == old
    command = outcome.error_lines[0].rpartition("beauty-export ")[2].split()
    assert command[:2] == ["publish", str(root)]
    return root, old, command[2]


def test_command_of_the_error_publishes_the_version(run: Run, shrunken: Versions) -> None:
    root, old, new = shrunken
    outcome = run("publish", root, new)
    assert outcome.exit_code == 0
    assert f"{root / new}: 3 products, is current in place of {old}" in outcome.stderr
    assert f"warning: compared with {old}: 3 of 6 products are missing" in outcome.stderr
    assert open_index(root).version == approved_version(root) == new
    again = run("publish", root, new)
    assert (again.exit_code, again.stderr) == (
        0,
        f"{root / new}: 3 products, is current and approved\n",
    )
    back = run("publish", root, root / old)
    assert (back.exit_code, back.stderr) == (
        0,
        f"{root / old}: 6 products, is current in place of {new}\n",
    )
    assert open_index(root).version == old


def test_larger_bound_publishes_what_was_built_before(
    run: Run, shrunken: Versions, catalogue: Path, index_options: tuple[object, ...]
) -> None:
    root, _, new = shrunken
    outcome = run("index", catalogue, "--output", root, "--max-loss", "0.5", *index_options)
    assert (outcome.exit_code, outcome.stderr) == (
        0,
        f"{root / new} was built before and is current now\n",
    )


@pytest.mark.parametrize("version", [(), ("lite-unknown",), ("../index",), ("",), (".",)])
def test_missing_or_unknown_version_lists_those_that_there_are(
    run: Run, shrunken: Versions, version: tuple[str, ...]
) -> None:
    root, old, new = shrunken
    outcome = run("publish", root, *version)
    said = " ".join(outcome.stderr.split())
    assert outcome.exit_code == 2
    assert said.index(f"{new} (3 products, built ") < said.index(f"{old} (6 products, built ")
    assert said.endswith(", current).")


def test_damaged_version_is_not_published(run: Run, shrunken: Versions) -> None:
    root, old, new = shrunken
    damaged = root / new / "ids.bytes.npy"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    check_failed(run("publish", root, new), str(damaged), "checksum")
    assert open_index(root).version == old


def test_what_is_no_index_folder_is_said(run: Run, tiny_index: Path, tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none", Path(__file__)):
        outcome = run("publish", path, "lite-1")
        assert outcome.exit_code == 2
        assert "There is no finished version in" in " ".join(outcome.stderr.split())
    version = open_index(tiny_index)
    outcome = run("publish", version.folder)
    assert f"Give its index folder first: {tiny_index} {version.version}" in " ".join(
        outcome.stderr.split()
    )


@pytest.mark.parametrize("bound", ["-0.1", "1.5", "20", "20%", "nan", "inf", "few"])
def test_bound_that_is_no_share_is_refused(run: Run, bound: str) -> None:
    outcome = run("index", "catalogue", "--output", "x", "--max-loss", bound)
    assert outcome.exit_code == 2
    assert "--max-loss" in outcome.stderr
