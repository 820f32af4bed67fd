"""The challenge's answer for a folder of photos, through the real command."""

import csv
import shutil

import pytest

from export import cli
from export.dataset.catalogue import read_catalogue
from export.descriptors.engine_choice import EngineChoice
from export.evaluation.query_descriptors import describe_images
from export.index.build import IndexBuild
from retrieval_server.index.publish import open_index
from retrieval_server.retrieval.search_request import SearchParameters


@pytest.fixture
def photos(tiny_catalogue, tmp_path):
    return shutil.copytree(tiny_catalogue / "queries", tmp_path / "photos")


@pytest.fixture
def predict(photos, tiny_repository, tmp_path, monkeypatch):
    """Run the command; returns its exit code and the rows it wrote."""

    def run(index, *options):
        output = tmp_path / "new folder" / "answers.csv"
        words = ["predict", str(photos), str(output), "--index", str(index), *options]
        further = ["--model-repository", str(tiny_repository)]
        monkeypatch.setattr("sys.argv", ["beauty-export", *words, *further])
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = stop.code or 0
        rows = []
        if output.exists():
            assert [path.name for path in output.parent.iterdir()] == ["answers.csv"]
            with output.open(encoding="utf-8", newline="") as file:
                rows = list(csv.reader(file))
        return code, rows

    return run


@pytest.mark.parametrize(("options", "keep"), [((), 3), (("-k", "1"), 1), (("-k", "7"), 7)])
def test_every_photo_has_a_row_of_its_id_and_the_seven_ids_that_search_finds(
    predict, photos, tiny_index, tiny_repository, options, keep
):
    code, rows = predict(tiny_index, *options)

    assert code == 0
    files = sorted(photos.iterdir())
    retriever, described = describe_images(
        files, open_index(tiny_index), EngineChoice(tiny_repository)
    )
    for row, file, query in zip(rows, files, described, strict=True):
        found = retriever.search(query, SearchParameters(keep=keep)).matches
        assert row == [file.stem, *(retriever.bundle.product_id(match.row) for match in found)]
        assert len(set(row)) == 8


def test_a_photo_that_cannot_be_read_has_empty_fields_and_the_rest_goes_on(
    predict, photos, tiny_index, capsys
):
    _, before = predict(tiny_index)
    (photos / "q03.jpg").write_bytes(b"no picture")

    code, rows = predict(tiny_index)

    assert code == 0
    assert rows[3] == ["q03"] + [""] * 7
    assert rows[:3] + rows[4:] == before[:3] + before[4:]
    error = capsys.readouterr().err
    assert "query q03 is not an image in one of the formats JPEG" in error
    assert "Its seven fields are empty." in error


def test_every_image_has_a_row_whatever_its_suffix_and_the_rest_is_named(
    predict, photos, tiny_index, capsys
):
    _, before = predict(tiny_index)
    (photos / "q00.jpg").rename(photos / "q00.jfif")
    (photos / "q03.jpg").unlink()
    (photos / "q03.JPE").symlink_to("nowhere")
    (photos / "notes.txt").touch()
    (photos / "q01.heic").touch()

    code, rows = predict(tiny_index)

    assert code == 0
    assert rows[3] == ["q03"] + [""] * 7
    assert rows[:3] + rows[4:] == before[:3] + before[4:]
    left_out = (
        f"warning: 2 left out of {photos}: notes.txt (no suffix of an image); "
        "q01.heic (the JPEG of that name is used)."
    )
    assert left_out in capsys.readouterr().err


def test_a_catalogue_of_five_leaves_two_fields_empty(
    predict, catalogue_folder, tiny_profile, tiny_repository, tmp_path
):
    catalogue = read_catalogue(catalogue_folder(families=1))
    IndexBuild(catalogue, tiny_profile, EngineChoice(tiny_repository), tmp_path / "five").run()

    code, rows = predict(tmp_path / "five")

    assert code == 0
    for row in rows:
        assert sorted(row[1:6]) == [f"p000{member}" for member in range(5)]
        assert row[6:] == ["", ""]


def test_with_conditions_the_ids_are_those_of_the_search_among_the_products_that_meet_them(
    predict, photos, tiny_index, tiny_repository, capsys
):
    conditions = ["brand = Bioderma", "price < 8"]
    options = [option for condition in conditions for option in ("--where", condition)]

    code, rows = predict(tiny_index, *options)

    assert code == 0
    retriever, described = describe_images(
        sorted(photos.iterdir()), open_index(tiny_index), EngineChoice(tiny_repository)
    )
    rest = [  # the search without a filter, among ids alone
        product.product_id
        for product in map(retriever.bundle.product, range(len(retriever.bundle)))
        if product.attributes["brand"] != "Bioderma" or float(product.attributes["price"]) >= 8
    ]
    for row, query in zip(rows, described, strict=True):
        found = retriever.search(query, SearchParameters(exclude_ids=rest)).matches
        assert row[1:7] == [retriever.bundle.product_id(match.row) for match in found]
        assert row[7] == ""
    capsys.readouterr()
    code, rows = predict(tiny_index, "--where", "brand = Nobody")
    assert (code, rows[3]) == (0, ["q03"] + [""] * 7)
    assert "No product meets the conditions of --where" in capsys.readouterr().err


def test_with_a_column_to_group_by_the_ids_are_those_of_the_best_image_of_each_value(
    predict, photos, tiny_index, tiny_repository
):
    code, rows = predict(tiny_index, "--group-by", "price", "-k", "1")

    assert code == 0
    retriever, described = describe_images(
        sorted(photos.iterdir()), open_index(tiny_index), EngineChoice(tiny_repository)
    )
    for row, query in zip(rows, described, strict=True):
        found = retriever.search(query, SearchParameters(keep=1, group_by="price")).matches
        assert row[1:6] == [retriever.bundle.product_id(match.row) for match in found]
        assert len({product_id[-1] for product_id in row[1:6]}) == 5  # each its own price
        assert row[6:] == ["", ""]


def test_what_cannot_be_answered_leaves_the_old_answers_alone(predict, photos, tiny_index, capsys):
    _, before = predict(tiny_index)

    def is_refused():
        code, rows = predict(tiny_index)
        return code != 0 and rows == before

    shutil.copy(photos / "q00.jpg", photos / "q00.png")
    assert is_refused()
    assert "'q00' has several images" in capsys.readouterr().err
    for file in photos.iterdir():
        file.write_bytes(b"no picture")
    (photos / "q00.png").unlink()
    assert is_refused()
    assert "None of the 8 images" in capsys.readouterr().err
    for file in photos.iterdir():
        file.unlink()
    (photos / "photo").touch()
    assert is_refused()
    assert "There are no images in" in (said := capsys.readouterr().err)
    assert "photo (no suffix of an image)" in said
    shutil.rmtree(photos)
    assert is_refused()
    assert f"Cannot read the folder {photos}: No such file" in capsys.readouterr().err
