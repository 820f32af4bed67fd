"""Text files in the encodings of office programs; errors name the file, the line and a way out.

A file in another format under the name of a text file is recognised by its first bytes and refused
by its own name, for example as an Excel workbook.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from retrieval_server.errors import CatalogueError

HEAD_BYTES = 512
_UNPACK = "Unpack it"
_SAVE_AS_CSV = "Save the sheet as CSV in UTF-8"
_FORMATS = (  # first bytes, what the file is, what to do
    (b"PK\x03\x04", "an Excel workbook or another ZIP archive", f"{_SAVE_AS_CSV}, or unpack it"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook (.xls)", _SAVE_AS_CSV),
    (b"\x1f\x8b", "compressed by gzip", _UNPACK),
    (b"BZh", "compressed by bzip2", _UNPACK),
    (b"\xfd7zXZ", "compressed by xz", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd", _UNPACK),
    (b"7z\xbc\xaf", "a 7-Zip archive", _UNPACK),
    (b"PAR1", "a Parquet file", "Give it the suffix .parquet"),
    (b"PARE", "an encrypted Parquet file", "Decrypt it"),
    (b"ARROW1", "an Arrow file", "Write it as Parquet"),
    (b"ORC", "an ORC file", "Write it as Parquet"),
    (b"Obj\x01", "an Avro file", "Write it as Parquet"),
    (b"SQLite format 3", "an SQLite database", "Export its table as CSV"),
    (b"%PDF", "a PDF document", "Export the table as CSV"),
    (b"version https://git-lfs", "a pointer of Git LFS, not the content", "Run: git lfs pull"),
)
_MARKS = (  # byte-order marks; UTF-32 first, since its mark begins like that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_WITHOUT_MARK = (  # where the zero bytes of two characters below U+0100 are
    (re.compile(rb"[^\0]\0\0\0[^\0]\0\0\0", re.DOTALL), "utf-32-le"),
    (re.compile(rb"\0\0\0[^\0]\0\0\0[^\0]", re.DOTALL), "utf-32-be"),
    (re.compile(rb"[^\0]\0[^\0]\0", re.DOTALL), "utf-16-le"),
    (re.compile(rb"\0[^\0]\0[^\0]", re.DOTALL), "utf-16-be"),
)
_WORD = re.compile(rb"[^\s,;\"|]*")
_WORD_END = re.compile(rb"[^\s,;\"|]*\Z")
# Two bytes in a row are rather one character of an Asian encoding; bytes below "À" are letters of
# Mac Roman rather than of Windows-1252.
_OTHER_ENCODING = re.compile(rb"[\x80-\xff]{2}|[\x80-\xbf]")
_MARKUP = re.compile(r"\s*<(!doctype|html|\?xml|rss|feed|products)\b", re.IGNORECASE)


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn an error of the file system into a ``CatalogueError`` that names a path.

    Raises:
        CatalogueError: if there was one.
    """
    try:
        yield
    except OSError as error:
        raise CatalogueError(f"Cannot read {path}: {error.strerror}.") from error


@contextmanager
def open_text(file: Path) -> Iterator[TextIO]:
    """Open a text file; an error while it is read becomes a ``CatalogueError`` that names it.

    Args:
        file: UTF-8, UTF-16 or UTF-32, with or without a byte-order mark. Line ends are kept.

    Raises:
        CatalogueError: if the file cannot be read, has another encoding, or is no text.
    """
    encoding = ""
    try:
        with readable(file), file.open("rb") as data:
            head = data.peek(HEAD_BYTES)[:HEAD_BYTES]
            refuse_other_format(file, head)
            encoding = _encoding(head)
            with io.TextIOWrapper(data, encoding=encoding, newline="") as lines:
                yield lines
    except UnicodeError as error:  # its position is that in a buffer, not in the file
        raise CatalogueError(_not_decodable(file, encoding)) from error


def refuse_other_format(file: Path, head: bytes) -> None:
    """Refuse a file of a known format that is none of ours.

    Args:
        file: its name.
        head: its first bytes.

    Raises:
        CatalogueError: saying what the file is, and what to do.
    """
    for start, kind, advice in _FORMATS:
        if head.startswith(start):
            raise CatalogueError(f"{file} is {kind}. {advice}.")
    text = head.decode(_encoding(head), errors="ignore")
    if _MARKUP.match(text):
        raise CatalogueError(
            f"{file} is an HTML page or an XML document. Write the products as CSV, Parquet or "
            "JSON lines."
        )


def head_of(file: Path) -> bytes:
    """The first bytes of a file.

    Raises:
        CatalogueError: if it cannot be read.
    """
    with readable(file), file.open("rb") as data:
        return data.read(HEAD_BYTES)


def _encoding(head: bytes) -> str:
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    for pattern, encoding in _WITHOUT_MARK:
        if pattern.match(head):
            return encoding
    return "utf-8-sig"


def _not_decodable(file: Path, encoding: str) -> str:
    """Say which line is not in the encoding, and which encoding it may have."""
    name = "-".join(encoding.upper().split("-")[:2])
    if not file.is_file():  # a pipe cannot be read again
        return f"{file} is not {name}. Save it as UTF-8."
    data = file.read_bytes()
    try:
        data.decode(encoding)
    except UnicodeDecodeError as error:
        start = error.start
        line = len(re.findall(r"\r\n|\r|\n", data[:start].decode(encoding, errors="ignore"))) + 1
        return f"{file} is not {name} (line {line:,}){_guess(data, start)}. Save it as UTF-8."
    return f"{file} changed while it was read. Start again."


def _guess(data: bytes, position: int) -> str:
    """Name Windows-1252 where the bytes that are not ASCII are single letters of it."""
    word = (_WORD_END.search(data[max(0, position - 20) : position]) or [b""])[0]
    word += (_WORD.match(data[position : position + 20]) or [b""])[0]
    text = word.decode("cp1252", errors="replace")
    if _OTHER_ENCODING.search(word) or not all(c.isascii() or c.isalpha() for c in text):
        return ""
    return f": it looks like Windows-1252, which reads {text!r} there"
