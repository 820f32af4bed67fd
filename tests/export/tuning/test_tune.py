"""The command ``beauty-export tune``, and the images that it reads."""

import json
import shutil
from dataclasses import replace

import pytest

from export import cli
from export.models.profiles import find_profile, profile_toml
from export.tuning.described_dataset import describe_dataset
from export.tuning.pooling_sweep import PoolingSweep
from retrieval_server.errors import CatalogueError
from retrieval_server.models.profile import Profile
from tests.support.export.small_grid import SPOC
from tests.support.export.small_networks import SEED, SMALL, WEIGHTS


def run(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["beauty-export", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return stop.value.code


def test_the_command_prints_settings_that_a_profile_file_takes(
    tiny_catalogue, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.toml").write_text(profile_toml(SMALL))
    command = [
        "tune", tiny_catalogue, "--profile", "small.toml", "--random-seed", SEED, "--side", 64,
        "--pooling", "spoc", "--alpha", 1, "--keep", 1, "--threshold", 0.4, "--folds", 2,
    ]  # fmt: skip

    written = ["--html", "page/report.html", "--save", "tuned.toml"]
    assert run(monkeypatch, *command, *written, "--json") == 0

    shown = capsys.readouterr()
    found = json.loads(shown.out)
    assert "the weights are random: results mean nothing" in shown.err
    settings = (tmp_path / "tuned.toml").read_text(encoding="utf-8")
    assert find_profile(str(tmp_path / "tuned.toml")) == Profile.from_json(
        found["chosen"]["profile"]
    )
    assert f"--default-keep {found['chosen']['keep']}\n" in settings
    assert f"--threshold {found['chosen']['threshold']:g}\n" in settings
    assert found["default"]["setting"]["keep"] == 3
    assert (tmp_path / "page" / "report.html").is_file()


def test_another_ground_truth_is_taken(tiny_catalogue, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.toml").write_text(profile_toml(replace(SMALL, backbones=SMALL.backbones[1:])))
    lines = (tiny_catalogue / "ground_truth.csv").read_text().splitlines()
    (tmp_path / "queries").symlink_to(tiny_catalogue / "queries")
    (tmp_path / "half.csv").write_text("\n".join(lines[:5]))
    command = [
        tiny_catalogue, "--ground-truth", "half.csv", "--profile", "one.toml",
        "--random-seed", SEED, "--json",
    ]  # fmt: skip
    grid = ["--side", 64, "--pooling", "spoc", "--alpha", 1, "--keep", 1, "--threshold", 0.4]

    for name, options in (("tune", [*grid, "--folds", 2]), ("augmentation", [])):
        assert run(monkeypatch, name, *command, *options) == 0
        assert json.loads(capsys.readouterr().out)["queries"] == 4


def test_an_unreadable_image_counts_nowhere_or_is_named(tiny_catalogue, tmp_path):
    dataset = shutil.copytree(tiny_catalogue, tmp_path / "dataset")
    (dataset / "queries" / "q01.jpg").write_bytes(b"none")
    (dataset / "images" / "p0001.jpg").write_bytes(b"none")
    sweep = PoolingSweep(tmp_path / "cache", WEIGHTS)
    one = replace(SMALL, backbones=SMALL.backbones[1:])

    found = describe_dataset(dataset, one, (64,), (SPOC,), sweep)

    assert found.unreadable == ("q01.jpg",)
    assert found.rejected == 1
    assert [query.image.name for query in found.queries][:2] == ["q00.jpg", "q02.jpg"]
    with pytest.raises(CatalogueError, match=r"image of 'p0001', which .*q00\.jpg should find"):
        _ = found.relevant
