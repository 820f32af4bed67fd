"""The reader of Perfect-500K, the data set of the challenge "AI Meets Beauty".

=========================  ========================================================================
file                       content
=========================  ========================================================================
``training_public.csv``    a header; then id and title of each database image
a CSV of any other name    header ``Validation Image ID,Training Image ID``; then a query's id and
                           those of its true matches, as many fields as there are
folders of images          any number and depth; an image is named after its id: ``n0000001.jpg``
=========================  ========================================================================

The files are UTF-8, with or without a byte-order mark. Further columns of ``training_public.csv``
become attributes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from export.dataset.csv_file import Record, csv_rows
from retrieval_server.command_line.image_files import IMAGE_SUFFIXES
from retrieval_server.errors import CatalogueError

TRAINING_FILE = "training_public.csv"
VALIDATION_HEADER = ("Validation Image ID", "Training Image ID")


def training_records(file: Path, required: tuple[str, str, str]) -> Iterator[tuple[str, Record]]:
    """Read the catalogue.

    Args:
        file: ``training_public.csv``; its folder and the folders below it hold the images.
        required: column names for id, image and title in the result. If an id has no image, its
            image is the bare id, the name of a missing file.

    Yields:
        The location, such as ``line 7``, and the row.

    Raises:
        CatalogueError: if the file is malformed, has no header, or an id has several images.
    """
    rows = csv_rows(file)
    _, header = next(rows, ("", []))
    images = ImagesById(file.parent)
    _check_training_header(file, header, required, images)
    for location, fields in rows:
        if len(fields) != len(header):
            raise CatalogueError(
                f"{file}, {location}: the row does not have the header's {len(header)} fields. "
                "Quote titles that hold commas."
            )
        image_id, title, *further = fields
        image = images.find(image_id) or image_id
        values = (image_id, image, title, *further)
        yield location, dict(zip((*required, *header[2:]), values, strict=True))


def validation_queries(file: Path) -> Iterator[tuple[str, Path, list[str]]]:
    """Read the ground truth.

    Args:
        file: the CSV file; its folder and the folders below it hold the images.

    Yields:
        The location; the image of the query, a missing file if it has none; its true matches.

    Raises:
        CatalogueError: if the file is malformed, a query has two rows or several images.
    """
    rows = csv_rows(file)
    next(rows, None)
    images = ImagesById(file.parent)
    locations: dict[str, str] = {}
    for location, fields in rows:
        query, *relevant = (field.strip() for field in fields)
        if not query:
            raise CatalogueError(f"{file}, {location}: the {VALIDATION_HEADER[0]} is empty.")
        if query in locations:
            raise CatalogueError(
                f"{file}, {location}: the query {query!r} is already in {locations[query]}. "
                "Put its ids into one row."
            )
        locations[query] = location
        yield location, file.parent / (images.find(query) or query), [i for i in relevant if i]


def validation_file(folder: Path) -> Path:
    """Find the ground truth of a folder by its header.

    Raises:
        CatalogueError: if there is none, or several.
    """
    found = validation_files(folder)
    if len(found) == 1:
        return found[0]
    wanted = ",".join(VALIDATION_HEADER)
    if found:
        raise CatalogueError(
            f"{folder} has several files with the header {wanted!r}: "
            f"{', '.join(path.name for path in found)}. Name one with --ground-truth."
        )
    others = ", ".join(f"{path.name} {','.join(_header(path))!r}" for path in _csv_files(folder))
    raise CatalogueError(
        f"{folder} has no ground truth: a CSV file with the header {wanted!r}. "
        f"CSV files there, with their headers: {others or 'none'}."
    )


def validation_files(folder: Path) -> list[Path]:
    """The ground truth files of a folder, recognised by their header.

    Raises:
        CatalogueError: if a CSV file there cannot be read.
    """
    return [path for path in _csv_files(folder) if has_validation_header(path)]


def has_validation_header(file: Path) -> bool:
    """Tell whether a CSV file is a ground truth of the challenge.

    Raises:
        CatalogueError: if it cannot be read.
    """
    header = [name.strip().casefold() for name in _header(file)]
    return header[:2] == [name.casefold() for name in VALIDATION_HEADER] and not any(header[2:])


class ImagesById:
    """The images in a folder and below, by id: the name of the file up to its first dot.

    Args:
        root: the folder; hidden folders in it are left out, links are followed.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._paths: dict[str, str] = {}
        self._further: dict[str, str] = {}
        for path in _image_paths(root):
            image_id = path.rpartition("/")[2].split(".")[0]
            if self._paths.setdefault(image_id, path) != path:
                self._further.setdefault(image_id, path)

    def __len__(self) -> int:
        return len(self._paths)

    def find(self, image_id: str) -> str | None:
        """The path of an id's image, relative to the root; None if there is none.

        Raises:
            CatalogueError: if there are several, naming two.
        """
        if image_id in self._further:
            raise CatalogueError(
                f"The id {image_id!r} has several images in {self._root}: "
                f"{self._paths[image_id]} and {self._further[image_id]}. Keep one of them."
            )
        return self._paths.get(image_id)

    def all(self) -> Mapping[str, Path]:
        """Every image by its id, sorted by id.

        Raises:
            CatalogueError: if an id has several.
        """
        return {i: self._root / (self.find(i) or i) for i in sorted(self._paths)}


def _check_training_header(
    file: Path, header: list[str], required: tuple[str, str, str], images: ImagesById
) -> None:
    if len(header) < 2:
        raise CatalogueError(
            f"{file} has the columns {', '.join(header) or 'none'}: it needs a header and two, id "
            "and title."
        )
    if images.find(header[0]) is not None:
        raise CatalogueError(
            f"{file} has no header: its first line is about the image {header[0]!r}. Put a line "
            "such as 'id,title' before it."
        )
    names = (*required, *header[2:])
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise CatalogueError(
            f"{file} has a column {repeated[0]!r} beside id and title. Rename or remove it."
        )


def _csv_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.csv") if path.name != TRAINING_FILE)


def _header(file: Path) -> list[str]:
    _, header = next(csv_rows(file), ("", []))
    return header


def _image_paths(root: Path) -> Iterator[str]:
    """Paths of images relative to root, with ``/``, in a fixed order; visits every folder once."""
    seen = set()
    for folder, inner, names in os.walk(root, followlinks=True):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        if (real := os.path.realpath(folder)) in seen:
            inner.clear()
            continue
        seen.add(real)
        relative = Path(folder).relative_to(root).as_posix()
        prefix = "" if relative == "." else f"{relative}/"
        for name in sorted(names):
            if name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith("."):
                yield prefix + name
