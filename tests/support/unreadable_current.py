"""Ways in which the file `current` of an index cannot be read, or names no version."""

import os
from collections.abc import Callable
from pathlib import Path


def holding(content: bytes) -> Callable[[Path], None]:
    def write(current: Path) -> None:
        current.write_bytes(content)

    return write


UNREADABLE: dict[str, tuple[Callable[[Path], None], str]] = {  # damage, and words of the message
    "no UTF-8": (holding(b"\xff\xfe"), "not text in UTF-8"),
    "UTF-16": (holding("tiny-000000000000".encode("utf-16")), "not text in UTF-8"),
    "empty": (holding(b""), "is empty"),
    "blank": (holding(b" \n"), "is empty"),
    "a path": (holding(b"../tiny-000000000000\n"), "not the name of a version"),
    "an absolute path": (holding(b"/etc"), "not the name of a version"),
    "the folder itself": (holding(b".\n"), "not the name of a version"),
    "hidden": (holding(b".building"), "not the name of a version"),
    "two lines": (holding(b"tiny-0\ntiny-1\n"), "not the name of a version"),
    "a NUL": (holding(b"tiny-\0"), "not the name of a version"),
    "long": (holding(b"x" * 10_000), "not the name of a version"),
    "a missing version": (holding(b"tiny-000000000000"), "there is no .*tiny-000000000000"),
    "a folder": (Path.mkdir, "not a regular file"),
    "a FIFO": (os.mkfifo, "not a regular file"),
    "a loop of links": (lambda current: current.symlink_to(current), "symbolic links"),
}
