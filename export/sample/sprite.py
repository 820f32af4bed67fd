"""Rendering of package models to premultiplied RGBA sprites in linear light."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.sample.labels import label
from export.sample.materials import Studio, shade
from export.sample.package_model import Model, Part, Print
from export.sample.solids import Frame, Hits, rasterise

FloatArray = NDArray[np.float32]
OVERSAMPLING = 2
MARGIN_PX = 4


@dataclass(frozen=True, eq=False)
class Sprite:
    """A cut-out picture.

    Attributes:
        light: (H, W, 4) float32 premultiplied linear RGBA.
        foot: pixel (x, y) of the middle of the base.
    """

    light: FloatArray
    foot: tuple[float, float]


def render(model: Model, pixels_per_cm: float, pitch: float, studio: Studio) -> Sprite:
    """Render `model` at a scale, seen from `pitch` radians above the horizon."""
    frame = _frame(model, pixels_per_cm, pitch)
    light = np.zeros((frame.height * frame.width, 4), dtype=np.float32)
    for part in model.parts:
        hits = rasterise(part.section, part.shape, frame, part.offset_x)
        if len(hits.rows):
            ink, foil = _ink(part, hits, frame.pixels_per_cm)
            shift = _mirror_shift(hits)
            shading = shade(part.material, hits.normal, shift, pitch, studio, ink, foil=foil)
            pixel = hits.rows * frame.width + hits.columns
            light[pixel] = shading.over(np.take(light, pixel, axis=0))
    reduced = halved(light.reshape(frame.height, frame.width, 4))
    return Sprite(reduced, (frame.origin[0] / OVERSAMPLING, frame.origin[1] / OVERSAMPLING))


def halved(light: FloatArray) -> FloatArray:
    """Average each block of 2 x 2 pixels; undoes `OVERSAMPLING`."""
    rows = light[0::2] + light[1::2]
    return (rows[:, 0::2] + rows[:, 1::2]) * np.float32(0.25)


def _frame(model: Model, pixels_per_cm: float, pitch: float) -> Frame:
    scale = pixels_per_cm * OVERSAMPLING
    margin = MARGIN_PX * OVERSAMPLING
    left, right, top = model.extent()
    deep = max(part.section.half_width * float(part.shape.scale_z.max()) for part in model.parts)
    below = deep * np.sin(pitch) * scale + margin
    above = (top * np.cos(pitch) + deep * np.sin(pitch) + 0.3) * scale + margin
    width = int((right - left) * scale + 2 * margin)
    height = int(below + above)
    width += width % OVERSAMPLING
    height += height % OVERSAMPLING
    return Frame(width, height, scale, (margin - left * scale, above), pitch)


def _mirror_shift(hits: Hits) -> FloatArray:
    low, high = float(hits.y.min()), float(hits.y.max())
    return np.stack([0.22 * hits.across, 0.30 * (hits.y - (low + high) / 2) / (high - low + 1e-3)])


def _ink(part: Part, hits: Hits, pixels_per_cm: float) -> tuple[FloatArray | None, bool]:
    """Print under every hit: (4, N) linear RGB and coverage, and whether it is foil."""
    if not part.prints:
        return None, False
    ink = np.zeros((4, len(hits.rows)), dtype=np.float32)
    for printed in part.prints:
        _sample(printed, hits, pixels_per_cm, ink)
    return ink, part.prints[0].foil


def _sample(printed: Print, hits: Hits, pixels_per_cm: float, ink: FloatArray) -> None:
    left, right, low, high = printed.area
    width = max(16, round((right - left) * pixels_per_cm))
    height = max(16, round((high - low) * pixels_per_cm))
    artwork = np.asarray(label(printed.copy, width, height), dtype=np.float32) / 255
    u = np.floor((hits.u - left) / (right - left) * width).astype(np.intp)
    v = np.floor((high - hits.y) / (high - low) * height).astype(np.intp)
    on = (u >= 0) & (u < width) & (v >= 0) & (v < height) & (hits.normal[2] > 0)
    texels = artwork[v[on], u[on]].T
    ink[:3, on] = texels[:3] ** 2
    ink[3, on] = texels[3]
