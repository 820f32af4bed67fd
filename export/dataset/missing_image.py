"""Why an image file was not found: what the catalogue's cell holds instead of its path.

Names are compared with those in the folder without regard to case and Unicode form. A file that is
found in this way is named, not taken: on another machine, it might be another one.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from export.dataset.image_cell import images_in, is_address, is_file_address, json_list
from export.dataset.table import shown

FOLDERS_KEPT = 64  # whose names are kept: many images may be missing in one folder
_CHANGES: tuple[tuple[Callable[[str], str], str], ...] = (
    (lambda path: path.replace("\\", "/"), "its backslashes"),
    (lambda path: path.partition("?")[0], "what follows its '?'"),
    (unquote, "its percent-encoding"),
    (lambda path: path.lstrip("/"), "its leading slash"),
)


class MissingImages:
    """Explains why the images of one catalogue are missing; may be used by several threads.

    Args:
        folder: the folder to which the paths are relative.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names = lru_cache(maxsize=FOLDERS_KEPT)(_names_by_folded_name)

    def explanation(self, image: str) -> str:
        """Say what was recognised in the cell of an image.

        Args:
            image: the cell.

        Returns:
            Sentences; empty if the file exists, or nothing was recognised.
        """
        if os.path.lexists(self._folder / image):
            return ""
        return _other_content(image) or self._similar_file(image)

    def _similar_file(self, image: str) -> str:
        path, differences = _plain_path(image)
        found = self._find(path)
        if found is None:
            return ""
        differences += _differences(path, found)
        return (
            f"There is a file {shown(found)}; the catalogue's {shown(image)} differs in "
            f"{' and '.join(differences)}. Correct the image column."
        )

    def _find(self, path: str) -> str | None:
        """Find the file whose path is the same but for case and Unicode form."""
        found = PurePosixPath()
        for part in PurePosixPath(path).parts:
            if part in {"..", os.sep} or (self._folder / found / part).exists():
                found /= part
                continue
            name = self._names(self._folder / found).get(_folded(part))
            if name is None:
                return None
            found /= name
        return str(found) if (self._folder / found).is_file() else None


def _other_content(image: str) -> str:
    """Say what a cell holds that is not one path; empty if it may be one."""
    if several := images_in(image):
        if len(several) > 1:
            kept = f"keep one, such as {shown(several[0])}"
            problem = f"The cell names {len(several)} images"
        else:
            kept = f"write {shown(several[0])} alone"
            problem = "The cell is a JSON list"
        return (
            f"{problem}. Rename the column to 'images' and write each cell as {json_list(several)},"
            f" or {kept}."
        )
    if is_file_address(image):
        return "It is the address of a file. Write the path of the file, relative to the catalogue."
    if image.lstrip().startswith("<"):
        return "The cell holds markup. Write the path of the image file alone."
    if is_address(image):
        return "It is an address. Download the image, and write the path of its file."
    return ""


def _plain_path(image: str) -> tuple[str, list[str]]:
    """A path without what addresses and other systems add to it, and the names of that."""
    path = image
    differences = []
    for change, name in _CHANGES:
        if (changed := change(path)) != path:
            differences.append(name)
            path = changed
    return str(PurePosixPath(path)), differences


def _differences(path: str, found: str) -> list[str]:
    composed = [unicodedata.normalize("NFC", text) for text in (path, found)]
    differences = []
    if composed[0] != composed[1]:
        differences.append("upper and lower case")
    if composed[0].casefold() == composed[1].casefold() and path.casefold() != found.casefold():
        differences.append("Unicode form (NFC and NFD)")
    return differences


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _names_by_folded_name(folder: Path) -> dict[str, str]:
    try:
        return {_folded(name): name for name in sorted(os.listdir(folder))}  # noqa: PTH208
    except OSError:
        return {}
