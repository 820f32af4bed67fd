"""Lines of text as images: cut out of the photo, upright, padded for the models.

A line is padded to the next multiple of 32 pixels of its own width, never to the widest line beside
it. So what is read in a line does not depend on the other lines.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

LINE_HEIGHT = 48  # pixels, PP-OCR's
ORIENTATION_WIDTH = 192  # pixels, likewise
MIN_WIDTH = 96  # pixels of a padded line; PP-OCR's 320 costs more and reads no better
WIDTH_STEP = 32  # pixels
GREY = 127  # of the padding: 0 after the normalisation
UPRIGHT_RATIO = 1.5  # a box that is so much higher than wide holds text that runs down or up

MAX_FACTOR = 4  # beyond, letters are so large that pixels can be left out
MIN_SIDE = 3  # pixels of the photo; nobody can read text that is so low

MAX_LINES = 50
MAX_LINE_WIDTH = 3_200  # pixels; a longer line is squeezed
MAX_TOTAL_WIDTH = 24_000  # pixels of all lines of a photo, padded


@dataclass(frozen=True)
class Line:
    """One line of text.

    Attributes:
        image: (48, W, 3) uint8 RGB, W up to ``MAX_LINE_WIDTH``.
        corners: (4, 2) of its box, clockwise from the top left of the text, in the photo's pixels.
    """

    image: NDArray[np.uint8]
    corners: NDArray[np.float64]

    @property
    def padded_width(self) -> int:
        """The width at which the line is recognised."""
        return padded_width(self.image.shape[1])

    def for_recognition(self) -> NDArray[np.uint8]:
        """The line, padded on the right: (48, ``padded_width``, 3)."""
        return _padded(self.image, self.padded_width)

    def for_orientation(self) -> NDArray[np.uint8]:
        """The line, padded or squeezed: (48, 192, 3)."""
        image = self.image
        if image.shape[1] > ORIENTATION_WIDTH:
            size = (ORIENTATION_WIDTH, LINE_HEIGHT)
            image = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))
        return _padded(image, ORIENTATION_WIDTH)

    def turned(self) -> Line:
        """The line, turned by 180 degrees."""
        return Line(self.image[::-1, ::-1], np.roll(self.corners, 2, axis=0))


def padded_width(width: int) -> int:
    """The width to which a line of this width is padded, in pixels."""
    return max(MIN_WIDTH, math.ceil(width / WIDTH_STEP) * WIDTH_STEP)


def cut_lines(pixels: NDArray[np.uint8], boxes: NDArray[np.float64]) -> list[Line]:
    """Cut the first lines out of a photo: at most ``MAX_LINES`` and ``MAX_TOTAL_WIDTH`` pixels.

    Args:
        pixels: (H, W, 3) uint8 RGB.
        boxes: (K, 4, 2) corners in its pixels, the most important box first.

    Returns:
        The lines, in the order of their boxes.
    """
    height, width, _ = pixels.shape
    photo = Image.fromarray(pixels)
    lines: list[Line] = []
    total = 0
    for box in boxes[:MAX_LINES]:
        corners = _reading_direction(np.clip(box, 0, (width, height)))
        if min(_sides(corners)) < MIN_SIDE:
            continue
        line_width = _line_width(corners)
        total += padded_width(line_width)
        if total > MAX_TOTAL_WIDTH:
            break
        lines.append(Line(_cut(photo, corners, line_width), corners))
    return lines


def by_padded_width(lines: Sequence[Line]) -> list[list[int]]:
    """Group the positions of lines that can be recognised in one batch."""
    groups: dict[int, list[int]] = {}
    for position, line in enumerate(lines):
        groups.setdefault(line.padded_width, []).append(position)
    return list(groups.values())


def _reading_direction(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn a box that is much higher than wide by 90 degrees, counter-clockwise."""
    across, down = _sides(corners)
    return np.roll(corners, -1, axis=0) if down >= UPRIGHT_RATIO * across else corners


def _sides(corners: NDArray[np.float64]) -> tuple[float, float]:
    """Length of the upper and of the left side."""
    across, down = corners[1] - corners[0], corners[3] - corners[0]
    return math.hypot(*across), math.hypot(*down)


def _line_width(corners: NDArray[np.float64]) -> int:
    across, down = _sides(corners)
    return max(1, min(MAX_LINE_WIDTH, math.ceil(LINE_HEIGHT * across / down)))


def _cut(photo: Image.Image, corners: NDArray[np.float64], width: int) -> NDArray[np.uint8]:
    """Map a quadrilateral to an image (48, ``width``, 3).

    A line that is at least two times 48 pixels high is cut at a multiple of the size and reduced,
    so that up to ``MAX_FACTOR`` times 48 no pixel of it is left out.
    """
    factor = min(MAX_FACTOR, max(1, int(_sides(corners)[1] / LINE_HEIGHT)))
    size = (width * factor, LINE_HEIGHT * factor)
    cut = photo.transform(
        size, Image.Transform.PERSPECTIVE, _perspective(size, corners), Image.Resampling.BILINEAR
    )
    return np.asarray(cut.reduce(factor) if factor > 1 else cut)


def _perspective(size: tuple[int, int], corners: NDArray[np.float64]) -> Sequence[float]:
    """The coefficients of Pillow's transform from an upright rectangle to a quadrilateral.

    ``(a, ..., h)`` maps (u, v) to ((a u + b v + c) / (g u + h v + 1), (d u + e v + f) / (g u + h v
    + 1)); each corner gives two equations.
    """
    width, height = size
    equations = []
    for (u, v), (x, y) in zip(
        ((0, 0), (width, 0), (width, height), (0, height)), corners, strict=True
    ):
        equations.append((u, v, 1, 0, 0, 0, -u * x, -v * x))
        equations.append((0, 0, 0, u, v, 1, -u * y, -v * y))
    coefficients: list[float] = np.linalg.solve(equations, corners.ravel()).tolist()
    return coefficients


def _padded(image: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    padding = ((0, 0), (0, width - image.shape[1]), (0, 0))
    return np.pad(image, padding, constant_values=GREY)
