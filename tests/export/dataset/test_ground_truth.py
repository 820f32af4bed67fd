"""The true matches of queries in both forms, and which queries show the same item."""

from pathlib import Path

import pytest

from export.dataset.catalogue import read_catalogue
from export.dataset.ground_truth import Query, items_of, read_ground_truth
from retrieval_server.errors import CatalogueError

OURS, CHALLENGE = "query_image,ids", "Validation Image ID,Training Image ID"


class Database:
    """A database of some ids."""

    folder = Path("index")

    def __init__(self, *ids):
        self.ids = ids

    def row_of(self, product_id):
        return self.ids.index(product_id) if product_id in self.ids else None


def read(folder, *lines, ids=("0007", "p 1", "p", "a;b")):
    (folder / "truth.csv").write_text("\n".join(lines), encoding="utf-8")
    queries = read_ground_truth(folder / "truth.csv", Database(*ids))
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


def test_a_path_that_the_system_refuses_is_named():
    with pytest.raises(CatalogueError, match=r"Cannot read .*: File name too long"):
        read_ground_truth(Path("x" * 300), Database())
    with pytest.raises(CatalogueError, match=r"Cannot read .*: File name too long"):
        read_catalogue(Path("x" * 300))
