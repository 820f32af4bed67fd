"""What a cell holds that names images: a list of paths, or something else than one path."""

from __future__ import annotations

import json
import re
from pathlib import PurePosixPath

from export.dataset.cell import CellError, name_text
from export.dataset.table import cut, shown, without_padding
from retrieval_server.command_line.image_files import IMAGE_SUFFIXES

# A scheme has two letters or more: C:/ is a drive.
_ADDRESS = re.compile(r"(?:[a-z][a-z0-9+.-]+:)?//|data:|www\.", re.IGNORECASE)
_FILE_ADDRESS = re.compile(r"file:/", re.IGNORECASE)
_EXAMPLE = '["images/front.jpg", "images/back.jpg"], in double quotes'
_SEPARATORS = (r"\s*[|;]\s*", r"\s*,\s*", r"\s+")


def is_address(text: str) -> bool:
    """Tell whether a text is an address, such as ``https://shop.example/a.jpg``."""
    return _ADDRESS.match(text) is not None


def is_file_address(text: str) -> bool:
    """Tell whether a text is the address of a file on some machine: ``file:///photos/a.jpg``."""
    return _FILE_ADDRESS.match(text) is not None


def images_in(text: str) -> list[str]:
    """The images that a cell names, if it names several; otherwise none.

    Args:
        text: a cell such as ``a.jpg, b.jpg`` or ``["a.jpg", "b.jpg"]``. The separator is a
            vertical bar, a semicolon, a comma or white space.
    """
    if text.startswith("["):
        try:
            listed = json.loads(text)
        except (ValueError, RecursionError):
            return []
        return [entry for entry in listed if isinstance(entry, str)]
    for separator in _SEPARATORS:
        parts = [part for part in re.split(separator, text.strip(" ,;|")) if part]
        if len(parts) > 1 and all(map(_is_image, parts)):
            return parts
    return []


def image_text(value: object) -> str:
    """The text of a cell of the column ``image``, as ``name_text`` has it.

    Raises:
        CellError: if there is none.
    """
    if isinstance(value, list):
        raise CellError("is a list of values. Give one text, or rename the column to 'images'")
    return name_text(value)


def image_list(text: str) -> list[str]:
    """The paths in a cell of the column ``images``.

    Args:
        text: the cell, a JSON list.

    Raises:
        CellError: if it is no JSON list, is empty, or has an entry that is no path.
    """
    text = without_padding(text)
    if not text:
        raise CellError("is empty")
    try:
        listed = json.loads(text)
    except (ValueError, RecursionError):
        listed = None
    if not isinstance(listed, list):
        raise CellError(f"holds {shown(text)}, which is no JSON list. Write {_example(text)}")
    if not listed:
        raise CellError("is an empty list")
    return [_path(number, entry) for number, entry in enumerate(listed, start=1)]


def json_list(paths: list[str]) -> str:
    """A cell of the column ``images``, as a message shows it: with two paths at most, both cut."""
    written = json.dumps([cut(path) for path in paths[:2]], ensure_ascii=False)
    return written if len(paths) <= 2 else f"{written[:-1]}, …]"


def _path(number: int, entry: object) -> str:
    """An entry of a list of images, counted from 1."""
    try:
        path = without_padding(name_text(entry))
    except CellError as error:
        raise CellError(f"is a list whose entry {number} {error}") from error
    if not path:
        raise CellError(f"is a list whose entry {number} is empty. Remove it")
    return path


def _example(text: str) -> str:
    """How to write a cell that is no JSON list."""
    if several := images_in(text):
        return json_list(several)
    return json_list([text]) if _is_image(text) else _EXAMPLE


def _is_image(text: str) -> bool:
    name = text.partition("?")[0]
    return is_address(text) or PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES
