"""JSON lines: numbers, missing values, and lines that are no object."""

import json
from pathlib import Path

import pytest

from export.dataset.catalogue import CatalogueRow, read_catalogue
from retrieval_server.errors import CatalogueError

OBJECT = {"id": "1", "image": "a.jpg", "description": "x"}


def read(folder: Path, *lines: str):
    (folder / "catalog.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return read_catalogue(folder).rows


def refusal(folder: Path, *lines: str) -> str:
    with pytest.raises(CatalogueError) as caught:
        read(folder, *lines)
    message = str(caught.value)
    assert "\n" not in message
    return message


def line(**values: object) -> str:
    return json.dumps(OBJECT | values)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1001.0, "1001"),
        (-0.0, "0"),
        (1e3, "1000"),
        (2.0**53 - 1, "9007199254740991"),
        (123456789012345678901234567890, "123456789012345678901234567890"),
    ],
)
def test_whole_numbers_are_exact_ids(tmp_path, value, text):
    (row,) = read(tmp_path, line(id=value, image=value))

    assert (row.product_id, row.image) == (text, text)


@pytest.mark.parametrize("column", ["id", "image"])
@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (2.0**53, "9007199254740992.0, a float too large to be exact. Write it as a text"),
        (1.5, "is the number 1.5, which is not whole"),
        (float("inf"), "is the number Infinity, which is not whole"),
        (True, "is the truth value true. Give a text"),
        (["a"], "is a list of values. Give one text"),
        ({"a": 1}, "is an object of values. Give one text"),
        (None, "is empty"),
        (float("nan"), "is empty"),
    ],
)
def test_a_value_that_is_no_id_is_refused_with_its_column_and_line(
    tmp_path, column, value, problem
):
    message = refusal(tmp_path, line(id="0"), line(**{column: value}))

    assert f"line 2: the {column} " in message
    assert problem in message


@pytest.mark.parametrize("value", [True, ["a", "b"], {"en": "a"}, float("-inf")])
def test_a_description_that_is_no_text_is_refused_with_its_line(tmp_path, value):
    assert "line 1: the description is " in refusal(tmp_path, line(description=value))


def test_missing_values_of_a_data_frame_are_empty(tmp_path):
    rows = read(
        tmp_path,
        line(description=float("nan"), price=float("nan"), brand=None, sizes=[1, float("nan")]),
        '{"id": null, "image": NaN, "description": "", "brand": " "}',
    )

    assert rows == (CatalogueRow("1", "a.jpg", "", {"sizes": "[1, null]"}),)


def test_a_file_with_marks_inside_is_that_of_joined_files(tmp_path):
    assert len(read(tmp_path, "\ufeff" + line(), "\ufeff" + line(id="2"))) == 2


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (['{"id": "1", "id": "2"}'], "line 1 has 'id' more than once. Keep one"),
        (['{"id": "1", "ID": "2", "image": "a", "description": ""}'], ""),
        (['{"Id": 1, "ID": 2, "image": "a", "description": ""}'], "has 'id' more than once"),
        ([line(x=None).replace("null", "[" * 9_999)], "line 1 is nested too deeply"),
        ([line(x=None).replace("null", "[" * 9_999 + "]" * 9_999)], "is nested too deeply"),
        ([line(x=None).replace("null", "9" * 9_999)], "is no JSON: Exceeds the limit"),
        (['{"id": 1e400}'], "line 1 is no JSON: the number '1e400' is too large"),
        ([line() + ","], "line 1 goes on at column .*, after its object. Write one object on each"),
        (["[", line(), "]"], "line 1 is no JSON: .* at column 2. A JSON array becomes JSON lines"),
        ([f"[{line()}]"], "line 1 is no JSON object. A JSON array becomes JSON lines with: jq"),
        (["{", '"id": 1', "}"], "line 1 is no JSON: .* Write each object on one line"),
        (["id,image,description"], "line 1 is no JSON: .* Write one JSON object on each line"),
        (['{"sku": "1", "img": "a", "name": "x"}'], "Rename 'sku' to 'id', 'img' to 'image'"),
        ([line(**{"a\0": 1})], r"line 1: the column 'a\\x00' holds a NUL character"),
        ([line(brand="\ud800")], "line 1: the column 'brand' holds .* half a surrogate"),
        ([line(brand=["\ud800"])], "line 1: the column 'brand' holds .* half a surrogate"),
    ],
)
def test_an_unusable_line_is_refused_with_its_number(tmp_path, lines, problem):
    if not problem:
        assert read(tmp_path, *lines)[0].attributes == {"ID": "2"}
        return
    with pytest.raises(CatalogueError, match=problem):
        read(tmp_path, *lines)
