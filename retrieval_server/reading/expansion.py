"""Move the sides of rectangles outwards, as the Clipper library does with round corners: compiled.

PP-OCR expands a rectangle to a polygon of whole pixels, its corners rounded by arcs, and takes the
rectangle of least area around that. The polygon's rounding moves the sides by up to a pixel, so it
is made here in the same way.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from retrieval_server.compilation import compiled
from retrieval_server.reading.rectangles import enclose

EXPANSION = 1.6  # of the area, divided by the perimeter: what each side moves outwards
ARC_TOLERANCE = 0.25  # pixels between an arc and its polygon: Clipper's default


@compiled
def expanded_rectangles(rectangles: NDArray[np.float32]) -> NDArray[np.float32]:
    """Expand rectangles.

    Args:
        rectangles: (C, 4, 2) corners, clockwise on the screen; no side is below 3 pixels.

    Returns:
        (C, 4, 2) corners of the larger rectangles.
    """
    expanded = np.empty_like(rectangles)
    for index in range(len(rectangles)):
        points = _rounded_outline(rectangles[index])
        order = np.argsort(points[:, 1])
        columns = points[order, 0]
        enclose(points[order, 1], columns, columns, expanded[index])
    return expanded


@compiled
def _rounded_outline(corners: NDArray[np.float32]) -> NDArray[np.int32]:
    """The corners of the outline around a rectangle that is cut to whole pixels, (K, 2)."""
    distance = _distance(corners)
    # the angle of an arc's step, by which its polygon is within the tolerance
    steps = min(math.pi / math.acos(1 - ARC_TOLERANCE / distance), math.pi * distance)
    step = 2 * math.pi / steps
    most = int(steps) + 8
    points = np.empty((most, 2), np.int32)
    count = 0
    whole = np.trunc(corners.astype(np.float64))
    for corner in range(4):
        x, y = whole[corner]
        before = _outwards(whole[corner - 1], whole[corner])
        after = _outwards(whole[corner], whole[(corner + 1) % 4])
        sine = before[0] * after[1] - before[1] * after[0]
        angle = math.atan2(sine, before[0] * after[0] + before[1] * after[1])
        nx, ny = before
        for _ in range(max(1, int(angle / step + 0.5))):
            points[count] = _nearest(x + nx * distance), _nearest(y + ny * distance)
            nx, ny = (
                nx * math.cos(step) - ny * math.sin(step),
                nx * math.sin(step) + ny * math.cos(step),
            )
            count += 1
        points[count] = _nearest(x + after[0] * distance), _nearest(y + after[1] * distance)
        count += 1
    return points[:count]


@compiled
def _distance(corners: NDArray[np.float32]) -> float:
    """By how much the sides of a rectangle move outwards."""
    area = perimeter = 0.0
    for corner in range(4):
        x, y = float(corners[corner, 0]), float(corners[corner, 1])
        before_x, before_y = float(corners[corner - 1, 0]), float(corners[corner - 1, 1])
        area += (before_x * y - x * before_y) / 2
        perimeter += math.hypot(x - before_x, y - before_y)
    return area * EXPANSION / perimeter


@compiled
def _outwards(start: NDArray[np.float64], end: NDArray[np.float64]) -> tuple[float, float]:
    """The unit vector at a right angle to an edge, away from the rectangle."""
    x, y = end - start
    length = math.hypot(x, y)
    return y / length, -x / length


@compiled
def _nearest(value: float) -> int:
    """The nearest whole number; of two, the one further from 0."""
    return int(value + 0.5) if value >= 0 else int(value - 0.5)
