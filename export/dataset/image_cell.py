"""What a cell of the image column holds where it is not the path of one file."""

from __future__ import annotations

import json
import re
from pathlib import PurePosixPath

from retrieval_server.command_line.image_files import IMAGE_SUFFIXES

# A scheme has two letters or more: C:/ is a drive.
_ADDRESS = re.compile(r"(?:[a-z][a-z0-9+.-]+:)?//|data:|www\.", re.IGNORECASE)
_FILE_ADDRESS = re.compile(r"file:/", re.IGNORECASE)
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


def _is_image(text: str) -> bool:
    name = text.partition("?")[0]
    return is_address(text) or PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES
