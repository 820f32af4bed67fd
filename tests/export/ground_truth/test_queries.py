"""The true matches of queries in both forms, and which queries show the same item."""

from pathlib import Path

import pytest

from export.dataset.catalogue import Catalogue, CatalogueRow, read_catalogue
from export.ground_truth.database import CatalogueDatabase
from export.ground_truth.queries import Query, items_of, read_ground_truth
from retrieval_server.errors import CatalogueError

OURS, CHALLENGE = "query_image,ids", "Validation Image ID,Training Image ID"


def database(*ids, products=()):
    """The database of a catalogue with some ids, and the product of each, if it has one."""
    rows = tuple(
        CatalogueRow(image, "a.jpg", "", {"product": product} if product else {})
        for image, product in zip(ids, products or [""] * len(ids), strict=True)
    )
    return CatalogueDatabase.of(Catalogue(Path("index"), rows, ("product",)))


def written(folder, *lines):
    (folder / "truth.csv").write_text("\n".join(lines), encoding="utf-8")
    return folder / "truth.csv"


def read(folder, *lines, ids=("0007", "p 1", "p", "a;b")):
    queries = read_ground_truth(written(folder, *lines), database(*ids)).queries
    return [(query.image.relative_to(folder).as_posix(), set(query.relevant)) for query in queries]


@pytest.mark.parametrize(
    ("cell", "relevant"),
    [
        ("0007 p", {"0007", "p"}),
        (" 0007\t p ", {"0007", "p"}),
        ("p 1", {"p 1"}),
        ("p 1; 0007 ;", {"p 1", "0007"}),
        ("a;b", {"a;b"}),
        ("a;b p", {"a;b", "p"}),
        ("p 1 ;p", {"p 1", "p"}),
    ],
)
def test_ids_are_separated_by_spaces_and_those_with_spaces_by_semicolons(tmp_path, cell, relevant):
    assert read(tmp_path, OURS, f'q.jpg,"{cell}"') == [("q.jpg", relevant)]


def test_an_id_with_spaces_is_a_field_of_the_challenges_form(tmp_path):
    assert read(tmp_path, CHALLENGE, "q,p 1, 0007 ") == [("q", {"p 1", "0007"})]


@pytest.mark.parametrize("header", [OURS, CHALLENGE])
class TestBothForms:
    """One rule each."""

    @pytest.mark.parametrize("again", ["q", " q "])
    def test_a_query_with_two_rows_is_refused_with_both_lines(self, tmp_path, header, again):
        with pytest.raises(
            CatalogueError, match=r"line 4: the query 'q' is already in line 2\. Put"
        ):
            read(tmp_path, header, "q,p", "r,p", f'"{again}",0007')

    def test_padding_blank_rows_and_separators_mean_nothing(self, tmp_path, header):
        lines = [f" {header.upper()} ", ",", " q , 0007 ", '"  ",""', "", "r,p"]
        expected = [("q", {"0007"}), ("r", {"p"})]

        assert read(tmp_path, *lines) == expected
        assert read(tmp_path, *(line.replace(",", ";") for line in lines)) == expected

    @pytest.mark.parametrize(
        ("row", "problem"),
        [
            (" ,p", "line 2: the (query_image|Validation Image ID) is empty"),
            ("q, ", "line 2: there are no ids of what it should find"),
            ("q,;", "line 2: index has no product ';'"),
            ("q,p2", "line 2: index has no product 'p2'"),
        ],
    )
    def test_an_unusable_row_is_refused_with_its_line(self, tmp_path, header, row, problem):
        with pytest.raises(CatalogueError, match=problem):
            read(tmp_path, header, row)


def test_one_image_by_two_paths_is_one_query(tmp_path):
    with pytest.raises(CatalogueError, match=r"line 3: .* is already in line 2"):
        read(tmp_path, OURS, "q.jpg,p", "./q.jpg,p")


@pytest.mark.parametrize(
    ("relevant", "items"),
    [
        ([], []),
        (["a", "b", "c"], [0, 1, 2]),
        (["a b", "c", "b a"], [0, 1, 0]),
        (["a", "b", "c", "a c"], [0, 1, 0, 0]),  # the last joins the first and the third
        (["c d", "a", "d e", "e a", "f"], [0, 0, 0, 0, 1]),
    ],
)
def test_queries_with_a_true_match_in_common_show_the_same_item(relevant, items):
    queries = [Query(Path("q.jpg"), frozenset(ids.split())) for ids in relevant]

    assert items_of(queries) == items


