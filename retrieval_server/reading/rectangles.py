"""The rectangle of least area around points, by rotating calipers: compiled.

One side of such a rectangle lies on an edge of the points' convex hull. Points are the centres of
pixels, so the pixel in row y and column x is the point (x, y).

Several rectangles can have the same area. OpenCV's ``minAreaRect`` decides by the rounding errors
of single precision, and the one that it takes is the one that PP-OCR's thresholds were set with.
So widths, heights and areas are computed in single precision here, and edges in the same order.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retrieval_server.compilation import compiled

TOP, RIGHT, BOTTOM, LEFT = range(4)  # sides of a rectangle, in the order in which they turn


@compiled
def minimal_rectangles(
    rows: NDArray[np.int32],
    firsts: NDArray[np.int32],
    lasts: NDArray[np.int32],
    offsets: NDArray[np.int64],
) -> NDArray[np.float32]:
    """Find the rectangle of least area around each component.

    Args:
        rows: (R,) row of each run, component after component, ascending in each.
        firsts: (R,) its first column.
        lasts: (R,) its last column.
        offsets: (C + 1,) where the runs of each component begin. The runs of a component are not
            all on one straight line.

    Returns:
        (C, 4, 2) corners (x, y), clockwise on the screen.
    """
    rectangles = np.empty((offsets.size - 1, 4, 2), np.float32)
    for component in range(offsets.size - 1):
        begin, end = offsets[component], offsets[component + 1]
        enclose(rows[begin:end], firsts[begin:end], lasts[begin:end], rectangles[component])
    return rectangles


@compiled
def enclose(
    rows: NDArray[np.int32],
    firsts: NDArray[np.int32],
    lasts: NDArray[np.int32],
    corners: NDArray[np.float32],
) -> None:
    """Write the corners of the rectangle of least area around runs of pixels.

    The rectangle turns around the hull. In each step it lies on the edge that needs the least turn.
    Of equal areas the last one is taken.

    Args:
        rows: (R,) row of each run, ascending.
        firsts: (R,) its first column.
        lasts: (R,) its last column.
        corners: (4, 2), is written to.
    """
    hull = _hull(rows, firsts, lasts)
    edges = _edges(hull)
    touched = _extremes(hull)
    least = np.float32(np.inf)
    for _ in range(len(hull)):
        side = _least_turn(edges, touched)
        x, y = edges[touched[side]]
        scale = np.float32(1 / np.sqrt(float(x * x + y * y)))
        ux, uy = _turned_back(np.float32(x) * scale, np.float32(y) * scale, side)
        touched[side] = (touched[side] + 1) % len(hull)
        left, top = hull[touched[LEFT]], hull[touched[TOP]]
        across, down = hull[touched[RIGHT]] - left, hull[touched[BOTTOM]] - top
        width = np.float32(across[0]) * ux + np.float32(across[1]) * uy
        height = np.float32(down[1]) * ux - np.float32(down[0]) * uy
        if width * height <= least:
            least = width * height
            _place(left, top, (ux, uy), (width, height), corners)


@compiled
def _hull(
    rows: NDArray[np.int32], firsts: NDArray[np.int32], lasts: NDArray[np.int32]
) -> NDArray[np.int64]:
    """The corners of the convex hull, (K, 2), down its right side and up its left one.

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
    # a row of one pixel is the end of both sides
    begin = 1 if left[0, 0] == right[0, 0] else 0
    end = lefts - 1 if left[lefts - 1, 0] == right[rights - 1, 0] else lefts
    hull = np.empty((rights + end - begin, 2), np.int64)
    for corner in range(rights):
        hull[corner] = right[corner]
    for corner in range(end - begin):
        hull[rights + corner] = left[end - 1 - corner]
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
def _edges(hull: NDArray[np.int64]) -> NDArray[np.int64]:
    """The vector from each corner to the next one."""
    edges = np.empty_like(hull)
    for corner in range(len(hull)):
        edges[corner] = hull[(corner + 1) % len(hull)] - hull[corner]
    return edges


@compiled
def _extremes(hull: NDArray[np.int64]) -> NDArray[np.int64]:
    """The corner that each side of an upright rectangle touches; the first of several."""
    touched = np.empty(4, np.int64)
    touched[TOP], touched[BOTTOM] = hull[:, 1].argmin(), hull[:, 1].argmax()
    touched[LEFT], touched[RIGHT] = hull[:, 0].argmin(), hull[:, 0].argmax()
    return touched


@compiled
def _least_turn(edges: NDArray[np.int64], touched: NDArray[np.int64]) -> int:
    """The side that needs the least turn to lie on the next edge; the first of several."""
    least = TOP
    lx, ly = edges[touched[TOP]]
    for side in (RIGHT, BOTTOM, LEFT):
        x, y = edges[touched[side]]
        x, y = _turned_back(x, y, side)
        if x * ly > y * lx:
            least, lx, ly = side, x, y
    return least


@compiled
def _turned_back(x: float, y: float, side: int) -> tuple[float, float]:
    """A vector along a side, as it is along the top: turned by 90 degrees for each side between."""
    if side == TOP:
        return x, y
    if side == RIGHT:
        return y, -x
    if side == BOTTOM:
        return -x, -y
    return -y, x


@compiled
def _place(
    left: NDArray[np.int64],
    top: NDArray[np.int64],
    axis: tuple[np.float32, np.float32],
    size: tuple[np.float32, np.float32],
    corners: NDArray[np.float32],
) -> None:
    """Write the corners of a rectangle, clockwise from the first one along its axis.

    Args:
        left: a point on its left side.
        top: a point on its top.
        axis: unit vector from left to right.
        size: width and height.
        corners: (4, 2), is written to.
    """
    (ux, uy), (width, height), half = axis, size, np.float32(0.5)
    along = ux * np.float32(left[0]) + uy * np.float32(left[1])
    across = ux * np.float32(top[1]) - uy * np.float32(top[0])
    scale = np.float32(1) / (ux * ux + uy * uy)  # rounded, the axis is not quite a unit vector
    right = ux * width, uy * width
    down = -uy * height, ux * height
    x = (along * ux - across * uy) * scale + (right[0] + down[0]) * half
    y = (ux * across + uy * along) * scale + (right[1] + down[1]) * half
    right = right[0] * half, right[1] * half
    down = down[0] * half, down[1] * half
    corners[0] = x - right[0] - down[0], y - right[1] - down[1]
    corners[1] = x + right[0] - down[0], y + right[1] - down[1]
    corners[2] = x + right[0] + down[0], y + right[1] + down[1]
    corners[3] = x - right[0] + down[0], y - right[1] + down[1]
