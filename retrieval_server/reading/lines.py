"""Lines of text as images: cut out of the photo, upright, padded for the models.

A line is padded to a width that depends on its own alone, never to the widest line beside it. So
what is read in a line does not depend on the other lines.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval_server.reading.resampling import Neighbours, blended, cut, neighbours

LINE_HEIGHT = 48  # pixels, PP-OCR's
ORIENTATION_WIDTH = 192  # pixels, likewise
MIN_WIDTH = 320  # pixels of a padded line, likewise; with less padding symbols at the ends differ
WIDTH_STEP = 32  # pixels; PP-OCR pads to the widest line of six
GREY = 127  # of the padding: nearly 0 after the normalisation
UPRIGHT_RATIO = 1.5  # a box that is so much higher than wide holds text that runs down or up
SAME_ROW = 10  # pixels between the first corners of two boxes that are read from left to right

MAX_LINES = 50
MAX_LINE_WIDTH = 3_200  # pixels; a longer line is squeezed
MAX_TOTAL_WIDTH = 24_000  # pixels of all lines of a photo, padded


@dataclass(frozen=True)
class Line:
    """One line of text.

    Attributes:
        image: (48, W, 3) uint8 RGB, W up to ``MAX_LINE_WIDTH``.
        narrow_image: the same, squeezed to a width of at most 192.
        corners: (4, 2) of its box, clockwise from the top left of the text, in the photo's pixels.
    """

    image: NDArray[np.uint8]
    narrow_image: NDArray[np.uint8]
    corners: NDArray[np.int32]

    @property
    def padded_width(self) -> int:
        """The width at which the line is recognised."""
        return padded_width(self.image.shape[1])

    def for_recognition(self) -> NDArray[np.uint8]:
        """The line, padded on the right: (48, ``padded_width``, 3)."""
        return _padded(self.image, self.padded_width)

    def for_orientation(self) -> NDArray[np.uint8]:
        """The line, padded or squeezed: (48, 192, 3)."""
        return _padded(self.narrow_image, ORIENTATION_WIDTH)

    def turned(self) -> Line:
        """The line, turned by 180 degrees."""
        return Line(
            self.image[::-1, ::-1],
            self.narrow_image[::-1, ::-1],
            np.roll(self.corners, 2, axis=0),
        )


def padded_width(width: int) -> int:
    """The width to which a line of this width is padded, in pixels."""
    return max(MIN_WIDTH, math.ceil(width / WIDTH_STEP) * WIDTH_STEP)


def cut_lines(pixels: NDArray[np.uint8], boxes: NDArray[np.int32]) -> list[Line]:
    """Cut the first lines out of a photo: at most ``MAX_LINES`` and ``MAX_TOTAL_WIDTH`` pixels.

    Args:
        pixels: (H, W, 3) uint8 RGB.
        boxes: (K, 4, 2) corners in its pixels, convex; the most important box first.

    Returns:
        The lines, from top to bottom and from left to right.
    """
    pieces: list[_Piece] = []
    total = 0
    for corners in boxes[:MAX_LINES]:
        piece = _Piece(pixels, corners)
        total += padded_width(piece.line_width)
        if total > MAX_TOTAL_WIDTH:
            break
        pieces.append(piece)
    return [pieces[position].line() for position in _reading_order(boxes[: len(pieces)])]


def by_padded_width(lines: Sequence[Line]) -> list[list[int]]:
    """Group the positions of lines that can be recognised in one batch."""
    groups: dict[int, list[int]] = {}
    for position, line in enumerate(lines):
        groups.setdefault(line.padded_width, []).append(position)
    return list(groups.values())


class _Piece:
    """A box of a photo, which is cut out at its own size and turned if its text runs down or up.

    Args:
        pixels: (H, W, 3) uint8 RGB.
        corners: (4, 2) of the box.
    """

    def __init__(self, pixels: NDArray[np.uint8], corners: NDArray[np.int32]) -> None:
        self._pixels = pixels
        sides = np.linalg.norm(corners - np.roll(corners, -1, axis=0), axis=1)
        self._width, self._height = int(max(sides[0], sides[2])), int(max(sides[1], sides[3]))
        self._transform = _perspective(self._width, self._height, corners)
        self._is_turned = self._height / self._width >= UPRIGHT_RATIO
        self._corners = np.roll(corners, -1, axis=0) if self._is_turned else corners
        size = (self._width, self._height)
        self._length, self._thickness = size[::-1] if self._is_turned else size

    @property
    def line_width(self) -> int:
        """The width of the line at the height of the models, in pixels."""
        width = LINE_HEIGHT * (self._length / self._thickness)
        # PP-OCR rounds up, except where that exceeds the least padded width
        whole = min(math.ceil(width), max(MIN_WIDTH, int(width)))
        return min(MAX_LINE_WIDTH, whole)

    def line(self) -> Line:
        """The line at the height of the models."""
        image = self._at_width(self.line_width)
        is_long = self.line_width > ORIENTATION_WIDTH
        narrow_image = self._at_width(ORIENTATION_WIDTH) if is_long else image
        return Line(image, narrow_image, self._corners)

    def _at_width(self, width: int) -> NDArray[np.uint8]:
        """The piece (48, ``width``, 3), of which only what is blended is cut."""
        columns, along = _compact(neighbours(self._length, width))
        rows, across = _compact(neighbours(self._thickness, LINE_HEIGHT))
        if self._is_turned:  # counter-clockwise
            piece = cut(self._pixels, self._transform, self._width - 1 - rows, columns)
            piece = piece.transpose(1, 0, 2)
        else:
            piece = cut(self._pixels, self._transform, columns, rows)
        return blended(piece, along, across)


def _reading_order(boxes: NDArray[np.int32]) -> list[int]:
    """The positions of boxes (K, 4, 2) by their first corners, row after row, as PP-OCR sorts them.

    A box moves before those that it follows by less than ``SAME_ROW`` and that begin behind it.
    """
    order: list[int] = []
    columns, rows = boxes[:, 0].T.tolist()
    for position in sorted(range(len(boxes)), key=lambda box: (rows[box], columns[box])):
        place = len(order)
        while place > 0:
            before = order[place - 1]
            if rows[position] - rows[before] >= SAME_ROW or columns[position] >= columns[before]:
                break
            place -= 1
        order.insert(place, position)
    return order


def _compact(all_pixels: Neighbours) -> tuple[NDArray[np.int64], Neighbours]:
    """The pixels that are blended, and the same neighbours as positions among them."""
    first, second, weights = all_pixels
    needed, places = np.unique(np.stack([first, second]), return_inverse=True)
    first, second = places.reshape(2, -1)
    return needed, Neighbours(first, second, weights)


def _perspective(width: int, height: int, corners: NDArray[np.int32]) -> NDArray[np.float64]:
    """The transform from an upright rectangle to a convex quadrilateral, (3, 3).

    It maps (u, v) to ((a u + b v + c) / (g u + h v + 1), (d u + e v + f) / (g u + h v + 1)); each
    corner gives two equations.
    """
    equations = []
    for (u, v), (x, y) in zip(
        ((0, 0), (width, 0), (width, height), (0, height)), corners.tolist(), strict=True
    ):
        equations.append((u, v, 1, 0, 0, 0, -u * x, -v * x))
        equations.append((0, 0, 0, u, v, 1, -u * y, -v * y))
    coefficients = np.linalg.solve(equations, corners.ravel().astype(np.float64))
    return np.append(coefficients, 1.0).reshape(3, 3)


def _padded(image: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    padding = ((0, 0), (0, width - image.shape[1]), (0, 0))
    return np.pad(image, padding, constant_values=GREY)
