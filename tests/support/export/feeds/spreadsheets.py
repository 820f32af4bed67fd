"""Spreadsheets: byte-order marks, separators by country, code pages, real workbooks."""

import csv
import io
import zipfile
from collections.abc import Callable, Sequence

from tests.support.export.feeds.dialect import (
    PLAIN,
    Content,
    Dialect,
    Row,
    constant,
    csv_file,
    csv_text,
    edited,
)

NOT_UTF_8 = r"not UTF-8 \(line \d+\)\. Save it as UTF-8"  # and no guess
CRLF = "\r\n"


def workbook(*members: str, mimetype: str = "") -> Content:
    """A workbook of these members in a ZIP file; OpenDocument's begins with its type."""

    def content(rows: Sequence[Row]) -> bytes:
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w") as file:
            if mimetype:
                file.writestr("mimetype", mimetype)
            for member in members:
                file.writestr(member, csv_text(PLAIN, rows), zipfile.ZIP_DEFLATED)
        return data.getvalue()

    return content


def to_each_line(edit: Callable[[str], str]) -> Content:
    """A CSV file without line ends in its cells, whose lines are changed."""
    return edited(lambda text: "".join(f"{edit(line)}\n" for line in text.splitlines()))


def german_price(row: Row) -> str:
    return row["price"].replace(".", ",")


DIALECTS = (
    Dialect(
        name="Excel, CSV UTF-8",
        content=csv_file(encoding="utf-8-sig", lineterminator=CRLF),
    ),
    Dialect(
        name="Excel, CSV UTF-8, German",
        content=csv_file(
            {**PLAIN, "price": german_price},
            encoding="utf-8-sig",
            lineterminator=CRLF,
            delimiter=";",
        ),
        stored=lambda row: {**row, "price": german_price(row)},
    ),
    Dialect(
        name="Excel, a line sep=; before the header",
        content=edited(lambda text: f"sep=;{CRLF}{text}", lineterminator=CRLF, delimiter=";"),
    ),
    Dialect(
        name="Excel, Unicode text",
        content=csv_file(
            encoding="utf-16",  # little-endian, with the mark
            delimiter="\t",
            lineterminator=CRLF,
        ),
    ),
    Dialect(
        name="Excel, CSV of Western Windows",
        content=csv_file(encoding="cp1252", lineterminator=CRLF, delimiter=";"),
        refused="line 2.*looks like Windows-1252.*Save it as UTF-8",
    ),
    Dialect(
        name="Excel, CSV of Japanese Windows",
        content=csv_file(encoding="cp932", lineterminator=CRLF),
        refused=NOT_UTF_8,
    ),
    Dialect(
        name="Excel for Mac, CSV (Macintosh)",
        content=csv_file(encoding="mac_roman", lineterminator="\r"),
        refused=NOT_UTF_8,
    ),
    Dialect(
        name="Excel for Mac, line ends CR",
        content=csv_file(encoding="utf-8-sig", lineterminator="\r"),
    ),
    Dialect(
        name="Excel, .xlsx as .csv",
        content=workbook("[Content_Types].xml", "xl/workbook.xml", "xl/worksheets/sheet1.xml"),
        refused=r"Excel.*CSV",
    ),
    Dialect(
        name="Excel, .xls as .csv",
        content=lambda _: bytes.fromhex("d0cf11e0a1b11ae1") + bytes(504),
        refused=r"Excel.*CSV",
    ),
    Dialect(
        name="Excel, .xlsx",
        content=workbook("[Content_Types].xml", "xl/workbook.xml"),
        file="catalog.xlsx",
        refused=r"must be.*\.csv",
    ),
    Dialect(
        name="Excel, ids in scientific notation",
        content=csv_file({**PLAIN, "id": constant("4.00638E+12")}),
        refused=r"line 3: the id '4.00638E\+12' is already in line 2",
    ),
    Dialect(
        name="Excel, empty columns at the right",
        content=to_each_line(lambda line: line + ",,,"),
    ),
    Dialect(
        name="Excel, empty rows below the table",
        content=edited(lambda text: text + ",,,,,\n" * 3),
    ),
    Dialect(
        name="Excel, an empty row below the header",
        content=edited(lambda text: text.replace("\n", '\n"  ", ,,,,\n', 1)),
    ),
    Dialect(
        name="Excel, errors of formulas",
        content=csv_file({**PLAIN, "description": lambda row: row["description"] or "#N/A"}),
    ),
    Dialect(
        name="Excel, header in capitals and padded",
        content=edited(
            lambda text: text.replace("id,image,description", "ID, Image ,DESCRIPTION", 1)
        ),
    ),
    Dialect(
        name="LibreOffice, texts in quotes",
        content=csv_file(quoting=csv.QUOTE_NONNUMERIC),
    ),
    Dialect(
        name="LibreOffice, .ods as .csv",
        content=workbook("content.xml", mimetype="application/vnd.oasis.opendocument.spreadsheet"),
        refused="ZIP.*CSV",
    ),
)
