"""JSON lines: numbers, nulls, escapes, nesting; and JSON that is no lines."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from tests.support.export.feeds.dialect import JSONL, PLAIN, Content, Dialect, Row

Value = Callable[[Row], Any]


def number(name: str) -> Value:
    return lambda row: float(row[name]) if row[name] else None


def or_none(name: str) -> Value:
    return lambda row: row[name] or None


def ean(row: Row) -> str:
    """An id of 13 digits."""
    return f"400638{row['id']}000"


def without_zeros(row: Row) -> Row:
    """What is stored of a price that is a number in JSON."""
    return {**row, "price": str(float(row["price"])) if row["price"] else ""}


def json_lines(
    values: Mapping[str, Value] = PLAIN, end: str = "\n", encoding: str = "utf-8", **options: Any
) -> Content:
    """One object a line; the options are those of ``json.dumps``."""
    return lambda rows: "".join(
        json.dumps({name: value(row) for name, value in values.items()}, **options) + end
        for row in rows
    ).encode(encoding)


def array(**options: Any) -> Content:
    return lambda rows: json.dumps([dict(row) for row in rows], **options).encode()


def by_column(rows: Sequence[Row]) -> bytes:
    """``DataFrame.to_json`` without arguments: an object for each column."""
    columns = {name: {str(n): row[name] for n, row in enumerate(rows)} for name in PLAIN}
    return json.dumps(columns).encode()


PANDAS: Mapping[str, Value] = {
    **PLAIN,
    "id": lambda row: int(row["id"]),
    "description": or_none("description"),
    "price": number("price"),
}

in_jsonl = partial(Dialect, file=JSONL)

DIALECTS = (
    in_jsonl(name="JSON lines", content=json_lines(ensure_ascii=False)),
    in_jsonl(name="JSON lines with escapes", content=json_lines()),
    in_jsonl(
        name="JSON lines with a mark, CRLF and empty lines",
        content=json_lines(end="\r\n\r\n", encoding="utf-8-sig", ensure_ascii=False),
    ),
    in_jsonl(
        name="JSON lines of PowerShell, UTF-16",
        content=json_lines(end="\r\n", encoding="utf-16", ensure_ascii=False),
    ),
    in_jsonl(
        name="pandas, to_json by lines",
        content=lambda rows: json_lines(PANDAS)(rows).replace(b"/", rb"\/"),
        stored=without_zeros,
    ),
    in_jsonl(
        name="JSON lines, whole floats as ids",
        content=json_lines({**PLAIN, "id": number("id")}),
    ),
    in_jsonl(
        name="JSON lines, EANs as floats",
        content=json_lines({**PLAIN, "id": lambda row: float(ean(row))}),
        stored=lambda row: {**row, "id": ean(row)},
    ),
    in_jsonl(
        name="JSON lines, NaN where a value is missing",
        content=json_lines(
            {
                **PLAIN,
                "description": lambda row: row["description"] or float("nan"),
                "price": lambda row: row["price"] or float("nan"),
            }
        ),
    ),
    in_jsonl(
        name="JSON lines, an object as attribute",
        content=json_lines(
            {**PLAIN, "price": lambda row: {"amount": row["price"], "currency": "EUR"}}
        ),
        stored=lambda row: {
            **row,
            "price": json.dumps({"amount": row["price"], "currency": "EUR"}),
        },
    ),
    in_jsonl(
        name="JSON lines, ids of MongoDB",
        content=json_lines({**PLAIN, "id": lambda row: {"$oid": row["id"] * 6}}),
        refused="line 1: the id is an object",
    ),
    in_jsonl(
        name="JSON lines, several images in a list",
        content=json_lines({**PLAIN, "image": lambda row: [row["image"], "images/b.jpg"]}),
        refused="line 1: the image is a list.*rename the column to 'images'",
    ),
    in_jsonl(
        name="JSON lines, lists of images",
        content=json_lines(
            {
                **{name: cell for name, cell in PLAIN.items() if name != "image"},
                "images": lambda row: [row["image"]],
            }
        ),
        stored=lambda row: {**row, "product": row["id"]},
    ),
    in_jsonl(
        name="JSON lines, half a surrogate pair",
        content=json_lines({**PLAIN, "description": lambda row: row["brand"] + "\ud83d"}),
        refused=r"line 1: the description holds.*surrogate",
    ),
    in_jsonl(
        name="JSON lines, true as id",
        content=json_lines({**PLAIN, "id": lambda _: True}),
        refused="line 1: the id is the truth value true",
    ),
    in_jsonl(
        name="JSON-LD of schema.org",
        content=json_lines(
            {
                "@type": lambda _: "Product",
                "sku": PLAIN["id"],
                "image": PLAIN["image"],
                "description": PLAIN["description"],
            }
        ),
        refused="line 1 has no 'id'.*Rename 'sku' to 'id'",
    ),
    in_jsonl(
        name="Hugging Face, metadata.jsonl of an image folder",
        content=json_lines(
            {"file_name": PLAIN["image"], "text": PLAIN["description"], "id": PLAIN["id"]}
        ),
        refused="Rename 'file_name' to 'image', 'text' to 'description'",
    ),
    in_jsonl(
        name="Python's own notation of dictionaries",
        content=lambda rows: "\n".join(str(dict(row)) for row in rows).encode(),
        refused="line 1 is no JSON",
    ),
    in_jsonl(
        name="JSON lines, the last one cut",
        content=lambda rows: json_lines()(rows)[:-20],
        refused="line 28 is no JSON",
    ),
    in_jsonl(
        name="a JSON array",
        content=array(),
        refused="line 1.*A JSON array becomes JSON lines",
    ),
    in_jsonl(
        name="a JSON array over many lines",
        content=array(indent=2, ensure_ascii=False),
        refused="line 1.*A JSON array becomes JSON lines",
    ),
    in_jsonl(
        name="JSON objects over many lines",
        content=json_lines(indent=2),
        refused="line 1 is no JSON.*on one line",
    ),
    in_jsonl(
        name="pandas, to_json by column",
        content=by_column,
        refused="line 1: the id is an object",
    ),
)
