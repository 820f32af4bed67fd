"""Renders packaging solids without rays or meshes, as cross-sections swept along a profile.

Every upright package (bottle, jar, cap, tube, carton) is a stack of convex solids. A solid is a
closed cross-section in the (x, z) plane, scaled along a profile of heights y. Under an
orthographic camera pitched down by an angle, each screen column sees the solid as one convex
curve, so visibility is a running maximum along that curve and no depth buffer is needed.

Axes: x right, y up, z towards the camera, all in centimetres. Screen rows grow downwards.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import cos, sin

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
TABLE_SIZE = 2049
CURVE_SAMPLES = 4096
FILLET_STEPS = 14


@dataclass(frozen=True, eq=False)
class Section:
    """Half-curves of a unit cross-section, tabulated over x in [-half_width, half_width].

    Attributes:
        half_width: extent in x after the turn about y, for a profile scale of 1.
        front: (5, 2049) float32 rows z, normal x, normal z, arc length u, x of the near half.
        back: the same for the far half.
    """

    half_width: float
    front: FloatArray
    back: FloatArray


@dataclass(frozen=True, eq=False)
class Profile:
    """(P,) float32 samples of a generatrix from bottom to top: scales in x and z, and height.

    `shear` tilts each level: its height at x is `height + shear * x` (a lipstick's slanted tip).
    """

    scale_x: FloatArray
    scale_z: FloatArray
    height: FloatArray
    shear: FloatArray


@dataclass(frozen=True, eq=False)
class Hits:
    """Visible surface points of one solid, one entry per covered pixel.

    Attributes:
        rows: (N,) pixel rows.
        columns: (N,) pixel columns.
        normal: (3, N) float32 unit normals in camera-aligned world axes.
        u: (N,) float32 arc length from the front centre line, cm.
        y: (N,) float32 height, cm.
        across: (N,) float32 position between the silhouettes, -1 left to 1 right.
    """

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    normal: FloatArray
    u: FloatArray
    y: FloatArray
    across: FloatArray


@dataclass(frozen=True)
class Frame:
    """A pixel grid over the world: `origin` is the pixel (x, y) of the world origin."""

    width: int
    height: int
    pixels_per_cm: float
    origin: tuple[float, float]
    pitch: float


@lru_cache(maxsize=256)
def superellipse(
    radius_x: float, radius_z: float, exponent: float = 2.0, yaw: float = 0.0
) -> Section:
    """Tabulate |x/radius_x|^n + |z/radius_z|^n = 1 turned by `yaw` radians about the y axis."""
    angle = np.linspace(-np.pi, np.pi, CURVE_SAMPLES, endpoint=False)  # 0 faces the camera
    sine, cosine = np.sin(angle), np.cos(angle)
    reach = (np.abs(sine / radius_x) ** exponent + np.abs(cosine / radius_z) ** exponent) ** (
        -1.0 / exponent
    )
    x, z = reach * sine, reach * cosine
    normal_x = np.sign(x) * np.abs(x / radius_x) ** (exponent - 1) / radius_x
    normal_z = np.sign(z) * np.abs(z / radius_z) ** (exponent - 1) / radius_z
    length = np.hypot(normal_x, normal_z)
    arc = np.cumsum(np.hypot(np.diff(x, prepend=x[-1]), np.diff(z, prepend=z[-1])))
    arc -= arc[CURVE_SAMPLES // 2]
    turn_c, turn_s = np.cos(yaw), np.sin(yaw)
    turned = np.stack(
        [
            z * turn_c - x * turn_s,
            (normal_x * turn_c + normal_z * turn_s) / length,
            (normal_z * turn_c - normal_x * turn_s) / length,
            arc,
            x * turn_c + z * turn_s,
        ]
    )
    half_width = float(np.abs(turned[4]).max())
    near = turned[2] >= 0
    return Section(
        half_width, _half(turned[:, near], half_width), _half(turned[:, ~near], half_width)
    )


def _half(points: NDArray[np.float64], half_width: float) -> FloatArray:
    ordered = points[:, np.argsort(points[4], kind="stable")]
    grid = np.linspace(-half_width, half_width, TABLE_SIZE)
    return np.stack([np.interp(grid, ordered[4], row) for row in ordered]).astype(np.float32)


def profile(*corners: tuple[float, float, float], slant: float = 0.0) -> Profile:
    """Polyline of (scale, height, fillet radius) corners, bottom to top, with rounded corners.

    `slant` shears the solid, from nothing at the bottom to fully from the last corner but one on.
    """
    points = np.array([corner[:2] for corner in corners], dtype=np.float64)
    path = [points[0]]
    for before, here, after, radius in zip(
        points[:-2], points[1:-1], points[2:], [c[2] for c in corners[1:-1]], strict=True
    ):
        path.extend(_fillet(before, here, after, radius))
    path.append(points[-1])
    scale, height = np.array(path, dtype=np.float32).T
    rise = np.clip((height - height[0]) / max(float(points[-2, 1] - points[0, 1]), 1e-6), 0, 1)
    return Profile(scale, scale, height, (slant * rise).astype(np.float32))


def _fillet(
    before: NDArray[np.float64],
    here: NDArray[np.float64],
    after: NDArray[np.float64],
    radius: float,
) -> list[NDArray[np.float64]]:
    """Quadratic Bezier samples that replace the corner `here`, to round it."""
    into, out = before - here, after - here
    reach = min(radius, 0.49 * float(np.hypot(*into)), 0.49 * float(np.hypot(*out)))
    if reach <= 1e-4:
        return [here]
    start = here + into / np.hypot(*into) * reach
    end = here + out / np.hypot(*out) * reach
    steps = np.linspace(0.0, 1.0, FILLET_STEPS)
    return [(1 - t) ** 2 * start + 2 * t * (1 - t) * here + t**2 * end for t in steps]


def rasterise(section: Section, shape: Profile, frame: Frame, offset_x: float = 0.0) -> Hits:
    """Find the visible surface point under every pixel centre that the solid covers."""
    half = section.half_width * float(shape.scale_x.max())
    columns, x = _columns(frame, offset_x, half)
    curve = _column_curves(section, shape, frame.pitch, x)  # (2P, columns)
    top, bottom = float(curve.max()), float(curve[0].min())
    first = max(0, int(np.floor(frame.origin[1] - top * frame.pixels_per_cm)) - 1)
    last = min(frame.height, int(np.ceil(frame.origin[1] - bottom * frame.pixels_per_cm)) + 1)
    rows = np.arange(first, max(first, last))
    screen_y = (frame.origin[1] - rows - 0.5) / frame.pixels_per_cm
    steps = np.arange(len(curve), dtype=np.float64)
    path = np.full((len(columns), len(rows)), -1.0, dtype=np.float32)
    for index, column in enumerate(curve.T):
        path[index] = np.interp(screen_y, column, steps, left=-1.0, right=-1.0)
    at_column, at_row = np.nonzero(path >= 0)
    surface = _surface(section, shape, path[at_column, at_row], x[at_column])
    return Hits(rows[at_row], columns[at_column], *surface)


def _columns(frame: Frame, offset_x: float, half: float) -> tuple[NDArray[np.intp], FloatArray]:
    centre = frame.origin[0] + offset_x * frame.pixels_per_cm
    first = max(0, int(np.floor(centre - half * frame.pixels_per_cm)))
    last = min(frame.width, int(np.ceil(centre + half * frame.pixels_per_cm)))
    columns = np.arange(first, max(first, last))
    x = ((columns + 0.5 - centre) / frame.pixels_per_cm).astype(np.float32)
    inside = np.abs(x) < half
    return columns[inside], x[inside]


def _column_curves(
    section: Section, shape: Profile, pitch: float, x: FloatArray
) -> NDArray[np.float64]:
    """Screen heights (2P, C) along each column: up the near side, then down the far side."""
    scale_x = np.maximum(shape.scale_x, np.float32(1e-6))[:, None]
    scale_z = np.maximum(shape.scale_z, np.float32(1e-6))[:, None]
    ratio = x[None, :] / scale_x  # (P, C)
    outside = np.abs(ratio) > section.half_width
    entry = _entries(section, np.clip(ratio, -section.half_width, section.half_width))
    # Outside, the scale at which the silhouette crosses the column takes the sample's place.
    scale_z = scale_z * np.maximum(np.abs(ratio) / section.half_width, 1)
    near, far = section.front[0][entry] * scale_z, section.back[0][entry] * scale_z
    height = shape.height[:, None] + shape.shear[:, None] * x[None, :]
    outside_cm = ((np.abs(ratio) - section.half_width) * scale_x).astype(np.float32)
    height = _ended_at_silhouette(height, outside_cm)
    reached = ~outside
    reached[:-1] |= ~outside[1:]
    reached[1:] |= ~outside[:-1]
    nowhere = np.where(reached, 0.0, -np.inf)
    front = height * cos(pitch) - near * sin(pitch) + nowhere
    back = height * cos(pitch) - far * sin(pitch) + nowhere
    return _visible(front.astype(np.float64), back[::-1].astype(np.float64))


def _visible(front: NDArray[np.float64], back: NDArray[np.float64]) -> NDArray[np.float64]:
    """Running maximum up the near side and down the far side, from the lowest near point on."""
    samples = np.arange(len(front))[:, None]
    finite = np.where(np.isfinite(front), front, np.inf)
    lowest = finite.min(axis=0)
    front = np.where(samples < finite.argmin(axis=0), lowest, np.maximum(front, lowest))
    return np.maximum.accumulate(np.concatenate([front, back]), axis=0)


def _ended_at_silhouette(height: FloatArray, outside: FloatArray) -> FloatArray:
    """Move samples just outside a column to the height where the silhouette crosses it.

    Without this correction, the outline of rounded shoulders would have steps.

    Args:
        height: (P, C) heights of the profile samples.
        outside: (P, C) cm by which the column misses each sample; negative inside.
    """
    ended = height.copy()
    for outer, inner in ((slice(None, -1), slice(1, None)), (slice(1, None), slice(None, -1))):
        crossing = (outside[outer] > 0) & (outside[inner] <= 0)
        gap = np.where(crossing, outside[outer] - outside[inner], 1)
        moved = height[outer] + outside[outer] / gap * (height[inner] - height[outer])
        ended[outer] = np.where(crossing, moved, ended[outer])
    return ended


def _entries(section: Section, ratio: FloatArray) -> NDArray[np.intp]:
    scaled = (ratio / section.half_width + 1) * ((TABLE_SIZE - 1) / 2)
    entries: NDArray[np.intp] = np.clip(np.rint(scaled), 0, TABLE_SIZE - 1).astype(np.intp)
    return entries


def _surface(
    section: Section, shape: Profile, path: FloatArray, x: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Normals (3, N), arc length, height and position across for points on the column curves."""
    count = len(shape.height)
    step = np.minimum(path.astype(np.intp), 2 * count - 2)
    weight = path - step.astype(np.float32)
    levels = np.stack([shape.scale_x, shape.scale_z, shape.height, shape.shear])
    levels = np.concatenate([levels, np.gradient(levels[:3], axis=1).astype(np.float32)])
    looped = np.concatenate([levels, levels[:, ::-1]], axis=1)
    start = np.take(looped, step, axis=1)
    start += weight * (np.take(looped, step + 1, axis=1) - start)
    scale_x, scale_z, height, shear, slope_x, slope_z, rise = start
    scale_x = np.maximum(scale_x, 1e-4)
    scale_z = np.maximum(scale_z, 1e-4)
    across = np.clip(x / scale_x / section.half_width, -1, 1)
    entry = _entries(section, across * section.half_width)
    entry += np.where(path < count - 0.5, 0, TABLE_SIZE)
    both = np.concatenate([section.front, section.back], axis=1)
    depth, normal_x, normal_z, arc, section_x = np.take(both, entry, axis=1)
    flat_x, flat_z = normal_x / scale_x, normal_z / scale_z
    tilt = -(flat_x * slope_x * section_x + flat_z * slope_z * depth)
    normal = np.stack([flat_x * rise - shear * tilt, tilt, flat_z * rise])
    normal /= np.sqrt(np.einsum("ij,ij->j", normal, normal)) + np.float32(1e-9)
    return normal, arc * float(shape.scale_x.max()), height + shear * x, across