IMAGES = {"P": "P", "P#2": "P", "P#3": "P", "Q": "Q", "7": "", "x y": "two words", "a": "b"}


def meant(folder, *cells, images=IMAGES):
    """What a ground truth names: the images of each true match, and whether products are meant."""
    lines = [f"q{number}.jpg,{cell}" for number, cell in enumerate(cells)]
    found = read_ground_truth(
        written(folder, OURS, *lines), database(*images, products=images.values())
    )
    return {name: set(images) for name, images in found.images.items()}, found.by_product


ALL_OF_P = {"P", "P#2", "P#3"}


@pytest.mark.parametrize(
    ("cells", "names", "by_product"),
    [
        (["P Q", "Q"], {"P": ALL_OF_P, "Q": {"Q"}}, True),
        (["P P#2", "Q"], {"P": {"P"}, "P#2": {"P#2"}, "Q": {"Q"}}, False),
        (["P", "P#2"], {"P": {"P"}, "P#2": {"P#2"}}, False),
        (["7 P"], {"7": {"7"}, "P": {"P"}}, False),
        (["two words", "P"], {"two words": {"x y"}, "P": ALL_OF_P}, True),
        (["two words;Q"], {"two words": {"x y"}, "Q": {"Q"}}, True),
        (["b Q"], {"b": {"a"}, "Q": {"Q"}}, True),
        (["a Q"], {"a": {"a"}, "Q": {"Q"}}, False),
    ],
)
def test_names_are_products_if_all_are_and_images_otherwise(tmp_path, cells, names, by_product):
    assert meant(tmp_path, *cells) == (names, by_product)


@pytest.mark.parametrize(
    ("cells", "problem"),
    [
        (
            ["P", "P#2", "b"],
            "'b' in line 4 names a product, and 'P#2' in line 3 an image. Name pro",
        ),
        (["b 7"], "'b' in line 2 names a product, and '7' in line 2 an image"),
        (["P", "P#2", "none"], "line 4: index has no product 'none'"),
        (["P", "b", "none"], "line 4: index has no product 'none'"),
        (["none", "P#2"], "line 2: index has no product 'none'"),
    ],
)
def test_names_of_both_kinds_and_unknown_ones_are_refused_with_their_lines(
    tmp_path, cells, problem
):
    with pytest.raises(CatalogueError, match=problem):
        meant(tmp_path, *cells)


@pytest.mark.parametrize(
    "images",
    [
        {"P": "Q", "Q": "P"},  # both names are both, crosswise
        {"P": "", "1": "P", "Q": "Q"},
        {"P Q": "P Q", "P": "P", "Q": "Q", "1": "P Q"},
        {"P Q": "x", "1": "P", "2": "Q"},  # one image, or two products
    ],
)
def test_a_name_of_an_image_and_of_another_product_is_refused(tmp_path, images):
    if images.get("P Q") == "P Q":
        assert meant(tmp_path, "P Q", images=images) == ({"P Q": {"P Q", "1"}}, True)
        return
    with pytest.raises(CatalogueError, match=r"line 2: '.*' may be the id of an image or the name"):
        meant(tmp_path, "P Q", images=images)


def test_the_images_of_products_stand_for_them_in_a_search_of_images(tmp_path):
    images = {**IMAGES, "Q#2": "Q"}
    truth = read_ground_truth(
        written(tmp_path, OURS, "q.jpg,P Q", "r.jpg,Q"),
        database(*images, products=images.values()),
    )
    assert [set(query.relevant) for query in truth.by_image()] == [
        ALL_OF_P | {"Q", "Q#2"},
        {"Q", "Q#2"},
    ]
    assert truth.name_of == {**dict.fromkeys(ALL_OF_P, "P"), "Q": "Q", "Q#2": "Q"}


def test_a_path_that_the_system_refuses_is_named():
    with pytest.raises(CatalogueError, match=r"Cannot read .*: File name too long"):
        read_ground_truth(Path("x" * 300), database())
    with pytest.raises(CatalogueError, match=r"Cannot read .*: File name too long"):
        read_catalogue(Path("x" * 300))
