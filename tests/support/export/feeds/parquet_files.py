"""Parquet: the types that data frames, Spark, Hive and Hugging Face write."""

import io
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.feather import write_feather

from tests.support.export.feeds.dialect import PARQUET, PLAIN, Content, Dialect, Row
from tests.support.export.feeds.json_files import number, or_none, without_zeros

Value = Callable[[Row], Any]
STRING = pa.string()
DAY = date(2026, 11, 29)
NOON = datetime(2026, 11, 29, 12, 0, 0, 123456, tzinfo=UTC)


def parquet(
    types: Mapping[str, pa.DataType] | pa.DataType = STRING,
    values: Mapping[str, Value] = PLAIN,
    metadata: Mapping[str, str] | None = None,
    **options: Any,
) -> Content:
    """A Parquet file.

    Args:
        types: of some columns, the others are strings; or of all columns.
        values: the columns.
        metadata: of the schema, as pandas adds it.
        **options: of ``pyarrow.parquet.write_table``.
    """

    def content(rows: Sequence[Row]) -> bytes:
        by_name = types if isinstance(types, Mapping) else dict.fromkeys(values, types)
        schema = pa.schema(
            [(name, by_name.get(name, STRING)) for name in values], metadata=metadata
        )
        table = pa.Table.from_pylist(
            [{name: value(row) for name, value in values.items()} for row in rows], schema
        )
        data = io.BytesIO()
        pq.write_table(table, data, **options)
        return data.getvalue()

    return content


def as_bytes(encoding: str = "utf-8") -> Mapping[str, Value]:
    return {
        name: lambda row, value=value: value(row).encode(encoding, "replace")
        for name, value in PLAIN.items()
    }


def with_column(name: str, value: Any) -> Mapping[str, Value]:
    return {**PLAIN, name: lambda _: value}


def stored_with(name: str, text: str) -> Callable[[Row], Row]:
    return lambda row: {**row, name: text}


def mislabelled(rows: Sequence[Row]) -> bytes:
    """Strings whose bytes are Latin-1: the writer did not check them."""
    table = pa.Table.from_pydict(
        {n: [row[n].encode("latin-1", "replace") for row in rows] for n in PLAIN}
    )
    columns = [
        pa.Array.from_buffers(pa.string(), len(rows), chunk.buffers())
        for chunk in (column.combine_chunks() for column in table.columns)
    ]
    data = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(columns, names=table.column_names), data)
    return data.getvalue()


def feather(rows: Sequence[Row]) -> bytes:
    data = io.BytesIO()
    write_feather(pa.Table.from_pylist([dict(row) for row in rows]), data)
    return data.getvalue()


PICTURE = pa.struct([("bytes", pa.binary()), ("path", STRING)])
PANDAS_VALUES: Mapping[str, Value] = {
    **PLAIN,
    "description": or_none("description"),
    "price": number("price"),
}
PANDAS_INDEX = {"pandas": '{"index_columns": ["__index_level_0__"], "columns": []}'}

in_parquet = partial(Dialect, file=PARQUET)

