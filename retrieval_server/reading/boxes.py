"""The boxes of a text map: a rectangle around each line of text.

The steps, the thresholds and the rounding are PP-OCR's: dilate the pixels that are text, take the
rectangle of least area around each connected component, drop it if the map is too weak inside it,
expand it, because the detector was trained on shrunk lines, and round its corners to whole pixels
of the photo. Holes are no components here; in PP-OCR their outlines count too, and are dropped
because the map is weak inside them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retrieval_server.reading.components import Components, find_components
from retrieval_server.reading.expansion import expanded_rectangles
from retrieval_server.reading.means import means_inside
from retrieval_server.reading.rectangles import minimal_rectangles

TEXT = 77  # of 255: a probability of 0.3, rounded up
MIN_MEAN = 127.5  # of 255, inside a rectangle: a probability of 0.5
MIN_SIDE = 3  # pixels of the map, between the outermost centres
MIN_EXPANDED_SIDE = 5  # pixels of the map
MIN_PHOTO_SIDE = 4  # pixels of the photo
MAX_BOXES = 1_000  # the heaviest components; a map of noise has tens of thousands


def find_boxes(text_map: NDArray[np.uint8], width: int, height: int) -> NDArray[np.int32]:
    """Find the lines of text in a map.

    Args:
        text_map: (H, W), 255 for a pixel that is certainly text.
        width: of the photo, in pixels.
        height: of the photo, in pixels.

    Returns:
        (K, 4, 2) corners (x, y), pixels of the photo: top left, top right, bottom right, bottom
        left. They are convex, and the heaviest comes first, that is, the one with the largest sum
        of the map.
    """
    text_map = np.require(text_map, np.uint8, ["C", "W"])  # what the loops are compiled for
    components = find_components(text_map, TEXT)
    rectangles = minimal_rectangles(*_runs_of(components, _heaviest(components)))
    rectangles = rectangles[_shorter_sides(rectangles) >= MIN_SIDE]
    rectangles = rectangles[means_inside(text_map, rectangles) >= MIN_MEAN]
    rectangles = expanded_rectangles(rectangles)
    rectangles = rectangles[_shorter_sides(rectangles) >= MIN_EXPANDED_SIDE]
    boxes = _ordered(_in_photo(rectangles, text_map.shape, width, height))
    return boxes[(_shorter_sides(boxes) >= MIN_PHOTO_SIDE) & _are_convex(boxes)]


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


def _shorter_sides(corners: NDArray[np.float32] | NDArray[np.int32]) -> NDArray[np.float64]:
    """The shorter side of each rectangle (K, 4, 2)."""
    across, down = corners[:, 1] - corners[:, 0], corners[:, 3] - corners[:, 0]
    sides: NDArray[np.float64] = np.minimum(np.hypot(*across.T), np.hypot(*down.T))
    return sides


def _in_photo(
    rectangles: NDArray[np.float32], map_shape: tuple[int, ...], width: int, height: int
) -> NDArray[np.int32]:
    """Round corners to pixels of the photo, those outside to its edge."""
    size = np.array([width, height], np.float32)
    scaled = rectangles / np.array(map_shape[::-1], np.float32) * size
    return np.clip(np.round(scaled), 0, size - 1).astype(np.int32)


def _ordered(boxes: NDArray[np.int32]) -> NDArray[np.int32]:
    """Put the corners in turn: the two on the left are the first and the last one."""
    by_column = np.take_along_axis(boxes, np.argsort(boxes[..., :1], axis=1, kind="stable"), axis=1)
    pairs = by_column.reshape(-1, 2, 2, 2)  # (K, left and right, upper and lower, x and y)
    pairs = np.take_along_axis(pairs, np.argsort(pairs[..., 1:], axis=2, kind="stable"), axis=2)
    return pairs.reshape(-1, 4, 2)[:, [0, 2, 3, 1]]


def _are_convex(boxes: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Which boxes are convex; the edge of the photo moves corners of tilted ones inwards."""
    sides = np.roll(boxes, -1, axis=1) - boxes
    following = np.roll(sides, -1, axis=1)
    turns = sides[..., 0] * following[..., 1] - sides[..., 1] * following[..., 0]
    are_convex: NDArray[np.bool_] = np.all(turns > 0, axis=1)
    return are_convex
