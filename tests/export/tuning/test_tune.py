"""The command ``beauty-export tune``, and the images that it reads."""

import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from export import cli
from export.dataset.catalogue import read_catalogue
from export.ground_truth.database import CatalogueDatabase
from export.ground_truth.measurable import check_measurable
from export.ground_truth.queries import read_ground_truth
from export.models.profiles import find_profile, profile_toml
from export.tuning.described_dataset import DescribedDataset, describe_dataset
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


def test_words_that_mislead_get_a_beta_of_0(tiny_catalogue, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    one = replace(SMALL, backbones=SMALL.backbones[1:])
    (tmp_path / "one.toml").write_text(profile_toml(one))
    (tmp_path / "queries").symlink_to(tiny_catalogue / "queries")
    with (tiny_catalogue / "ground_truth.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with (tmp_path / "words.csv").open("w", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("query_image", "ids", "words"))
        for number, row in enumerate(rows):
            writer.writerow(
                (row["query_image"], row["ids"], f"{10 + (number + 1) % len(rows)}ml")
            )  # another item's
    command = [
        "tune", tiny_catalogue, "--ground-truth", "words.csv", "--profile", "one.toml",
        "--random-seed", SEED, "--side", 64, "--pooling", "spoc", "--alpha", 1, "--keep", 7,
        "--threshold", 0.4, "--folds", 2, "--text-weight", 0, "--text-weight", 50, "--json",
        "--cache", "cache",
    ]  # fmt: skip

    assert run(monkeypatch, *command, "--save", "tuned.toml") == 0
    found = json.loads(capsys.readouterr().out)
    rows = {row["scope"]: row for row in found["rows"]}
    assert rows["k, τ, β"]["setting"]["initial"]["text_weight"] == 0
    assert rows["k, τ, β"]["optimistic"] > rows["k, τ"]["optimistic"]
    assert "β 0" in rows["k, τ, β"]["described"]
    assert find_profile("tuned.toml").text_weight == 0

    without = [part for part in command if part not in ("--text-weight", 0, 50)]
    assert run(monkeypatch, *without, "--no-words") == 0
    scopes = [row["scope"] for row in json.loads(capsys.readouterr().out)["rows"]]
    assert "k, τ, β" not in scopes
    assert run(monkeypatch, *command, "--no-words") == 2
    assert "--no-words" in capsys.readouterr().err
    at = command.index("words.csv")
    untyped = [*command[:at], tiny_catalogue / "ground_truth.csv", *command[at + 1 :]]
    assert run(monkeypatch, *untyped) == 65
    assert "no words to try --text-weight on" in capsys.readouterr().err


def test_a_reader_beside_which_the_profile_is_not_exported_reads_nothing(
    tiny_catalogue, reader_repository, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reads.toml").write_text(profile_toml(replace(SMALL, reader="ppocr")))
    command = [
        "tune", tiny_catalogue, "--profile", "reads.toml", "--random-seed", SEED,
        "--model-repository", reader_repository,
    ]  # fmt: skip

    assert run(monkeypatch, *command, "--text-weight", 2) == 65
    said = capsys.readouterr().err
    assert "are not read: the models of profile small are not in" in said
    assert "no words to try --text-weight on" in said
    (tmp_path / "reads.toml").write_text(profile_toml(SMALL))
    assert run(monkeypatch, *command, "--read-images") == 1
    assert "Profile small names no reader" in capsys.readouterr().err


def test_a_product_is_a_group_of_its_readable_images_where_products_are_named(
    tiny_catalogue, tmp_path
):
    dataset = shutil.copytree(tiny_catalogue, tmp_path / "dataset")
    rows = read_catalogue(dataset).rows[:6]
    names = ["cream", "", "cream", "soap", "", "soap"]
    lines = [f"{row.image},x,{row.product_id},{n}" for row, n in zip(rows, names, strict=True)]
    (dataset / "catalog.csv").write_text("\n".join(["image,description,id,product", *lines]))
    (dataset / "ground_truth.csv").write_text(
        "query_image,ids\nqueries/q00.jpg,cream soap\nqueries/q01.jpg,soap\n"
    )
    (dataset / rows[0].image).write_bytes(b"none")
    catalogue = read_catalogue(dataset)
    truth = read_ground_truth(dataset, CatalogueDatabase.of(catalogue))

    def described(products):
        return DescribedDataset(dataset, SMALL, truth, products, {}, {}, {})

    found = described(catalogue.rows[1:])
    assert found.groups.tolist() == [0, 1, 2, 3, 2]  # alone, cream, soap, alone, soap
    relevant = np.split(found.relevant.rows, found.relevant.indptr[1:-1])
    assert [groups.tolist() for groups in relevant] == [[1, 2], [2]]
    assert len(check_measurable(dataset)) == 2

    (dataset / rows[2].image).write_bytes(b"none")
    with pytest.raises(CatalogueError, match=r"image of 'cream', which .*q00\.jpg should find"):
        _ = described(catalogue.rows[3:]).relevant
    with pytest.raises(CatalogueError, match=r"image of 'cream', which .*q00\.jpg should find"):
        check_measurable(dataset)


def test_an_unreadable_image_counts_nowhere_or_is_named(tiny_catalogue, tmp_path):
    dataset = shutil.copytree(tiny_catalogue, tmp_path / "dataset")
    (dataset / "queries" / "q01.jpg").write_bytes(b"none")
    (dataset / "images" / "p0001.jpg").write_bytes(b"none")
    sweep = PoolingSweep(tmp_path / "cache", WEIGHTS)
    one = replace(SMALL, backbones=SMALL.backbones[1:])

    found = describe_dataset(dataset, one, (64,), (SPOC,), sweep)

    assert list(found.unreadable) == ["q01.jpg"]
    assert found.unreadable["q01.jpg"].startswith("is not an image in one of the formats JPEG")
    assert found.rejected.keys() == {"images/p0001.jpg"}
    assert found.rejected["images/p0001.jpg"].startswith("is not an image in one of the formats")
    assert [query.image.name for query in found.queries][:2] == ["q00.jpg", "q02.jpg"]
    with pytest.raises(CatalogueError, match=r"image of 'p0001', which .*q00\.jpg should find"):
        _ = found.relevant
