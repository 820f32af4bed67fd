"""The challenge's own layout, from the files to the paper's table and the answer it asks for."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from export import cli
from export.commands.index_summary import catalogue_warnings
from export.dataset.catalogue import read_catalogue
from export.dataset.perfect_500k import ImagesById
from export.descriptors.engine_choice import EngineChoice
from export.evaluation.evaluate import evaluate
from export.ground_truth.database import IndexDatabase
from export.ground_truth.queries import read_ground_truth
from retrieval_server.errors import CatalogueError
from retrieval_server.index.bundle import REJECTS_FILE
from retrieval_server.index.publish import open_index

BYTE_ORDER_MARK = "\ufeff"
HEADER = "Validation Image ID,Training Image ID"


def training_id(product_id):
    """p0312 → n0000312."""
    return f"n{int(product_id[1:]):07d}"


@pytest.fixture
def perfect_500k(tiny_catalogue, tmp_path):
    """The tiny catalogue's products and queries in the challenge's layout, a third in each folder.

    Ids ascend in the same order, so that every search has the same answer.
    """
    folder = tmp_path / "PF"
    with (tiny_catalogue / "catalog.csv").open(encoding="utf-8", newline="") as file:
        products = list(csv.DictReader(file))
    with (tiny_catalogue / "ground_truth.csv").open(encoding="utf-8", newline="") as file:
        truth = list(csv.DictReader(file))
    for number, product in enumerate(products):
        target = folder / "PF-500K" / f"part{number % 3}" / Path(product["image"]).name
        target = target.with_stem(training_id(product["id"]))
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tiny_catalogue / product["image"], target)
    with (folder / "training_public.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["Image ID", "Product Title"])
        writer.writerows([training_id(p["id"]), p["description"]] for p in products)
    lines = [BYTE_ORDER_MARK + HEADER]
    (folder / "val").mkdir()
    for number, query in enumerate(truth, start=101):
        shutil.copy(tiny_catalogue / query["query_image"], folder / "val" / f"v{number:06d}.JPG")
        relevant = query["ids"].split()[: 1 + number % 5]  # ragged: one to five
        lines.append(",".join([f"v{number:06d}", *map(training_id, relevant)]))
    (folder / "val.csv").write_bytes(("\r\n".join(lines) + "\r\n").encode())
    return folder


@pytest.fixture
def run(tiny_profile_file, tiny_repository, tmp_path, monkeypatch):
    """Run ``beauty-export`` in a folder of its own; returns the exit code."""
    monkeypatch.chdir(tmp_path)

    def command(name, *arguments):
        options = ["--model-repository", str(tiny_repository)]
        if name != "predict":
            options += ["--profile", str(tiny_profile_file)]
        words = ["beauty-export", name, *map(str, arguments), *options]
        monkeypatch.setattr("sys.argv", words)
        try:
            cli.main()
        except SystemExit as stop:
            return stop.code or 0
        return 0

    return command


def test_the_catalogue_is_read_as_it_lies(perfect_500k, tiny_catalogue):
    ours, theirs = read_catalogue(perfect_500k), read_catalogue(tiny_catalogue)

    assert len(ours.rows) == len(theirs.rows)
    for mine, other in zip(ours.rows, theirs.rows, strict=True):
        assert mine.product_id == training_id(other.product_id)
        assert mine.description == other.description
        assert mine.attributes == {}
        assert ours.image_path(mine).read_bytes() == theirs.image_path(other).read_bytes()


def test_one_command_gives_the_table_that_the_same_photos_give_in_our_own_form(
    perfect_500k, run, tiny_catalogue, tiny_index, tiny_repository, tmp_path, capsys
):
    assert run("evaluate", perfect_500k, "--json") == 0

    result = json.loads(capsys.readouterr().out)
    assert (result["dataset"], result["products"], result["queries"]) == ("PF", 40, 8)
    own = shutil.copytree(tiny_catalogue, tmp_path / "own")
    lines = (own / "ground_truth.csv").read_text().splitlines()
    for number, line in enumerate(lines[1:], start=101):
        query, ids = line.split(",")
        lines[number - 100] = f"{query},{' '.join(ids.split()[: 1 + number % 5])}"
    (own / "ground_truth.csv").write_text("\n".join(lines))
    expected = evaluate(own, open_index(tiny_index), EngineChoice(tiny_repository)).to_json()
    assert result["rows"] == json.loads(json.dumps(expected["rows"]))
    relevant = [query["relevant"] for query in result["rated_queries"]]
    assert relevant == [2, 3, 4, 5, 1, 2, 3, 4]


def test_an_id_without_an_image_is_reported_and_the_rest_goes_on(perfect_500k, run, capsys):
    # An odd one, which has the words of a family but not its looks.
    (image,) = perfect_500k.glob("PF-500K/*/n0000004.*")
    image.unlink()

    assert run("index", perfect_500k, "--output", "index") == 0

    assert "1 images could not be read" in capsys.readouterr().err
    bundle = open_index(Path("index"))
    assert len(bundle) == 39
    (reject,) = (bundle.folder / REJECTS_FILE).read_text().splitlines()
    assert "n0000004" in reject
    assert "No such file" in reject


def test_a_true_match_without_an_image_is_named_with_its_query(perfect_500k, run, capsys):
    (image,) = perfect_500k.glob("PF-500K/*/n0000000.*")
    image.unlink()

    assert run("evaluate", perfect_500k) == cli.BAD_INPUT

    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: No image of 'n0000000', which ")
    assert "can be read. Replace the image" in error


def test_a_query_without_an_image_is_named_and_counts_nowhere(perfect_500k, run, capsys):
    (perfect_500k / "val" / "v000103.JPG").unlink()

    assert run("evaluate", perfect_500k, "--json") == 0

    captured = capsys.readouterr()
    assert (
        "query v000103 cannot be read: No such file or directory. It is left out of every figure"
        in captured.err
    )
    assert json.loads(captured.out)["queries"] == 7


ADDRESS = "https://cdn.example/catalog/n0000000_1.jpg"


@pytest.mark.parametrize(
    ("header", "row", "title", "attributes"),
    [
        ("image_id,url,title", f"{ADDRESS},Rose", "title", {"url": ADDRESS}),
        ("image_id\turl\ttitle", f"{ADDRESS}\tRose", "title", {"url": ADDRESS}),
        (
            "id,url,page,text",
            f"{ADDRESS},//a.example/b,Rose",
            "text",
            {"url": ADDRESS, "page": "//a.example/b"},
        ),
        ("id,title,url", f"Rose,{ADDRESS}", "", {"url": ADDRESS}),
        ("id,title,brand", "Rose,", "", {}),
    ],
)
def test_titles_are_the_first_column_without_addresses(
    perfect_500k, header, row, title, attributes
):
    separator = "\t" if "\t" in header else ","
    write(perfect_500k / TRAINING, f"{header}\n n0000000 {separator}{row}\n")

    catalogue = read_catalogue(perfect_500k)

    (product,) = catalogue.rows
    assert (product.product_id, product.description) == ("n0000000", "Rose")
    assert product.attributes == attributes
    assert catalogue.image_path(product).is_file()
    notes = [message.text for message in catalogue_warnings(catalogue)]
    assert [f"the column '{title}'; the second column, 'url'," in note for note in notes] == (
        [True] if title else []
    )


TRAINING, VALIDATION = "training_public.csv", "val.csv"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            TRAINING,
            "id,title\nn0000000,a\nn0000001,b\nn0000000,c\n",
            "line 4: the id 'n0000000' is already",
        ),
        (TRAINING, "n0000000,a\nn0000001,b\n", "has no header: its first line is about .*n0000000"),
        (TRAINING, "id\nn0000000\n", "it needs a header and two, id and title"),
        (TRAINING, "id,title\nn0000000,a, b\n", "line 2: the row does not have .* 2 fields. Quote"),
        (TRAINING, "id,title,image\nn0000000,a,b\n", "has a column 'image' beside id and title"),
        (TRAINING, b"id,title\nn0000000,a\nn0000001,Cr\xe8me\n", r"is not UTF-8 \(line 3\)"),
        (TRAINING, "id,title\n", "has no rows"),
        (TRAINING, f"id,url\nn0000000,{ADDRESS}\n", "no titles: its column 'url' holds addresses"),
    ],
)
def test_a_bad_catalogue_says_where_and_what(perfect_500k, name, content, message):
    write(perfect_500k / name, content)

    with pytest.raises(CatalogueError, match=message):
        read_catalogue(perfect_500k)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("Query,Ids\nv000101,n0000000\n", "no ground truth: .* val.csv 'Query,Ids'"),
        (f"{HEADER},Third\nv000101,n0000000\n", "no ground truth"),
        (
            f"{HEADER}\nv000101,p0000\nv000101,p0001\n",
            "line 3: the query 'v000101' is already in",
        ),
        (f"{HEADER}\nv000101,,\n", "line 2: there are no ids"),
        (f"{HEADER}\n,n0000000\n", "line 2: the Validation Image ID is empty"),
        (f"{HEADER}\n", "has no rows"),
        (f"{HEADER}\nv000101,n9999999\n", "line 2: .* has no product 'n9999999'"),
        (HEADER.encode() + b"\nv000101,\xe8\n", r"val.csv is not UTF-8 \(line 2\)"),
    ],
)
def test_a_bad_ground_truth_says_where_and_what(perfect_500k, tiny_index, content, message):
    write(perfect_500k / VALIDATION, content)

    with pytest.raises(CatalogueError, match=message):
        read_ground_truth(perfect_500k, IndexDatabase(open_index(tiny_index)))


def test_of_several_ground_truths_one_must_be_named(perfect_500k, run, capsys):
    shutil.copy(perfect_500k / "val.csv", perfect_500k / "val2.csv")
    (perfect_500k / "notes.csv").write_text("anything\n")

    assert run("evaluate", perfect_500k) == cli.BAD_INPUT
    assert "val.csv, val2.csv. Name one with --ground-truth" in capsys.readouterr().err
    named = perfect_500k / "val2.csv"
    assert run("evaluate", perfect_500k, "--ground-truth", named, "--json") == 0


def test_spreadsheet_padding_in_the_ground_truth_means_nothing(perfect_500k, run):
    truth = perfect_500k / "val.csv"
    run("index", perfect_500k, "--output", "index")
    bundle = open_index(Path("index"))
    before = read_ground_truth(perfect_500k, IndexDatabase(bundle))
    lines = truth.read_text(encoding="utf-8").splitlines()
    padded = [line + "," * (9 - line.count(",")) for line in lines]
    truth.write_text("\n".join([*padded, "", ""]), encoding="utf-8")

    assert read_ground_truth(perfect_500k, IndexDatabase(bundle)) == before


def test_what_is_left_out_of_the_images_is_a_note_of_the_catalogue(perfect_500k):
    assert read_catalogue(perfect_500k).notes == ()
    (perfect_500k / "n9.jxl").touch()
    assert read_catalogue(perfect_500k).notes == (
        f"1 left out of {perfect_500k}: n9.jxl (no suffix of an image).",
    )


def test_two_images_of_one_id_are_refused_and_other_files_are_no_images(tmp_path):
    for name in ("a/n1.front.jpg", "b/n1.txt", ".hidden/n1.jpg", "b/.n1.jpg", "b/n2.PNG"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "b" / "again").symlink_to(tmp_path)  # a loop

    images = ImagesById(tmp_path)

    assert images.all() == {"n1": tmp_path / "a/n1.front.jpg", "n2": tmp_path / "b/n2.PNG"}
    assert images.find("n3") is None
    (tmp_path / "b" / "n1.webp").touch()
    with pytest.raises(CatalogueError, match=r"'n1' has several images .* a/n1.front.jpg and b/n1"):
        ImagesById(tmp_path).find("n1")


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
