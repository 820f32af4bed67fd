"""The rectangle of least area around a component, and the mean of the map inside it: compiled.

One side of such a rectangle lies on an edge of the component's convex hull. Points are the centres
of pixels, so the pixel in row y and column x is the point (x, y).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retrieval_server.compilation import compiled

# Columns of a rectangle. The axis (ux, uy) points along its width, and is the one of the two that
# is nearer to horizontal; the height's axis is (-uy, ux).
CENTRE_X, CENTRE_Y, AXIS_X, AXIS_Y, WIDTH, HEIGHT = range(6)
ROUNDING = 1e-9  # pixels; a centre on the edge belongs to the rectangle


@compiled
def minimal_rectangles(
    rows: NDArray[np.int32],
    firsts: NDArray[np.int32],
    lasts: NDArray[np.int32],
    offsets: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Find the rectangle of least area around each component.

    Args:
        rows: (R,) row of each run, component after component, ascending in each.
        firsts: (R,) its first column.
        lasts: (R,) its last column.
        offsets: (C + 1,) where the runs of each component begin.

    Returns:
        (C, 6), see the constants of this module.
    """
    rectangles = np.empty((offsets.size - 1, 6))
    for component in range(offsets.size - 1):
        begin, end = offsets[component], offsets[component + 1]
        hull = _hull(rows[begin:end], firsts[begin:end], lasts[begin:end])
        _enclose(hull, rectangles[component])
    return rectangles


@compiled
def rectangles_around(corners: NDArray[np.int64]) -> NDArray[np.float64]:
    """Find the rectangle of least area around each quadrilateral.

    Args:
        corners: (C, 4, 2) corners (x, y) in turn.

    Returns:
        (C, 6), see the constants of this module.
    """
    rectangles = np.empty((len(corners), 6))
    for index in range(len(corners)):
        _enclose(corners[index], rectangles[index])
    return rectangles


@compiled
def means_inside(
    text_map: NDArray[np.uint8], rectangles: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The mean of a map over the pixels whose centres are in each rectangle; 0 for none.

    Sums along the rows are kept, so a rectangle costs its height and not its area.

    Args:
        text_map: (H, W).
        rectangles: (C, 6).
    """
    height, width = text_map.shape
    sums = np.zeros((height, width + 1), np.int32)
    for row in range(height):
        for column in range(width):
            sums[row, column + 1] = sums[row, column] + text_map[row, column]
    means = np.zeros(len(rectangles))
    for index in range(len(rectangles)):
        rectangle = rectangles[index]
        reach = (
            abs(rectangle[AXIS_Y]) * rectangle[WIDTH] + abs(rectangle[AXIS_X]) * rectangle[HEIGHT]
        ) / 2
        top = max(0, int(np.ceil(rectangle[CENTRE_Y] - reach - ROUNDING)))
        bottom = min(height - 1, int(np.floor(rectangle[CENTRE_Y] + reach + ROUNDING)))
        total = pixels = 0
        for row in range(top, bottom + 1):
            first, last = _span(rectangle, row, width)
            if first <= last:
                total += sums[row, last + 1] - sums[row, first]
                pixels += last + 1 - first
        if pixels:
            means[index] = total / pixels
    return means


@compiled
def _span(rectangle: NDArray[np.float64], row: int, width: int) -> tuple[int, int]:
    """First and last column of a row inside a rectangle; the first is larger if there is none."""
    left, right = 0.0, width - 1.0
    below = row - rectangle[CENTRE_Y]
    ux, uy = rectangle[AXIS_X], rectangle[AXIS_Y]
    for along, across, length in (
        (ux, uy, rectangle[WIDTH]),
        (-uy, ux, rectangle[HEIGHT]),
    ):
        # |along · (x - centre) + across · below| <= length / 2
        reach = length / 2 + ROUNDING
        if abs(along) < ROUNDING:
            if abs(across * below) > reach:
                return 1, 0
            continue
        ends = ((-reach - across * below) / along, (reach - across * below) / along)
        left = max(left, rectangle[CENTRE_X] + min(ends[0], ends[1]))
        right = min(right, rectangle[CENTRE_X] + max(ends[0], ends[1]))
    return int(np.ceil(left - ROUNDING)), int(np.floor(right + ROUNDING))


@compiled
def _hull(
    rows: NDArray[np.int32], firsts: NDArray[np.int32], lasts: NDArray[np.int32]
) -> NDArray[np.int64]:
    """The corners of the convex hull, (K, 2), down its left side and up its right one.

    Only the first and the last column of each row can be corners.
    """
    left = np.empty((rows.size, 2), np.int64)
    right = np.empty((rows.size, 2), np.int64)
    lefts = rights = run = 0
    while run < rows.size:
        row, first, last = rows[run], firsts[run], lasts[run]
        while run < rows.size and rows[run] == row:
            first, last = min(first, firsts[run]), max(last, lasts[run])
            run += 1
        lefts = _add_corner(left, lefts, first, row, 1)
        rights = _add_corner(right, rights, last, row, -1)
    hull = np.empty((lefts + rights, 2), np.int64)
    hull[:lefts] = left[:lefts]
    for corner in range(rights):
        hull[lefts + corner] = right[rights - 1 - corner]
    return hull


@compiled
def _add_corner(chain: NDArray[np.int64], length: int, x: int, y: int, side: int) -> int:
    """Add a point to one side of a hull, and remove those that are no corners any more.

    Args:
        chain: the corners so far, downwards.
        length: number of corners in it.
        x: of the point.
        y: of the point, below the others.
        side: 1 for the left side, -1 for the right one.

    Returns:
        The new number of corners.
    """
    while length > 1:
        ax, ay = chain[length - 2]
        bx, by = chain[length - 1]
        turn = (bx - ax) * (y - ay) - (by - ay) * (x - ax)
        if side * turn < 0:
            break
        length -= 1
    chain[length, 0], chain[length, 1] = x, y
    return length + 1


@compiled
def _enclose(hull: NDArray[np.int64], rectangle: NDArray[np.float64]) -> None:
    """Write the rectangle of least area around a hull; of equal ones, that of the first edge."""
    least = np.inf
    for corner in range(len(hull)):
        following = hull[(corner + 1) % len(hull)]
        dx, dy = following[0] - hull[corner, 0], following[1] - hull[corner, 1]
        norm = np.hypot(dx, dy)
        ux, uy = (dx / norm, dy / norm) if norm > 0 else (1.0, 0.0)
        if abs(ux) < abs(uy):
            ux, uy = uy, -ux
        if ux < 0:
            ux, uy = -ux, -uy
        low_u = low_v = np.inf
        high_u = high_v = -np.inf
        for point in range(len(hull)):
            u = hull[point, 0] * ux + hull[point, 1] * uy
            v = hull[point, 1] * ux - hull[point, 0] * uy
            low_u, high_u = min(low_u, u), max(high_u, u)
            low_v, high_v = min(low_v, v), max(high_v, v)
        width, height = high_u - low_u, high_v - low_v
        if width * height < least:
            least = width * height
            u, v = (low_u + high_u) / 2, (low_v + high_v) / 2
            rectangle[CENTRE_X], rectangle[CENTRE_Y] = u * ux - v * uy, u * uy + v * ux
            rectangle[AXIS_X], rectangle[AXIS_Y] = ux, uy
            rectangle[WIDTH], rectangle[HEIGHT] = width, height
