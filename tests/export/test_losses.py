"""Images that are not there are told before any image is described."""

import shutil
from pathlib import Path

import pytest

from export.cli import BAD_INPUT
from retrieval_server.index.publish import open_index
from tests.support.export.beauty_export import Run, check_failed


@pytest.fixture
def index(run: Run, catalogue: Path, tmp_path: Path, index_options: tuple[object, ...]) -> Path:
    """An index of the catalogue as it is at first: one of its six images is missing."""
    images(catalogue)[0].unlink()
    assert run("index", catalogue, "--output", tmp_path / "index", *index_options).exit_code == 0
    return tmp_path / "index"


def images(catalogue: Path) -> list[Path]:
    return sorted((catalogue / "images").iterdir())


def test_a_share_that_is_not_mounted_ends_every_shard_before_the_work(
    run: Run,
    catalogue: Path,
    tmp_path: Path,
    index_options: tuple[object, ...],
    described: list[int],
) -> None:
    options = ("--output", tmp_path / "shards", "--shards", 2, *index_options)
    assert run("extract", catalogue, *options).exit_code == 0
    finished = (tmp_path / "shards" / "shard-00000-of-00002" / "shard.json").read_bytes()
    described.clear()
    shutil.move(catalogue / "images", tmp_path / "elsewhere")
    for shard in (0, 1):
        outcome = run("extract", catalogue, *options, "--shard", shard)
        check_failed(outcome, "None of the 6 image files", "p0000.png", "Mount or correct")
        assert outcome.exit_code == BAD_INPUT
    assert described == []
    assert (tmp_path / "shards" / "shard-00000-of-00002" / "shard.json").read_bytes() == finished


def test_a_shard_without_images_is_no_reason_to_stop(
    run: Run, catalogue: Path, tmp_path: Path, index_options: tuple[object, ...]
) -> None:
    for image in images(catalogue)[:-1]:
        image.unlink()
    options = ("--output", tmp_path / "shards", "--shards", 6, *index_options)
    for shard in range(6):
        assert run("extract", catalogue, *options, "--shard", shard).exit_code == 0
    merge = ("--from-shards", tmp_path / "shards", *index_options)
    assert run("index", catalogue, "--output", tmp_path / "index", *merge).exit_code == 0


def test_more_missing_images_than_may_be_lost_end_the_extraction_for_an_index(
    run: Run,
    catalogue: Path,
    index: Path,
    tmp_path: Path,
    index_options: tuple[object, ...],
    described: list[int],
) -> None:
    options = ("--output", tmp_path / "shards", "--reuse", index, *index_options)
    assert run("extract", catalogue, *options).exit_code == 0  # the one that the index lacks, too
    described.clear()
    for image in images(catalogue)[:2]:
        image.unlink()
    outcome = run("extract", catalogue, *options)
    check_failed(
        outcome, "2 of 6 image files are missing (33.3 %)", "--max-loss is 0.2", "p0001.jpg"
    )
    assert outcome.exit_code == BAD_INPUT
    assert described == []
    assert run("extract", catalogue, *options, "--max-loss", "0.4").exit_code == 0
    alone = ("--output", tmp_path / "alone", *index_options)
    assert run("extract", catalogue, *alone).exit_code == 0  # for a new index, nothing is lost


def test_lost_products_are_told_by_the_extraction_too(
    run: Run, catalogue: Path, index: Path, tmp_path: Path, index_options: tuple[object, ...]
) -> None:
    file = catalogue / "catalog.csv"
    file.write_text("".join(file.read_text("utf-8").splitlines(keepends=True)[:4]), "utf-8")
    options = ("--output", tmp_path / "shards", "--reuse", index, *index_options)
    outcome = run("extract", catalogue, *options)
    assert outcome.exit_code == 0
    version = open_index(index).version
    assert f"lacks products of the current version {version}: 3 of 5" in outcome.stderr


def test_index_warns_of_missing_images_before_it_builds(
    run: Run, catalogue: Path, index: Path, index_options: tuple[object, ...]
) -> None:
    for image in images(catalogue)[:2]:
        image.unlink()
    outcome = run("index", catalogue, "--output", index, *index_options)
    check_failed(outcome, "2 of 6 images can no longer be read")
    warning = outcome.stderr.splitlines()[0]
    assert "warning:" in warning
    assert "2 of 6 image files are missing (33.3 %), the first: images/p0001.jpg" in warning
