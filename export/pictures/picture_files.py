"""Pictures and pages as files, each complete or not there."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from PIL import Image

from retrieval_server.command_line.output_file import output_file

LONGEST_STEM = 60  # characters, so that a file name has at most 255 bytes


@contextmanager
def page_file(path: Path) -> Iterator[TextIO]:
    """Open an HTML file for writing, as ``output_file`` does.

    Args:
        path: the file; ``-`` is standard output.

    Yields:
        The page, as text; a character that UTF-8 cannot express becomes ``?``.

    Raises:
        OutputError: if it cannot be written.
    """
    with output_file(path) as file:
        # A file name that is not UTF-8 arrives as half surrogate pairs.
        page = io.TextIOWrapper(file, encoding="utf-8", errors="replace", newline="")
        yield page
        page.detach()


def write_png(folder: Path, number: int, name: str, image: Image.Image) -> Path:
    """Write a PNG, named by a number and by the photo it shows.

    Args:
        folder: made if needed.
        number: position of the photo, from 1.
        name: file name of the photo.
        image: the picture.

    Raises:
        OutputError: if it cannot be written.
    """
    stem = Path(name).stem.encode(errors="replace").decode()
    path = folder / f"{number:04d}-{stem[:LONGEST_STEM]}.png"
    with output_file(path) as file:
        image.save(file, "PNG")
    return path
