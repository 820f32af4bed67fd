"""The command ``beauty-export index``: what it builds, and what it reports."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from retrieval_server.index.publish import open_index
from tests.support.export.beauty_export import Outcome, Run, check_failed
from tests.support.programs.command import command
from tests.support.programs.limited_files import export_to_small_files


def test_index_is_built_verified_and_not_built_again(
    run: Run, catalogue: Path, tmp_path: Path, index_options: tuple[object, ...]
) -> None:
    root = tmp_path / "index"
    built = run("index", catalogue, "--output", root, *index_options)
    version = open_index(root).folder
    assert (built.exit_code, built.stdout) == (0, "")
    assert f"{version}: 6 products, 6 descriptions, 12 text neighbours" in built.stderr
    assert "warning" not in built.stderr
    again = run("index", catalogue, "--output", root, *index_options)
    assert (again.exit_code, again.stderr) == (0, f"nothing to do: {version} is up to date\n")
    verified = run("verify", root)
    assert (verified.exit_code, verified.stderr) == (
        0,
        f"{version}: 6 products, every file as it was written\n",
    )


def test_threshold_reaches_the_index(
    run: Run, catalogue: Path, tmp_path: Path, index_options: tuple[object, ...]
) -> None:
    run("index", catalogue, "--output", tmp_path, "--threshold", "0.99", *index_options)
    manifest = open_index(tmp_path).manifest
    assert (manifest.text["threshold"], manifest.text_pairs) == (0.99, 0)


def test_settings_of_the_text_reach_the_index_and_what_is_left_out_is_counted(
    run: Run, catalogue: Path, tmp_path: Path, index_options: tuple[object, ...]
) -> None:
    with (catalogue / "catalog.csv").open("a", encoding="utf-8") as file:
        file.write("es,images/p0002.png,Garnier champú para cabello dañado,,\n")
        file.write("zh,images/p0002.png,修护精华液,,\n")
    outcome = run("index", catalogue, "--output", tmp_path, *index_options)
    assert (
        "2 descriptions are not English (another script 1, es 1): their products are found by image"
        in outcome.stderr
    )
    assert open_index(tmp_path).manifest.documents == 6
    options = ("--language-filter", "none", "--tokeniser", "literal-2", "--max-neighbours", "1")
    outcome = run("index", catalogue, "--output", tmp_path, *options, *index_options)
    manifest = open_index(tmp_path).manifest
    assert (manifest.documents, manifest.text_pairs, manifest.text["cut_lists"]) == (8, 6, 6)
    assert manifest.text["tokeniser"] == "literal-2"
    assert "warning: --max-neighbours cut 6 lists of text neighbours by 6 in all" in outcome.stderr
    assert "not English" not in outcome.stderr


def test_what_an_operator_should_look_at_is_warned_about(
    run: Run, catalogue: Path, tmp_path: Path, index_options: tuple[object, ...]
) -> None:
    (catalogue / "images" / "p0001.jpg").unlink()
    Image.new("RGB", (40, 40), "white").save(catalogue / "images" / "p0000.png")
    rows = "".join(f"blank{n},images/p0002.png, ,,\n" for n in range(7))
    with (catalogue / "catalog.csv").open("a") as file:
        file.write(rows)
    outcome = run("index", catalogue, "--output", tmp_path, *index_options)
    warnings = [line for line in outcome.stderr.splitlines() if line.startswith("warning:")]
    assert outcome.exit_code == 0
    assert len(warnings) == 4
    assert (
        "7 products have an empty description (blank0, blank1, blank2, blank3, blank4 …)"
        in (warnings[0])
    )
    assert "1 images could not be read" in warnings[1]
    assert str(open_index(tmp_path).folder / "rejects.jsonl") in warnings[1]
    assert "1 images have an all-zero descriptor by tiny_a" in warnings[2]
    assert "1 images have an all-zero descriptor by tiny_b" in warnings[3]


@pytest.mark.parametrize("largest", [8_000, 13_000], ids=["in a block", "in the bundle"])
def test_disk_that_fills_up_is_one_line_and_the_next_run_goes_on(
    run: Run,
    catalogue_folder: Callable[..., Path],
    tmp_path: Path,
    index_options: tuple[object, ...],
    largest: int,
) -> None:
    """A limit on the size of files stands for the full disk: either way a write fails."""
    catalogue = catalogue_folder(families=30)
    arguments = ["index", catalogue, "--output", tmp_path / "index", *index_options]
    done = subprocess.run(
        command(export_to_small_files, largest, *arguments),
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    check_failed(
        Outcome(done.returncode, done.stdout, done.stderr), "Cannot write", str(tmp_path / "index")
    )
    assert not (tmp_path / "index" / "current").exists()
    assert run(*arguments).exit_code == 0
