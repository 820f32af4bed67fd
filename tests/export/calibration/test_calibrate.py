"""The command calibrate, on a catalogue in which only typed words tell twins apart."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from export.dataset.catalogue import read_catalogue
from export.descriptors.engine_choice import EngineChoice
from export.index.build import IndexBuild
from retrieval_server.command_line.outcome import BAD_INPUT
from retrieval_server.index.calibration import QueryKind
from retrieval_server.index.publish import approved_version, open_index
from tests.support.export.beauty_export import check_failed
from tests.support.export.index_builds import add_row, versions

FAMILIES, MEMBERS = 44, 3  # of 20 looks


def truth_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "ground_truth.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write_truth(folder: Path, rows: list[dict[str, str]]) -> None:
    with (folder / "ground_truth.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture(scope="module")
def world(catalogue_folder) -> Path:
    """A catalogue whose ground truth has what a person types: brand, shape and size."""
    folder = catalogue_folder(FAMILIES, MEMBERS)
    described = {row.product_id: row.description for row in read_catalogue(folder).rows}
    rows = truth_of(folder)
    for row in rows:
        row["words"] = described[row["ids"].split()[0]].partition(",")[0]
    write_truth(folder, rows)
    return folder


@pytest.fixture(scope="module")
def built(world, tiny_profile, tiny_repository, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("calibration") / "index"
    IndexBuild(read_catalogue(world), tiny_profile, EngineChoice(tiny_repository), root).run()
    return root


@pytest.fixture
def index(built, tmp_path) -> Path:
    return shutil.copytree(built, tmp_path / "index")


@pytest.fixture
def dataset(world, tmp_path) -> Path:
    """A copy of the catalogue, to change it or its ground truth."""
    return shutil.copytree(world, tmp_path / "dataset")


@pytest.fixture
def calibrate(run, tiny_repository):
    def calibrated(index: Path, truth: Path, *options: object):
        repository = ("--model-repository", tiny_repository)
        return run("calibrate", index, "--ground-truth", truth, *repository, *options)

    return calibrated


def test_the_current_version_gets_probabilities_and_stays_what_it_was_otherwise(
    calibrate, index, world
):
    before = open_index(index)

    outcome = calibrate(index, world, "--json")

    assert outcome.exit_code == 0, outcome.stderr
    bundle = open_index(index)
    bundle.verify()
    assert bundle.version != before.version
    assert approved_version(index) == bundle.version
    assert f"is current in place of {before.version}" in outcome.stderr
    assert bundle.manifest == before.manifest
    for path in before.folder.iterdir():
        if path.name != "manifest.json":
            assert (bundle.folder / path.name).samefile(path), "its files are shared"
    printed = json.loads(outcome.stdout)
    assert printed["calibration"] == json.loads((bundle.folder / "calibration.json").read_text())
    typed = bundle.calibration.kinds[QueryKind.TYPED]
    assert (typed.queries, typed.items) == (FAMILIES, FAMILIES)
    assert typed.in_catalogue_quality.auroc_interval[0] > 0.5
    assert sum(each.count for each in typed.in_catalogue_quality.curve) == 2 * FAMILIES
    assert sum(each.count for each in typed.match_quality.curve) >= 2 * FAMILIES * 7


def test_the_same_ground_truth_gives_the_same_version_and_then_nothing_to_do(
    calibrate, index, built, world, tmp_path
):
    other = shutil.copytree(built, tmp_path / "other")
    calibrate(index, world)
    calibrate(other, world)
    assert (index / "current").read_text() == (other / "current").read_text()

    again = calibrate(index, world)

    assert "nothing to do" in again.stderr
    assert len(versions(index)) == 2


def test_a_build_keeps_a_calibration_that_still_holds(
    calibrate, run, index, dataset, index_options
):
    calibrate(index, dataset)
    calibrated = open_index(index)

    same = run("index", dataset, "--output", index, *index_options)
    assert "nothing to do" in same.stderr
    assert open_index(index).version == calibrated.version

    add_row(dataset, "new", "images/p0000.png", "another one", "Nuxe", "5")
    grown = run("index", dataset, "--output", index, *index_options)
    assert f"the calibration of {calibrated.version} is kept" in grown.stderr
    assert open_index(index).calibration == calibrated.calibration
    assert len(open_index(index)) == len(calibrated) + 1


def test_a_build_with_other_words_leaves_the_calibration_out_and_says_so(
    calibrate, run, index, dataset, index_options
):
    calibrate(index, dataset)

    outcome = run("index", dataset, "--output", index, *index_options, "--words-column", "price")

    (warning,) = (line for line in outcome.stderr.splitlines() if "calibration" in line)
    assert warning.startswith("warning: the calibration of ")
    assert "words" in warning
    assert f"beauty-export calibrate {index}" in warning
    assert open_index(index).calibration is None


def test_a_report_has_a_diagram_of_each_probability(calibrate, index, world, tmp_path):
    page = tmp_path / "report.html"
    outcome = calibrate(index, world, "--html", page)
    kinds = open_index(index).calibration.kinds
    html = page.read_text(encoding="utf-8")
    assert html.count("<svg") == 2 * len(kinds)
    assert "AUROC" in outcome.stdout
    for kind in kinds:
        assert f"Reliability, {kind}" in html


def test_a_ground_truth_of_chance_is_refused_and_the_index_stays(calibrate, index, dataset):
    rows = truth_of(dataset)
    ids = [row["ids"] for row in rows]
    words = [row["words"] for row in rows]
    for n, row in enumerate(rows):  # each query names another item, by ids and by words
        row["ids"] = ids[(n * 7 + 3) % len(rows)]
        row["words"] = words[(n * 5 + 2) % len(rows)]
    write_truth(dataset, rows)
    before = (index / "current").read_text()

    outcome = calibrate(index, dataset)

    check_failed(outcome, "no probabilities better than chance", "AUROC")
    assert outcome.exit_code == BAD_INPUT
    assert (index / "current").read_text() == before
    assert len(versions(index)) == 1


def test_too_few_items_are_refused_before_anything_is_described(
    calibrate, index, dataset, described
):
    write_truth(dataset, truth_of(dataset)[:12])

    outcome = calibrate(index, dataset)

    check_failed(outcome, "12 queries show 12 items", "at least 40 are needed")
    assert outcome.exit_code == BAD_INPUT
    assert described == []


def test_a_version_and_a_folder_without_index_are_misuse(calibrate, index, world, tmp_path):
    version = open_index(index).folder
    outcome = calibrate(version, world)
    assert outcome.exit_code == 2
    assert f"Give its index folder: {index}" in " ".join(outcome.stderr.split())
    assert calibrate(tmp_path, world).exit_code == 2
