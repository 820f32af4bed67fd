"""The further columns of a catalogue: as columns for filters, and verbatim for answers."""

import csv
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from export.commands.index_summary import index_summary
from export.dataset.catalogue import read_catalogue
from retrieval_server.attributes.values import ColumnKind
from retrieval_server.index.bundle import IndexBundle
from tests.support.export.index_builds import Build, files

IMAGE = "images/p0000.png"


def write_rows(catalogue: Path, *rows: dict[str, str]) -> None:
    required = ("id", "image", "description")
    header = list(dict.fromkeys([*required, *(name for row in rows for name in row)]))
    with (catalogue / "catalog.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, header)
        writer.writeheader()
        for number, row in enumerate(rows):
            writer.writerow({"id": number, "image": IMAGE, "description": "", **row})


def values_of(bundle: IndexBundle, name: str) -> list[object]:
    """What a column says of each row; None where it is missing."""
    column = bundle.columns[name]
    missing = column.is_missing(column.values)
    if column.kind is ColumnKind.TEXT:
        return [
            None if m else column.text(code) for code, m in zip(column.values, missing, strict=True)
        ]
    return [None if m else value for value, m in zip(column.values.tolist(), missing, strict=True)]


def test_columns_are_typed_and_answers_stay_verbatim(
    changed: Path, tmp_path: Path, build: Build
) -> None:
    rows = [
        {"price": "12.50", "vegan": "TRUE", "shade": "Ruby", "sku": "007", "old": "12,50"},
        {"price": "", "vegan": "false", "shade": "Amber", "sku": "7", "old": "9"},
        {"price": "1e3", "vegan": "", "shade": "Ruby", "sku": "", "old": "10"},
    ]
    write_rows(changed, *rows)
    built = build(changed, tmp_path)
    bundle = IndexBundle(built.folder)
    assert bundle.columns.names == ("price", "vegan", "shade", "sku", "old")
    assert values_of(bundle, "price") == [12.5, None, 1000.0]
    assert values_of(bundle, "vegan") == [1, 0, None]
    assert values_of(bundle, "shade") == ["Ruby", "Amber", "Ruby"]
    assert values_of(bundle, "sku") == ["007", "7", None]
    for number, row in enumerate(rows):
        assert bundle.product(number).attributes == {n: text for n, text in row.items() if text}
    (warning,) = (
        each.text for each in index_summary(built) if each.is_warning and "column" in each.text
    )
    assert "'old' holds texts, not numbers, because of '12,50'" in warning


def test_a_column_without_a_value_is_there_and_missing_everywhere(
    changed: Path, tmp_path: Path, build: Build
) -> None:
    write_rows(changed, {"brand": "Nuxe", "discount": ""}, {"brand": "", "discount": ""})
    bundle = IndexBundle(build(changed, tmp_path).folder)
    assert values_of(bundle, "discount") == [None, None]
    assert values_of(bundle, "brand") == ["Nuxe", None]


def test_rows_whose_image_cannot_be_read_do_not_count(
    changed: Path, tmp_path: Path, build: Build
) -> None:
    write_rows(changed, {"price": "1"}, {"price": "free", "image": "none.png"}, {"price": "2"})
    bundle = IndexBundle(build(changed, tmp_path).folder)
    assert values_of(bundle, "price") == [1.0, 2.0]


NAMES = [
    "a/b",
    "..",
    "/etc/passwd",
    "x" * 3000,
    "商品 \N{GRINNING FACE}",
    "Preis (€)",
    " ",
    "columns.0",
]


def test_a_column_may_have_any_name(changed: Path, tmp_path: Path, build: Build) -> None:
    write_rows(changed, {name: f"value {name}" for name in NAMES})
    names = read_catalogue(changed).columns
    bundle = IndexBundle(build(changed, tmp_path).folder)
    assert bundle.columns.names == names
    assert len(names) >= len(NAMES) - 1  # a reader may leave out a blank one
    for name in names:
        assert values_of(bundle, name) == [bundle.product(0).attributes[name]]
    assert all(path.parent == bundle.folder for path in bundle.folder.rglob("*"))


def test_hundreds_of_columns_are_as_good_as_one(
    changed: Path, tmp_path: Path, build: Build
) -> None:
    row = {f"column {number}": str(number) for number in range(300)}
    write_rows(changed, row)
    bundle = IndexBundle(build(changed, tmp_path).folder)
    assert [values_of(bundle, name) for name in row] == [[float(text)] for text in row.values()]


def test_numbers_and_truth_values_of_json_and_parquet_are_columns_of_their_kind(
    changed: Path, tmp_path: Path, build: Build
) -> None:
    rows = [
        {"id": "1", "price": 12.5, "stock": 3, "vegan": True},
        {"id": "2", "price": None, "stock": 10**15, "vegan": None},
    ]
    full = [{"image": IMAGE, "description": "", **row} for row in rows]
    (changed / "catalog.csv").unlink()
    (changed / "catalog.jsonl").write_text("\n".join(map(json.dumps, full)), "utf-8")
    by_json = build(changed, tmp_path / "json").folder
    (changed / "catalog.jsonl").unlink()
    pyarrow.parquet.write_table(pa.Table.from_pylist(full), changed / "catalog.parquet")
    by_parquet = build(changed, tmp_path / "parquet").folder
    assert files(by_json) == files(by_parquet)
    bundle = IndexBundle(by_json)
    assert values_of(bundle, "price") == [12.5, None]
    assert values_of(bundle, "vegan") == [1, None]
    assert bundle.columns["stock"].kind is ColumnKind.TEXT  # 16 digits


def test_a_catalogue_that_only_gains_an_empty_column_is_built_again(
    changed: Path, tmp_path: Path, build: Build
) -> None:
    write_rows(changed, {"brand": "Nuxe"})
    first = build(changed, tmp_path)
    write_rows(changed, {"brand": "Nuxe", "price": ""})
    second = build(changed, tmp_path)
    assert first.folder != second.folder
    assert build(changed, tmp_path).manifest is None
