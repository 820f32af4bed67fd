"""The mean of a text map inside quadrilaterals: compiled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retrieval_server.compilation import compiled


@compiled
def means_inside(text_map: NDArray[np.uint8], corners: NDArray[np.float32]) -> NDArray[np.float64]:
    """The mean of a map over the pixels of each quadrilateral; 0 where it is outside of the map.

    Its corners are cut to whole pixels, and its edges belong to it, as OpenCV's ``fillPoly`` draws
    them. Sums along the rows are kept, so a quadrilateral costs its height and not its area.

    Args:
        text_map: (H, W).
        corners: (C, 4, 2) corners (x, y) of convex quadrilaterals, in turn.
    """
    height, width = text_map.shape
    sums = np.zeros((height, width + 1), np.int32)
    for row in range(height):
        for column in range(width):
            sums[row, column + 1] = sums[row, column] + text_map[row, column]
    means = np.zeros(len(corners))
    first, last = np.empty(height, np.int64), np.empty(height, np.int64)
    for index in range(len(corners)):
        whole = corners[index].astype(np.int64)
        first[:], last[:] = width, -1
        for corner in range(4):
            _draw(whole[corner - 1], whole[corner], first, last)
        total = pixels = 0
        for row in range(max(0, whole[:, 1].min()), min(height - 1, whole[:, 1].max()) + 1):
            begin, end = max(0, first[row]), min(width, last[row] + 1)
            if begin < end:
                total += sums[row, end] - sums[row, begin]
                pixels += end - begin
        if pixels:
            means[index] = total / pixels
    return means


@compiled
def _draw(
    start: NDArray[np.int64],
    end: NDArray[np.int64],
    first: NDArray[np.int64],
    last: NDArray[np.int64],
) -> None:
    """Widen the stretch of each row by the pixels of a straight line, by Bresenham's algorithm.

    Args:
        start: (x, y) of one end.
        end: (x, y) of the other.
        first: (H,) first column of each row.
        last: (H,) its last column.
    """
    if start[0] > end[0]:
        start, end = end, start
    dx, dy = end - start
    steps, minor = max(dx, abs(dy)), min(dx, abs(dy))
    for step in range(steps + 1):
        # of two pixels at the same distance, the one from which the line comes
        offset = (2 * step * minor + steps - 1) // (2 * steps) if steps else 0
        x, y = (step, offset) if dx >= abs(dy) else (offset, step)
        row, column = start[1] + (y if dy >= 0 else -y), start[0] + x
        if 0 <= row < len(first):
            first[row], last[row] = min(first[row], column), max(last[row], column)