DIALECTS = (
    in_parquet(name="Arrow, strings", content=parquet()),
    in_parquet(
        name="Arrow, large strings, zstd",
        content=parquet(pa.large_string(), compression="zstd"),
    ),
    in_parquet(name="polars, string views", content=parquet(pa.string_view())),
    in_parquet(
        name="pandas, with its index as a column",
        content=parquet(
            {"price": pa.float64(), "__index_level_0__": pa.int64()},
            {**PANDAS_VALUES, "__index_level_0__": lambda row: int(row["id"])},
            PANDAS_INDEX,
        ),
        stored=without_zeros,
    ),
    in_parquet(
        name="pandas, ids as integers that may be missing",
        content=parquet(
            {"id": pa.int64(), "price": pa.float64()},
            {**PANDAS_VALUES, "id": lambda row: int(row["id"])},
        ),
        stored=without_zeros,
    ),
    in_parquet(
        name="pandas, ids as floats",
        content=parquet({"id": pa.float64()}, {**PLAIN, "id": number("id")}),
    ),
    in_parquet(
        name="pandas, an id is missing",
        content=parquet(
            {"id": pa.int64()},
            {**PLAIN, "id": lambda row: int(row["id"]) if row["description"] else None},
        ),
        refused="row 5: the id is empty",
    ),
    in_parquet(
        name="pandas, NaN in a column of floats",
        content=parquet(
            {"price": pa.float64()},
            {**PLAIN, "price": lambda row: float(row["price"] or "nan")},
        ),
        stored=without_zeros,
    ),
    in_parquet(
        name="pandas, categories",
        content=parquet(
            {
                "description": pa.dictionary(pa.int16(), STRING),
                "brand": pa.dictionary(pa.int8(), STRING),
            }
        ),
    ),
    in_parquet(
        name="pandas, a time in nanoseconds",
        content=parquet(
            {"added": pa.timestamp("ns")}, with_column("added", 1_795_953_600_123_456_789)
        ),
        stored=stored_with("added", "2026-11-29T12:00:00.123456789"),
    ),
    in_parquet(
        name="Spark, a time in INT96",
        content=parquet(
            {"added": pa.timestamp("us", "UTC")},
            with_column("added", NOON),
            use_deprecated_int96_timestamps=True,
        ),
        stored=stored_with("added", "2026-11-29T12:00:00.123456"),
    ),
    in_parquet(
        name="Spark, dates and decimals",
        content=parquet(
            {"id": pa.decimal128(10, 0), "price": pa.decimal128(10, 2), "added": pa.date32()},
            {
                **PLAIN,
                "id": lambda row: Decimal(row["id"]),
                "price": lambda row: Decimal(row["price"]) if row["price"] else None,
                "added": lambda _: DAY,
            },
        ),
        stored=stored_with("added", "2026-11-29"),
    ),
    in_parquet(
        name="Spark, a folder of parts",
        content=parquet(),
        file=f"{PARQUET}/part-00000-0b1c2d3e-c000.snappy.parquet",
        refused="a folder of parts.*one file",
    ),
    in_parquet(
        name="Hive and Impala, bytes without a type",
        content=parquet(pa.binary(), as_bytes()),
    ),
    in_parquet(
        name="Hive and Impala, bytes in Latin-1",
        content=parquet(pa.binary(), as_bytes("latin-1")),
        refused="row 1: the description is not UTF-8",
    ),
    in_parquet(
        name="bytes in a dictionary",
        content=parquet(pa.dictionary(pa.int32(), pa.binary()), as_bytes()),
    ),
    in_parquet(
        name="strings that hold Latin-1",
        content=mislabelled,
        refused="row 1: the description is not UTF-8",
    ),
    in_parquet(
        name="small row groups, version 1.0",
        content=parquet(row_group_size=5, version="1.0", compression="none"),
    ),
    in_parquet(
        name="a list as attribute",
        content=parquet({"tags": pa.list_(STRING)}, with_column("tags", ["new", "sale"])),
        stored=stored_with("tags", '["new", "sale"]'),
    ),
    in_parquet(
        name="lists of images",
        content=parquet(
            {"images": pa.list_(STRING)},
            {
                **{name: value for name, value in PLAIN.items() if name != "image"},
                "images": lambda row: [row["image"]],
            },
        ),
        stored=lambda row: {**row, "product": row["id"]},
    ),
    in_parquet(
        name="true and false as attribute",
        content=parquet({"is_new": pa.bool_()}, with_column("is_new", True)),
        stored=stored_with("is_new", "true"),
    ),
    in_parquet(
        name="a column of nulls",
        content=parquet({"gtin": pa.null()}, with_column("gtin", None)),
    ),
    in_parquet(
        name="descriptions as lists",
        content=parquet(
            {"description": pa.list_(STRING)},
            {**PLAIN, "description": lambda row: [row["description"]]},
        ),
        refused="row 1: the description is a list",
    ),
    in_parquet(
        name="Hugging Face, images in the file",
        content=parquet(
            {"image": PICTURE},
            {**PLAIN, "image": lambda row: {"bytes": b"\xff\xd8", "path": row["image"]}},
        ),
        refused="row 1: the image is an object",
    ),
    in_parquet(
        name="Hugging Face, text and label",
        content=parquet(
            {"image": PICTURE, "label": pa.int64()},
            {
                "image": lambda row: {"bytes": b"\xff\xd8", "path": row["image"]},
                "text": PLAIN["description"],
                "label": lambda _: 1,
            },
        ),
        refused="no column 'id', 'description'.*Rename 'text' to 'description'",
    ),
    in_parquet(
        name="Parquet as .csv",
        content=parquet(),
        file="catalog.csv",
        refused=r"a Parquet file.*\.parquet",
    ),
    in_parquet(name="Feather as .parquet", content=feather, refused="Arrow.*Parquet"),
    in_parquet(
        name="half a Parquet file",
        content=lambda rows: parquet()(rows)[:2000],
        refused="Cannot read",
    ),
)
