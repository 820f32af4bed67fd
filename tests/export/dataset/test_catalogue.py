"""The catalogue as operators hand it in: three forms, one meaning, errors that name the place."""

import datetime
import decimal
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.commands.index_summary import catalogue_warnings
from export.dataset.catalogue import CatalogueRow, read_catalogue
from retrieval_server.errors import CatalogueError

COLUMNS = ("id", "image", "description", "brand")
RECORDS = (
    ("p 1", "images/a b.png", "Rouge, velvet\nand “quoted”", "L'Oréal"),
    ("商品-2", "images/ü.jpg", "", "O'Hui"),
    ("3", "images/3.jpg", 'A "serum", 30 ml', ""),
)
ROWS = tuple(
    CatalogueRow(product_id, image, description, {"brand": brand} if brand else {})
    for product_id, image, description, brand in RECORDS
)


def write_csv(path: Path) -> None:
    lines = [",".join(COLUMNS)]
    lines += [
        ",".join('"' + field.replace('"', '""') + '"' for field in record) for record in RECORDS
    ]
    path.write_bytes(("\r\n".join(lines) + "\r\n").encode())


def write_csv_with_byte_order_mark(path: Path) -> None:
    write_csv(path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())


def write_parquet(path: Path) -> None:
    columns = zip(*RECORDS, strict=True)
    pq.write_table(pa.table(dict(zip(COLUMNS, columns, strict=True))), path)


def write_jsonl(path: Path) -> None:
    lines = [
        json.dumps(dict(zip(COLUMNS, record, strict=True)), ensure_ascii=False)
        for record in RECORDS
    ]
    path.write_text("\n\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("catalog.csv", write_csv),
        ("catalog.csv", write_csv_with_byte_order_mark),
        ("catalog.parquet", write_parquet),
        ("catalog.jsonl", write_jsonl),
    ],
    ids=["csv", "csv-bom", "parquet", "jsonl"],
)
def test_every_form_of_a_catalogue_gives_the_same_rows(
    tmp_path: Path, name: str, write: Callable[[Path], None]
) -> None:
    write(tmp_path / name)
    assert read_catalogue(tmp_path / name).rows == ROWS
    assert read_catalogue(tmp_path).path == tmp_path / name


def test_image_paths_are_relative_to_the_catalogue_file(tmp_path: Path) -> None:
    write_csv(tmp_path / "mine.csv")
    catalogue = read_catalogue(tmp_path / "mine.csv")
    assert catalogue.image_path(catalogue.rows[1]) == tmp_path / "images" / "ü.jpg"


def test_numbers_dates_and_nested_values_become_the_text_a_csv_would_hold(tmp_path: Path) -> None:
    table = pa.table(
        {
            "id": [1001],
            "image": ["a.jpg"],
            "description": pa.array([None], pa.string()),
            "price": [decimal.Decimal("5.90")],
            "since": [datetime.date(2024, 5, 1)],
            "stock": [3],
            "vegan": [True],
            "none": pa.nulls(1),
        }
    )
    pq.write_table(table, tmp_path / "catalog.parquet")
    assert read_catalogue(tmp_path).rows == (
        CatalogueRow(
            "1001",
            "a.jpg",
            "",
            {"price": "5.90", "since": "2024-05-01", "stock": "3", "vegan": "true"},
        ),
    )
    line = {"id": 1001, "image": "a.jpg", "description": None, "tags": ["été", 2], "price": 5.9}
    (tmp_path / "other.jsonl").write_text(json.dumps(line))
    (row,) = read_catalogue(tmp_path / "other.jsonl").rows
    assert row == CatalogueRow("1001", "a.jpg", "", {"tags": '["été", 2]', "price": "5.9"})


def test_description_may_be_longer_than_the_csv_module_allows_by_default(tmp_path: Path) -> None:
    text = "word " * 100_000
    (tmp_path / "catalog.csv").write_text(f"id,image,description\n1,a.jpg,{text}\n")
    assert read_catalogue(tmp_path).rows[0].description == text


def test_line_and_paragraph_separators_stay_inside_a_field(tmp_path: Path) -> None:
    text = "one\u2028two\x85three"
    (tmp_path / "catalog.csv").write_text(f"id,image,description,x\n1,a.jpg,,{text}\n", "utf-8")
    record = {"id": "1", "image": "a.jpg", "description": "", "x": text}
    (tmp_path / "catalog.jsonl").write_text(json.dumps(record, ensure_ascii=False), "utf-8")
    for name in ("catalog.csv", "catalog.jsonl"):
        assert read_catalogue(tmp_path / name).rows[0].attributes == {"x": text}


def test_further_columns_are_named_in_the_order_of_the_file_also_without_a_value(
    tmp_path: Path,
) -> None:
    (tmp_path / "catalog.csv").write_text(
        "price,id,image,empty,description,brand\n,1,a.jpg,,,\n,2,a.jpg,,,Nuxe\n"
    )
    assert read_catalogue(tmp_path).columns == ("price", "empty", "brand")
    lines = [{"b": 1}, {"a": None, "b": 2}]
    (tmp_path / "other.jsonl").write_text(
        "\n".join(
            json.dumps({"id": n, "image": "a", "description": "", **line})
            for n, line in enumerate(lines)
        )
    )
    assert read_catalogue(tmp_path / "other.jsonl").columns == ("b", "a")


