"""The images that the rows of a catalogue name, and their ids: each image is a row of the index.

========================  ==============================  ======================================
columns                   a row of the catalogue is       ids of its images
========================  ==============================  ======================================
``id``, ``image``         one image                       ID
``id``, ``images``        the images of one product       ID, ID#2, ID#3 …
``product``, ``image``    one image of a product          PRODUCT, PRODUCT#2, PRODUCT#3 …, counted
                                                          through the file
``product``, ``images``   some images of a product        likewise
========================  ==============================  ======================================

The column ``product`` says which images show the same product. It may stand beside ``id``; with
``images``, a row without a value there is a product of its own, named by the id.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from export.dataset.cell import CellError
from export.dataset.image_cell import image_list
from export.dataset.table import UniqueNames, shown, without_padding
from retrieval_server.attributes.names import PRODUCT_COLUMN
from retrieval_server.errors import CatalogueError

ID, IMAGE, IMAGES = "id", "image", "images"


class _Layout(NamedTuple):
    """Which columns name the images of a catalogue.

    Attributes:
        name: the column that gives the ids.
        image: the column with the paths.
    """

    name: str
    image: str

    def __str__(self) -> str:
        return f"{self.name!r} and {self.image!r}"


class RowImages(NamedTuple):
    """The images of one row of a catalogue.

    Attributes:
        paths: the path of each, by its id.
        product: the name of the product that they show; empty if the catalogue does not say.
    """

    paths: Mapping[str, str]
    product: str


class ProductImages:
    """Finds the images of each row of one catalogue file, and gives them ids.

    Args:
        file: the catalogue file, named in errors.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._layout: _Layout | None = None
        self._first_location = ""
        self._columns: set[str] = set()  # of the first row
        self._ids = UniqueNames(file, "")
        self._images = UniqueNames(file, "Remove one of the rows, or add a column 'id'.")
        self._counts: Counter[str] = Counter()  # images by product
        self._repeats: list[str] = []

    @property
    def column(self) -> str:
        """The column with the paths of the images."""
        return IMAGE if self._layout is None else self._layout.image

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know about lists of images."""
        if not self._repeats:
            return ()
        return (
            f"{self._file}: {len(self._repeats):,} lists name an image twice, such as "
            f"{self._repeats[0]}; it is taken once",
        )

    def of(self, location: str, texts: Mapping[str, str]) -> RowImages:
        """Find the images of a row.

        Args:
            location: its place in the file, such as ``line 7``.
            texts: its values, by column.

        Raises:
            CatalogueError: if the row has other columns than those before, has no id or no image,
                or an id or an image of a product is already in the file; names the location.
        """
        layout = self._checked_layout(location, texts)
        name = without_padding(texts[layout.name])
        product = without_padding(texts[PRODUCT_COLUMN]) if PRODUCT_COLUMN in texts else ""
        if not name:
            raise self._error(location, f"the {layout.name} is empty")
        if layout.image == IMAGES:
            product = product or name
        paths = self._paths(location, name, texts)
        if layout.name == ID:
            first = 1
        else:
            for path in paths:
                self._check_new(location, name, path)
            first = self._counts[name] + 1
            self._counts[name] += len(paths)
        numbered = enumerate(paths, start=first)
        return RowImages(
            {self._new_id(location, name, number): path for number, path in numbered}, product
        )

    def _checked_layout(self, location: str, texts: Mapping[str, str]) -> _Layout:
        """The layout of a row, which is that of all rows."""
        if self._layout is not None and texts.keys() == self._columns:
            return self._layout
        if IMAGE in texts and IMAGES in texts:
            raise self._error(
                location,
                f"there are both {IMAGE!r} and {IMAGES!r}. Keep {IMAGE!r} for one image in each "
                f"row or {IMAGES!r} for a list, and rename or remove the other",
            )
        layout = _Layout(
            ID if ID in texts else PRODUCT_COLUMN, IMAGES if IMAGES in texts else IMAGE
        )
        if self._layout is None:
            self._layout, self._first_location, self._columns = layout, location, set(texts)
            self._ids = UniqueNames(self._file, _advice(layout, PRODUCT_COLUMN in texts))
        if layout != self._layout:
            raise self._error(
                location,
                f"the row has {layout}, but {self._first_location} has {self._layout}. Use the "
                "same columns in all rows",
            )
        return layout

    def _paths(self, location: str, name: str, texts: Mapping[str, str]) -> list[str]:
        """The paths of a row's images, each once."""
        if self.column == IMAGE:
            path = without_padding(texts[IMAGE])
            if not path:
                raise self._error(location, f"the {IMAGE} is empty")
            return [path]
        try:
            listed = image_list(texts[IMAGES])
        except CellError as error:
            raise self._error(location, f"the column {IMAGES!r} {error}") from error
        paths: dict[str, str] = {}
        repeated = ""
        for path in listed:
            if (key := os.path.normpath(path)) in paths:
                repeated = path
            paths.setdefault(key, path)
        if repeated:
            self._repeats.append(f"{shown(repeated)} of {shown(name)}")
        return list(paths.values())

    def _check_new(self, location: str, product: str, path: str) -> None:
        """Refuse an image that the product already has; no text holds a NUL."""
        image = f"{product}\0{os.path.normpath(path)}"
        if not self._images.is_new(image, location):
            words = f"the image {shown(path)} of the product {shown(product)}"
            raise self._images.repeated(image, location, words)

    def _new_id(self, location: str, name: str, number: int) -> str:
        """The id of an image of a product, counted from 1."""
        image_id = name if number == 1 else f"{name}#{number}"
        if not self._ids.is_new(image_id, location):
            image = f", of image {number} of {shown(name)}," if number > 1 else ""
            raise self._ids.repeated(image_id, location, f"the id {shown(image_id)}{image}")
        return image_id

    def _error(self, location: str, problem: str) -> CatalogueError:
        return CatalogueError(f"{self._file}, {location}: {problem}.")


def _advice(layout: _Layout, has_product: bool) -> str:
    """What to do about an id that is in the file twice."""
    if layout.name == PRODUCT_COLUMN:
        return "Image 2 of a product gets the id PRODUCT#2. Rename a product, or add a column 'id'."
    if layout.image == IMAGES:
        return "Ids must be unique, and image 2 of a row gets the id ID#2."
    if has_product:
        return "Ids must be unique."
    return (
        "Ids must be unique; if the rows are images of one product, rename the column 'id' to "
        f"{PRODUCT_COLUMN!r}."
    )
