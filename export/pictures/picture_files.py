"""Pictures and pages that appear in one step, so no reader sees an incomplete file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from PIL import Image


@contextmanager
def page_file(path: Path) -> Iterator[TextIO]:
    """Write an HTML file under another name; renames it when the block ends without an error.

    Args:
        path: overwritten; its folder is made if needed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}")
    try:
        # A file name that is not UTF-8 arrives as half surrogate pairs.
        with scratch.open("w", encoding="utf-8", errors="replace") as page:
            yield page
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def write_png(folder: Path, number: int, name: str, image: Image.Image) -> Path:
    """Write a PNG, named by a number and by the photo it shows.

    Args:
        folder: made if needed.
        number: position of the photo, from 1.
        name: file name of the photo.
        image: the picture.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stem = Path(name).stem.encode(errors="replace").decode()
    path = folder / f"{number:04d}-{stem}.png"
    scratch = path.with_name(f".{path.name}")
    image.save(scratch, "PNG")
    scratch.replace(path)
    return path
