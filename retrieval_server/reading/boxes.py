"""The boxes of a text map: a rectangle around each line of text.

The steps and the thresholds are PP-OCR's: dilate the pixels that are text, take the rectangle of
least area around each connected component, drop it if the map is too weak inside it, and expand it,
because the detector was trained on shrunk lines. Holes are no components here; in PP-OCR their
outlines count too, and are dropped because the map is weak inside them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retrieval_server.reading.components import Components, find_components
from retrieval_server.reading.rectangles import (
    AXIS_X,
    AXIS_Y,
    CENTRE_X,
    CENTRE_Y,
    HEIGHT,
    ROUNDING,
    WIDTH,
    means_inside,
    minimal_rectangles,
    rectangles_around,
)

TEXT = 77  # of 255: a probability of 0.3, rounded up
MIN_MEAN = 127.5  # of 255, inside a rectangle: a probability of 0.5
MIN_SIDE = 3  # pixels between the outermost centres
EXPANSION = 1.6  # of the area, divided by the perimeter: what each side moves outwards
MIN_EXPANDED_SIDE = 5  # pixels
MAX_BOXES = 1_000  # the heaviest components; a map of noise has tens of thousands


def find_boxes(text_map: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Find the lines of text in a map.

    Args:
        text_map: (H, W), 255 for a pixel that is certainly text.

    Returns:
        (K, 4, 2) corners (x, y) in the map's pixels: top left, top right, bottom right, bottom
        left. The heaviest box comes first, that is, the one with the largest sum of the map.
        Corners may be outside of the map.
    """
    text_map = np.require(text_map, np.uint8, ["C", "W"])  # what the loops are compiled for
    components = find_components(text_map, TEXT)
    chosen = _heaviest(components)
    rectangles = minimal_rectangles(*_runs_of(components, chosen))
    is_wide = np.minimum(rectangles[:, WIDTH], rectangles[:, HEIGHT]) >= MIN_SIDE
    rectangles = rectangles[is_wide]
    rectangles = rectangles[means_inside(text_map, rectangles) >= MIN_MEAN]
    rectangles = _expanded(rectangles)
    sides = np.minimum(rectangles[:, WIDTH], rectangles[:, HEIGHT])
    return _corners(rectangles[sides >= MIN_EXPANDED_SIDE])


def _heaviest(components: Components) -> NDArray[np.intp]:
    """Up to ``MAX_BOXES`` components that may hold a line, the heaviest first; ties by position."""
    left, top, right, bottom = components.extents.T
    large = np.flatnonzero(np.minimum(right - left, bottom - top) >= MIN_SIDE)
    order = np.argsort(-components.masses[large], kind="stable")
    return large[order[:MAX_BOXES]]


def _runs_of(
    components: Components, chosen: NDArray[np.intp]
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]]:
    """The runs of chosen components, and where those of each begin; see ``minimal_rectangles``."""
    position = np.full(len(components.masses), len(chosen))
    position[chosen] = np.arange(len(chosen))
    positions = position[components.labels]
    runs = np.argsort(positions, kind="stable")
    offsets = np.searchsorted(positions[runs], np.arange(len(chosen) + 1))
    runs = runs[: offsets[-1]]
    return components.rows[runs], components.firsts[runs], components.lasts[runs], offsets


def _expanded(rectangles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Move the sides of rectangles outwards; their corners are cut to whole pixels first.

    PP-OCR expands polygons of whole pixels. With the same ones, boxes agree within a pixel.
    """
    width, height = rectangles[:, WIDTH], rectangles[:, HEIGHT]
    distance = EXPANSION * width * height / (2 * (width + height))
    whole = np.trunc(_corners(rectangles) + ROUNDING).astype(np.int64)
    expanded: NDArray[np.float64] = rectangles_around(whole)
    expanded[:, [WIDTH, HEIGHT]] += 2 * distance[:, None]
    return expanded


def _corners(rectangles: NDArray[np.float64]) -> NDArray[np.float64]:
    """The corners of rectangles (K, 6) as (K, 4, 2): top left, and on clockwise."""
    centre = rectangles[:, [CENTRE_X, CENTRE_Y]]
    axis_x, axis_y = rectangles[:, AXIS_X], rectangles[:, AXIS_Y]
    across = rectangles[:, WIDTH, None] / 2 * np.stack([axis_x, axis_y], axis=1)
    down = rectangles[:, HEIGHT, None] / 2 * np.stack([-axis_y, axis_x], axis=1)
    left, right = centre - across, centre + across
    return np.stack([left - down, right - down, right + down, left + down], axis=1)
