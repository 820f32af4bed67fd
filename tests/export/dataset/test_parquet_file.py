"""Parquet of any writer: texts as bytes, columns of data frames, times, nested values."""

import datetime
import decimal
import uuid
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from export.dataset.catalogue import read_catalogue
from retrieval_server.errors import CatalogueError

CREME = "Crème"


def read(folder: Path, **columns: object):
    table = {"id": ["1"], "image": ["a.jpg"], "description": [CREME]} | columns
    pq.write_table(pa.table(table), folder / "catalog.parquet", store_schema=True)
    return read_catalogue(folder).rows


def refusal(folder: Path, **columns: object) -> str:
    with pytest.raises(CatalogueError) as caught:
        read(folder, **columns)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    "texts",
    [
        pa.array([CREME.encode()], pa.binary()),
        pa.array([CREME.encode()], pa.large_binary()),
        pa.array([CREME.encode()], pa.binary(6)),
        pa.array([CREME], pa.large_string()),
        pa.array([CREME], pa.string_view()),
        pa.array([CREME]).dictionary_encode(),
        pa.array([CREME.encode()]).dictionary_encode(),
    ],
    ids=lambda array: str(array.type),
)
def test_every_type_of_texts_gives_the_same_text(tmp_path, texts):
    (row,) = read(tmp_path, id=texts, description=texts, brand=texts)

    assert (row.product_id, row.description, row.attributes) == (CREME, CREME, {"brand": CREME})


@pytest.mark.parametrize("column", ["id", "description", "brand"])
@pytest.mark.parametrize("kind", [pa.binary(), pa.string(), pa.large_string(), pa.string_view()])
def test_bytes_that_are_not_utf_8_are_refused_with_column_and_row(tmp_path, column, kind):
    latin_1 = pa.array([b"Rose", b"Cr\xe8me"], pa.binary())
    if kind != pa.binary():
        latin_1 = pa.StringArray.from_buffers(2, *latin_1.buffers()[1:]).cast(kind)
    two = {"id": ["1", "2"], "image": ["a", "b"], "description": ["", ""]}

    message = refusal(tmp_path, **two | {column: latin_1})

    named = column if column in two else "column 'brand'"
    assert f"row 2: the {named} is not UTF-8: b'Cr\\xe8me'" in message


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (pa.array([1001.0]), "1001"),
        (pa.array([1001.0], pa.float32()), "1001"),
        (pa.array([2**64 - 1], pa.uint64()), "18446744073709551615"),
        (pa.array([decimal.Decimal("1001.00")]), "1001"),
        (pa.array([decimal.Decimal("9" * 60)], pa.decimal256(60, 0)), "9" * 60),
    ],
    ids=str,
)
def test_whole_numbers_are_exact_ids(tmp_path, ids, expected):
    assert read(tmp_path, id=ids)[0].product_id == expected


@pytest.mark.parametrize(
    ("ids", "problem"),
    [
        (pa.array([2.0**53]), "a float too large to be exact"),
        (pa.array([2.0**24], pa.float32()), "a float too large to be exact"),
        (pa.array([decimal.Decimal("0.50")]), "is the number 0.50, which is not whole"),
        (pa.array([True]), "is the truth value true"),
        (pa.array([None], pa.float32()), "is empty"),
        (pa.array([{"bytes": b"\xff\xd8", "path": "a.jpg"}]), "is an object of values"),
        (pa.array([["a.jpg", "b.jpg"]]), "is a list of values"),
    ],
    ids=str,
)
@pytest.mark.parametrize("column", ["id", "image"])
def test_a_value_that_is_no_id_is_refused_with_column_and_row(tmp_path, column, ids, problem):
    message = refusal(tmp_path, **{column: ids})

    assert f"row 1: the {column} " in message
    assert problem in message


MOMENT = 1_700_000_000_123_456_789
ATTRIBUTES = [
    (pa.array([MOMENT], pa.timestamp("ns")), "2023-11-14T22:13:20.123456789"),
    (
        pa.array([MOMENT], pa.timestamp("ns", "Europe/Berlin")),
        "2023-11-14T22:13:20.123456789+00:00",
    ),
    (
        pa.array([MOMENT // 1000], pa.timestamp("us", "No/Where")),
        "2023-11-14T22:13:20.123456+00:00",
    ),
    (pa.array([253402300800], pa.timestamp("s")), "10000-01-01T00:00:00"),
    (pa.array([datetime.date(2024, 5, 1)]), "2024-05-01"),
    (pa.array([datetime.date(2024, 5, 1)], pa.date64()), "2024-05-01"),
    (pa.array([3_600_000_000_001], pa.time64("ns")), "01:00:00.000000001"),
    (pa.array([90_000_500], pa.duration("ms")), "PT90000.5S"),
    (pa.array([5.9], pa.float32()), "5.9"),
    (pa.array([float("nan")]), None),
    (pa.array([decimal.Decimal("5.90")]), "5.90"),
    (pa.array([["été", None]]), '["été", null]'),
    (pa.array([[MOMENT]], pa.list_(pa.timestamp("ns"))), '["2023-11-14T22:13:20.123456789"]'),
    (pa.array([{"a": 1, "b": b"x"}]), '{"a": 1, "b": "x"}'),
    (pa.array([[5.9]], pa.list_(pa.float32())), "[5.9]"),
    (pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int8())), '[{"key": "k", "value": 1}]'),
    (pa.array([[1, 2]], pa.list_(pa.int8(), 2)), "[1, 2]"),
    (pa.array([uuid.UUID(int=1).bytes], pa.uuid()), str(uuid.UUID(int=1))),
    (pa.nulls(1), None),
]


@pytest.mark.parametrize(("values", "text"), ATTRIBUTES, ids=[str(a.type) for a, _ in ATTRIBUTES])
def test_an_attribute_of_any_type_is_exact_text(tmp_path, values, text):
    (row,) = read(tmp_path, extra=values)

    assert row.attributes == ({} if text is None else {"extra": text})


def test_the_unnamed_index_of_a_data_frame_is_no_attribute_and_blank_rows_are_left_out(tmp_path):
    rows = read(
        tmp_path,
        id=[1.0, None],
        image=["a", " "],
        description=pa.array([None, None], pa.string()),
        __index_level_0__=pa.nulls(2, pa.int64()),
    )

    assert [(row.product_id, row.attributes) for row in rows] == [("1", {})]


@pytest.mark.parametrize("damage", [slice(0, -40), slice(0, 60), slice(40, None)])
def test_a_damaged_file_is_refused_by_name(tmp_path, damage):
    read(tmp_path)
    path = tmp_path / "catalog.parquet"
    path.write_bytes(b"PAR1" + path.read_bytes()[damage])

    with pytest.raises(CatalogueError, match=r"^Cannot read the catalogue .*catalog\.parquet: .+"):
        read_catalogue(tmp_path)
