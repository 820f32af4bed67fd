"""The file of the words that were read on the images of a shard.

It has one line for each image: the SHA-256 of the image file in hexadecimal, a space, and the entry
of ``retrieval_server.text.read_text``. A run appends a line as soon as an image is read, so a kill
loses nothing but the line that it cuts off. A finished shard has the lines in the order in which
its products have the images.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from retrieval_server.text.read_text import decode_read

READER_DIGITS = 12  # of the reader's digest, in the name of the file


def words_file(reader: str) -> str:
    """The name of the file of a reader."""
    return f"words-{reader[:READER_DIGITS]}.txt"


def words_line(digest: bytes, entry: str) -> str:
    """The line of an image.

    Args:
        digest: SHA-256 of the image file.
        entry: what was read.
    """
    return f"{digest.hex()} {entry}\n"


def read_entries(path: Path) -> dict[bytes, str]:
    """The entries by digest; lines that are not whole are left out, and so is a missing file."""
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return {}
    entries = {}
    for line in lines[:-1]:  # what follows the last \n was cut off
        try:
            digest, _, entry = line.decode().partition(" ")
            decode_read(entry)
            entries[bytes.fromhex(digest)] = entry
        except (ValueError, TypeError):
            continue
    return entries


def write_entries(path: Path, entries: Mapping[bytes, str]) -> None:
    """Write the file under another name, then rename it; overwrites."""
    scratch = path.with_suffix(".partial")
    with scratch.open("w", encoding="utf-8") as file:
        file.writelines(words_line(digest, entry) for digest, entry in entries.items())
    scratch.replace(path)
