"""The reader of Perfect-500K, the data set of the challenge "AI Meets Beauty".

=========================  ========================================================================
file                       content
=========================  ========================================================================
``training_public.csv``    a header; then id and title of each database image; in some editions, an
                           address stands between the two
a CSV of any other name    header ``Validation Image ID,Training Image ID``; then a query's id and
                           those of its true matches, as many fields as there are
folders of images          any number and depth; an image is named after its id: ``n0000001.jpg``
=========================  ========================================================================

Further columns of ``training_public.csv``
become attributes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path

from export.dataset.csv_file import csv_rows, csv_table
from export.dataset.image_cell import is_address
from export.dataset.table import NeededColumns, Record, Table, column_names, without_padding
from retrieval_server.command_line.image_files import list_images
from retrieval_server.errors import CatalogueError

TRAINING_FILE = "training_public.csv"
VALIDATION_HEADER = NeededColumns.of("Validation Image ID", "Training Image ID")
ROWS_TO_FIND_TITLES = 1_000  # some titles may hold an address, and some addresses be missing


def training_table(file: Path, columns: tuple[str, ...]) -> Table:
    """Read the catalogue.

    Args:
        file: ``training_public.csv``; its folder and the folders below it hold the images.
        columns: names for the columns of ids, images and titles in the result. If an id has no
            image, its image is the bare id, the name of a missing file.

    Returns:
        Its records; notes if the titles are not in the second column, or files are left out of
        the images.

    Raises:
        CatalogueError: if the file has no header, or no titles, or its folder cannot be read. So
            do its records, if a row does not fit the header or an id has several images.
    """
    rows = csv_table(file)
    _, header = next(rows, ("", []))
    images = ImagesById(file.parent)
    _check_training_header(file, header, images)
    first_rows = list(itertools.islice(rows, ROWS_TO_FIND_TITLES))
    title = _title_column(file, header, [fields for _, fields in first_rows])
    further = [index for index in range(1, len(header)) if index != title]
    names = (*columns, *(header[index] for index in further))
    _check_names(file, names)

    def records() -> Iterator[tuple[str, Record]]:
        for location, fields in itertools.chain(first_rows, rows):
            image_id = without_padding(fields[0])
            image = images.find(image_id) or image_id
            values = (image_id, image, fields[title], *(fields[index] for index in further))
            yield location, dict(zip(names, values, strict=True))

    notes = [images.left_out_line] if images.left_out_line else []
    if title != 1:
        notes.append(
            f"{file}: the descriptions are those of the column {header[title]!r}; the second "
            f"column, {header[1]!r}, holds addresses and becomes an attribute"
        )
    return Table(records(), tuple(notes))


def validation_queries(file: Path) -> Iterator[tuple[str, str, Path, list[str]]]:
    """Read the ground truth.

    Args:
        file: the CSV file; its folder and the folders below it hold the images.

    Yields:
        The location; the query's id; its image, a missing file if it has none; its true matches.

    Raises:
        CatalogueError: if the file is malformed, a query has no id or several images.
    """
    rows = csv_rows(file, VALIDATION_HEADER)
    next(rows, None)
    images = ImagesById(file.parent)
    for location, fields in rows:
        query, *relevant = map(without_padding, fields)
        if not query:
            raise CatalogueError(f"{file}, {location}: the {VALIDATION_HEADER.usual[0]} is empty.")
        image = file.parent / (images.find(query) or query)
        yield location, query, image, [i for i in relevant if i]


def validation_file(folder: Path) -> Path:
    """Find the ground truth of a folder by its header.

    Raises:
        CatalogueError: if there is none, or several.
    """
    found = validation_files(folder)
    if len(found) == 1:
        return found[0]
    wanted = ",".join(VALIDATION_HEADER.usual)
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
    first, second, *further = (*column_names(tuple(_header(file)), VALIDATION_HEADER), "", "")
    return (first, second) == VALIDATION_HEADER.usual and not any(further)


class ImagesById:
    """The images in a folder and below, by id: the name of the file up to its first dot.

    Args:
        root: the folder.

    Attributes:
        left_out_line: what was left out, without CSV files; empty if nothing was.

    Raises:
        CatalogueError: if it is no folder, or cannot be read.
    """

    def __init__(self, root: Path) -> None:
        try:
            listing = list_images(root, tables=(".csv",))
        except OSError as error:
            raise CatalogueError(f"Cannot read the folder {root}: {error.strerror}.") from error
        self.left_out_line = listing.left_out_line()
        self._root = root
        self._paths: dict[str, str] = {}
        self._further: dict[str, str] = {}
        for path in listing.images:
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


def _check_training_header(file: Path, header: list[str], images: ImagesById) -> None:
    if len(header) < 2:
        raise CatalogueError(
            f"{file} has the columns {', '.join(map(repr, header)) or 'none'}: it needs a header "
            "and two, id and title."
        )
    if images.find(header[0]) is not None:
        raise CatalogueError(
            f"{file} has no header: its first line is about the image {header[0]!r}. Put a line "
            "such as 'id,title' before it."
        )


def _title_column(file: Path, header: list[str], rows: list[list[str]]) -> int:
    """The first column after the id that does not hold addresses."""
    for index in range(1, len(header)):
        filled = [text for fields in rows if (text := without_padding(fields[index]))]
        if 2 * sum(map(is_address, filled)) <= len(filled) and (filled or index == 1):
            return index
    raise CatalogueError(
        f"{file} has no titles: its column {header[1]!r} holds addresses. Add a column with the "
        "titles."
    )


def _check_names(file: Path, names: tuple[str, ...]) -> None:
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise CatalogueError(
            f"{file} has a column {repeated[0]!r} beside id and title. Rename or remove it."
        )


def _csv_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.csv") if path.name != TRAINING_FILE)


def _header(file: Path) -> list[str]:
    _, header = next(csv_rows(file, VALIDATION_HEADER), ("", []))
    return header
