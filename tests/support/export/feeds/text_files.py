"""Separators, quotes, line ends and encodings of text files, and files that are none."""

import csv
import gzip
import io
import zipfile
from collections.abc import Callable, Sequence

from tests.support.export.feeds.dialect import (
    JSONL,
    PLAIN,
    Columns,
    Content,
    Dialect,
    Row,
    csv_file,
    csv_text,
    edited,
    written,
)
from tests.support.export.feeds.json_files import json_lines
from tests.support.export.feeds.spreadsheets import NOT_UTF_8

NULL = r"\N"
WITHOUT_PRICE: Columns = {name: cell for name, cell in PLAIN.items() if name != "price"}
BACKSLASHES = {"escapechar": "\\", "doublequote": False}


def compressed(rows: Sequence[Row]) -> bytes:
    return gzip.compress(csv_text(PLAIN, rows).encode(), mtime=0)


def zipped(rows: Sequence[Row]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        file.writestr("export/products.csv", csv_text(PLAIN, rows))
    return data.getvalue()


def after_mark(mark: bytes, encoding: str) -> Content:
    return lambda rows: mark + csv_text(PLAIN, rows).encode(encoding)


def one_line_in(encoding: str) -> Content:
    """UTF-8, but for the last line, which another program added."""

    def content(rows: Sequence[Row]) -> bytes:
        last = csv_text(PLAIN, [{**rows[-1], "id": "1999", "brand": "Crème"}]).splitlines()[-1]
        return csv_text(PLAIN, rows).encode() + f"{last}\n".encode(encoding)

    return content


def two_files(mark: str, header: bool) -> Content:
    """Two exports, one after the other."""

    def content(rows: Sequence[Row]) -> bytes:
        first, second = csv_text(PLAIN, rows[:9]), csv_text(PLAIN, rows[9:])
        return f"{mark}{first}{mark}{second if header else second.partition(chr(10))[2]}".encode()

    return content


def by_line(change: Callable[[list[str]], list[str]]) -> Content:
    return edited(lambda text: "\n".join(change(text.splitlines())))


DIALECTS = (
    Dialect(name="semicolons", content=csv_file(delimiter=";")),
    Dialect(name="tabs", content=csv_file(delimiter="\t")),
    Dialect(name="pipes", content=csv_file(delimiter="|")),
    Dialect(
        name="Hive, text separated by U+0001",
        content=csv_file(delimiter="\x01"),
        refused=r"one column, 'id\\x01image.*separated by commas or semicolons",
    ),
    Dialect(
        name="carets", content=csv_file(delimiter="^"), refused=r"'id\^image.*separated by commas"
    ),
    Dialect(
        name="semicolons, a comma in a column's name",
        content=csv_file(netto := {**PLAIN, "price, net": PLAIN["price"]}, delimiter=";"),
        stored=written(netto),
    ),
    Dialect(
        name="tabs as .tsv",
        content=csv_file(delimiter="\t"),
        file="catalog.tsv",
        refused=r"must be.*\.csv",
    ),
    Dialect(name="everything in quotes", content=csv_file(quoting=csv.QUOTE_ALL)),
    Dialect(
        name="everything in quotes, semicolons",
        content=csv_file(quoting=csv.QUOTE_ALL, delimiter=";"),
    ),
    Dialect(
        name="no quotes, pipes",
        content=csv_file(quoting=csv.QUOTE_NONE, delimiter="|", quotechar=None),
    ),
    Dialect(
        name="a line break in each description",
        content=csv_file(
            broken := {**PLAIN, "description": lambda r: r["description"].replace(" ", "\n", 1)},
            lineterminator="\r\n",
        ),
        stored=written(broken),
    ),
    Dialect(
        name="a space after each comma",
        content=edited(lambda text: text.replace('","', '", "'), quoting=csv.QUOTE_ALL),
    ),
    Dialect(
        name="texts with commas, without quotes",
        content=edited(lambda text: text.replace('"', "")),
        refused=r"line \d+: the row does not have the header's 6 fields.*Quote",
    ),
    Dialect(
        name="a quote that is not closed",
        content=edited(lambda text: text + "1999,images/s0033.jpg,\"Éclat d'Or,,,\n"),
        refused=r"line 30: .*quote",
    ),
    Dialect(
        name="a cut last line",
        content=by_line(lambda lines: [*lines, "1999,images/s0"]),
        refused="line 30: the row does not have the header's 6 fields: the last 4 are missing",
    ),
    Dialect(
        name="a comma at the end of each row",
        content=by_line(lambda lines: [lines[0], *(f"{line}," for line in lines[1:])]),
    ),
    Dialect(
        name="lines of comment before the header",
        content=edited(lambda text: f"# exported 2026-11-29\n{text}"),
        refused="one column, '# exported 2026-11-29'.*needs a header",
    ),
    Dialect(
        name="without a header",
        content=by_line(lambda lines: lines[1:]),
        refused=r"no column 'id'",
    ),
    Dialect(
        name="MySQL, INTO OUTFILE with a header",
        content=csv_file(
            {
                name: lambda row, cell=cell: cell(row) or NULL
                for name, cell in WITHOUT_PRICE.items()
            },
            delimiter="\t",
            quoting=csv.QUOTE_NONE,
            quotechar=None,
        ),
        stored=written(WITHOUT_PRICE),
    ),
    Dialect(
        name="PostgreSQL, COPY as CSV",
        content=edited(lambda text: text.replace(",,", ',"",'), lineterminator="\n"),
    ),
    Dialect(name="SQLite, .mode csv", content=csv_file(lineterminator="\r\n")),
    Dialect(
        name="Spark, CSV",
        content=csv_file(**BACKSLASHES),
        refused=r"line \d+: .*quote",
    ),
    Dialect(
        name="Spark, CSV, quoteAll",
        content=csv_file(**BACKSLASHES, quoting=csv.QUOTE_ALL),
        refused=r"line \d+: .*quote",
    ),
    Dialect(name="line ends of CR, CR, LF", content=csv_file(lineterminator="\r\r\n")),
    Dialect(
        name="UTF-8 with a mark, everything in quotes",
        content=csv_file(encoding="utf-8-sig", quoting=csv.QUOTE_ALL),
    ),
    Dialect(name="UTF-16 with a mark, big-endian", content=after_mark(b"\xfe\xff", "utf-16-be")),
    Dialect(name="UTF-16 without a mark, little-endian", content=csv_file(encoding="utf-16-le")),
    Dialect(name="UTF-16 without a mark, big-endian", content=csv_file(encoding="utf-16-be")),
    Dialect(name="UTF-32 with a mark", content=csv_file(encoding="utf-32")),
    Dialect(
        name="Latin-1", content=csv_file(encoding="latin-1"), refused="line 2.*like Windows-1252"
    ),
    Dialect(name="GB 18030", content=csv_file(encoding="gb18030"), refused=NOT_UTF_8),
    Dialect(name="one line in Latin-1", content=one_line_in("latin-1"), refused=r"\(line 30"),
    Dialect(
        name="two files with marks, joined",
        content=two_files("\ufeff", header=False),
    ),
    Dialect(
        name="two files with headers, joined",
        content=two_files("", header=True),
        refused="line 11: the header again",
    ),
    Dialect(
        name="two files with marks and headers, joined",
        content=two_files("\ufeff", header=True),
        refused="line 11: the header again",
    ),
    Dialect(
        name="NUL bytes",
        content=csv_file({**PLAIN, "brand": lambda row: row["brand"] + "\0"}),
        refused=r"line 2: the column 'brand' holds a NUL",
    ),
    Dialect(name="gzip as .csv", content=compressed, refused=r"gzip.*Unpack"),
    Dialect(name="gzip", content=compressed, file="catalog.csv.gz", refused=r"must be.*\.csv"),
    Dialect(name="gzip as .jsonl", content=compressed, file=JSONL, refused="gzip.*Unpack"),
    Dialect(name="JSON lines as .csv", content=json_lines(), refused=r"is JSON.*\.jsonl"),
    Dialect(name="CSV as .jsonl", content=csv_file(), file=JSONL, refused="line 1 is no JSON"),
    Dialect(
        name="a column twice",
        content=edited(lambda text: text.replace("brand,category", "brand,brand", 1)),
        refused="the column 'brand' more than once",
    ),
    Dialect(name="ZIP as .csv", content=zipped, refused="ZIP.*unpack"),
    Dialect(
        name="a page of a login as .csv",
        content=lambda _: b"<!DOCTYPE html>\n<html><head><title>Log in</title></head></html>\n",
        refused="HTML.*CSV",
    ),
    Dialect(name="an empty file", content=lambda _: b"", refused="no column"),
    Dialect(
        name="a header only",
        content=lambda _: csv_text(PLAIN, []).encode(),
        refused="no rows",
    ),
)