def test_descriptions_become_plain_text_and_attributes_stay(tmp_path: Path) -> None:
    descriptions = ["<p>Rose</p>", "N/A", "plain", ""]
    lines = [f"{number},a.jpg,{text},{text}" for number, text in enumerate(descriptions)]
    (tmp_path / "catalog.csv").write_text("\n".join(["id,image,description,x", *lines]))

    catalogue = read_catalogue(tmp_path)

    assert [row.description for row in catalogue.rows] == ["Rose", "", "plain", ""]
    assert [row.attributes.get("x", "") for row in catalogue.rows] == descriptions
    assert catalogue.cleaned.markup == {"0": "<p>Rose</p>"}
    assert catalogue.cleaned.placeholders == {"1": "N/A"}
    markup, empty = catalogue_warnings(catalogue)
    assert "1 descriptions held markup" in markup.text
    assert "such as '<p>Rose</p>' (0)" in markup.text
    assert "2 products have an empty description (1, 3); 1 of them say 'N/A' 1: " in empty.text
    assert empty.is_warning


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_any_storable_text_survives_json_lines(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    record = {"id": f"x{text}x", "image": "a", "description": "", "brand": text}
    path.write_text(json.dumps(record))
    (row,) = read_catalogue(path).rows
    assert (row.product_id, row.attributes) == (f"x{text}x", {"brand": text})


HEADER = "id,image,description\n"


UNUSABLE = [
    ("catalog.csv", b"", ["no column 'id', 'image', 'description'", "none"]),
    ("catalog.csv", HEADER, ["has no rows"]),
    ("catalog.csv", "id,picture,description\n1,a,b\n", ["'image'", "'picture'", "Rename"]),
    ("catalog.csv", "id,image,description,id\n1,a,b,2\n", ["'id' more than once"]),
    ("catalog.csv", HEADER + "1,a,b\n2,a,b\n1,c,d\n", ["line 4", "'1'", "line 2", "unique"]),
    ("catalog.csv", HEADER + "1,a,red, green\n", ["line 2", "3 fields", "Quote"]),
    ("catalog.csv", HEADER + "1,a\n", ["line 2", "3 fields"]),
    ("catalog.csv", HEADER + " ,a,b\n", ["line 2", "the id is empty"]),
    ("catalog.csv", HEADER + "1,,b\n", ["line 2", "the image is empty"]),
    ("catalog.csv", HEADER + '1,a,"never closed\n', ["line 2", "unexpected end of data"]),
    ("catalog.csv", HEADER + "1,a\0.png,b\n", ["line 2", "image holds a NUL"]),
    ("catalog.csv", (HEADER + "1,a,é\n").encode("latin-1"), ["not UTF-8 (line 2)", "Save it"]),
    (
        "catalog.csv",
        HEADER.encode() + b"".join(b"%d,a,b\n" % n for n in range(30_000)) + b"x,\xff,b\n",
        ["not UTF-8 (line 30,002)"],
    ),
    ("catalog.jsonl", b"", ["has no rows"]),
    ("catalog.jsonl", '{"id": "1", "image"\n', ["line 1 is no JSON"]),
    ("catalog.jsonl", "\n[1, 2]\n", ["line 2 is no JSON object"]),
    (
        "catalog.jsonl",
        '{"id": "1", "image": "a", "description": ""}\n{"id": "2", "image": "a"}\n',
        ["line 2 has no 'description'"],
    ),
    (
        "catalog.jsonl",
        '{"id": "1", "image": "a", "description": "\\ud83d"}\n',
        ["line 1", "description holds", "surrogate"],
    ),
    ("catalog.jsonl", b'{"id": "\xe9"}\n', ["not UTF-8 (line 1)"]),
    ("catalog.parquet", b"", ["Cannot read"]),
    ("catalog.parquet", b"PAR1 this is no parquet PAR1", ["Cannot read"]),
    ("catalog.xlsx", b"PK", [".csv, .parquet or .jsonl"]),
]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    UNUSABLE,
    ids=[f"{name}: {expected[0]}" for name, _, expected in UNUSABLE],
)
def test_unusable_catalogue_is_refused_with_its_place(
    tmp_path: Path, name: str, content: str | bytes, expected: list[str]
) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(CatalogueError) as caught:
        read_catalogue(path)
    message = str(caught.value)
    assert all(text in message for text in [str(path), *expected]), message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"id": ["1"], "image": ["a"]}, "no column 'description'"),
        ({"id": ["1", "1"], "image": ["a", "b"], "description": ["", ""]}, "row 2: the id '1'"),
        ({"id": [None], "image": ["a"], "description": [""]}, "row 1: the id is empty"),
        ({"id": [], "image": [], "description": []}, "has no rows"),
    ],
)
def test_unusable_parquet_is_refused_with_its_row(
    tmp_path: Path, columns: dict[str, list[str]], expected: str
) -> None:
    pq.write_table(pa.table(columns), tmp_path / "catalog.parquet")
    with pytest.raises(CatalogueError, match=expected):
        read_catalogue(tmp_path)


def test_parquet_with_a_column_twice_is_refused(tmp_path: Path) -> None:
    names = ["id", "image", "description", "id"]
    pq.write_table(pa.table([["1"]] * 4, names=names), tmp_path / "catalog.parquet")
    with pytest.raises(CatalogueError, match="'id' more than once"):
        read_catalogue(tmp_path)


def test_truncated_parquet_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "catalog.parquet"
    write_parquet(path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(CatalogueError, match="Cannot read"):
        read_catalogue(path)


def test_missing_file_and_folder_without_a_catalogue_are_named(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match=r"no catalogue at .*nowhere\.csv"):
        read_catalogue(tmp_path / "nowhere.csv")
    with pytest.raises(CatalogueError, match=r"has none of: catalog.csv, .*parquet, .*jsonl"):
        read_catalogue(tmp_path)
