"""Compositing of sprites on backgrounds, with shadows and reflections.

Canvases are (H, W, 3) float32 linear RGB and are changed in place.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from export.sample.sprite import Sprite
from export.sample.surfaces import resized

FloatArray = NDArray[np.float32]
Point = tuple[float, float]


def paste(canvas: FloatArray, sprite: Sprite, at: Point) -> None:
    """Composite a sprite with its foot at pixel `at`; parts outside the canvas are cut off."""
    target, source = _overlap(canvas, sprite.light.shape, _corner(sprite, at))
    light = sprite.light[source]
    canvas[target] = light[..., :3] + canvas[target] * (1 - np.clip(light[..., 3:], 0, 1))


def _corner(sprite: Sprite, at: Point) -> tuple[int, int]:
    return round(at[1] - sprite.foot[1]), round(at[0] - sprite.foot[0])


def _overlap(
    canvas: FloatArray, shape: tuple[int, ...], corner: tuple[int, int]
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Matching slices of the canvas and of a picture whose corner is at `corner` (row, column)."""
    spans = []
    for start, length, limit in zip(corner, shape[:2], canvas.shape[:2], strict=True):
        low, high = min(limit, max(0, start)), max(0, min(limit, start + length))
        spans.append((slice(low, max(low, high)), slice(low - start, max(low, high) - start)))
    return (spans[0][0], spans[1][0]), (spans[0][1], spans[1][1])


def _darken(canvas: FloatArray, mask: FloatArray, corner: tuple[int, int], level: float) -> None:
    target, source = _overlap(canvas, mask.shape, corner)
    canvas[target] *= 1 - level * mask[source][..., None]


def contact_shadow(canvas: FloatArray, at: Point, radii: Point, level: float) -> None:
    """Occlusion under a standing object: an ellipse, dark at the rim and quickly fading."""
    reach = 1.9
    half_x, half_y = int(radii[0] * reach) + 2, int(max(radii[1], 2.5) * reach * 1.6) + 2
    y, x = np.mgrid[-half_y : half_y + 1, -half_x : half_x + 1].astype(np.float32)
    distance = np.hypot(x / radii[0], y / max(radii[1] * 1.35, 3.5))
    mask = np.clip(1 - (distance - 0.72) / (reach - 0.8), 0, 1) ** 2.6
    _darken(canvas, mask, (round(at[1]) - half_y, round(at[0]) - half_x), level)


def blurred(mask: FloatArray, radius: float) -> FloatArray:
    """Gaussian blur of a mask (H, W) in [0, 1]."""
    picture = Image.fromarray(np.rint(np.clip(mask, 0, 1) * 255).astype(np.uint8))
    soft = picture.filter(ImageFilter.GaussianBlur(radius))
    return np.asarray(soft, dtype=np.float32) / np.float32(255)


def cast_shadow(
    canvas: FloatArray, sprite: Sprite, at: Point, lean: float, squash: float, level: float
) -> None:
    """Shadow on the ground behind a standing object.

    Args:
        canvas: canvas to change in place.
        sprite: object that casts the shadow.
        at: pixel of the sprite's foot.
        lean: sideways length of the shadow per unit of object height.
        squash: length of the shadow on screen per unit of object height.
        level: darkness, 0 to 1.
    """
    alpha = np.clip(sprite.light[..., 3], 0, 1)
    height, width = alpha.shape
    pad = 24
    out_height = int(height * squash) + 2 * pad
    run = int(abs(lean) * height)
    foot_x, foot_y = sprite.foot
    ground_y = out_height - pad
    shift = pad + (run if lean < 0 else 0)
    # Output pixel (x, y) looks up the sprite at the height its distance from the foot stands for.
    up = 1 / squash
    matrix = (1.0, lean * up, -shift - lean * up * ground_y, 0.0, up, foot_y - up * ground_y)
    picture = Image.fromarray(np.rint(alpha * 255).astype(np.uint8))
    size = (width + run + 2 * pad, out_height)
    thrown = picture.transform(size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    sharp = np.asarray(thrown, dtype=np.float32) / np.float32(255)
    soft = blurred(sharp, 3 + 0.012 * height)
    softer = blurred(sharp, 8 + 0.035 * height)
    away = np.clip((ground_y - np.arange(out_height)) / (height * squash), 0, 1)[:, None]
    mask = (soft * (1 - away) + softer * away) * (1 - 0.55 * away)
    corner = (round(at[1]) - ground_y, round(at[0] - foot_x) - shift)
    _darken(canvas, mask.astype(np.float32), corner, level)


def drop_shadow(
    canvas: FloatArray, sprite: Sprite, at: Point, offset: Point, softness: float, level: float
) -> None:
    """Shadow of an object that lies on the surface, seen from above."""
    pad = int(3 * softness) + 2
    alpha = np.pad(np.clip(sprite.light[..., 3], 0, 1), pad)
    row, column = _corner(sprite, at)
    near, far = blurred(alpha, softness * 0.35), blurred(alpha, softness)
    _darken(canvas, near, (row - pad + 1, column - pad), level * 0.7)
    corner = (row - pad + round(offset[1]), column - pad + round(offset[0]))
    _darken(canvas, far, corner, level * 0.7)


def reflection(canvas: FloatArray, sprite: Sprite, at: Point, level: float) -> None:
    """Mirror image below the foot on a glossy floor, fading with the distance."""
    base = min(sprite.light.shape[0], round(sprite.foot[1]) + 3)
    flipped = sprite.light[:base][::-1].copy()
    fade = level * np.clip(1 - np.arange(base) / (0.34 * base), 0, 1) ** 1.6
    flipped *= fade[:, None, None].astype(np.float32)
    paste(canvas, Sprite(flipped, (sprite.foot[0], 0.0)), (at[0], at[1] + 2))


def rotated(sprite: Sprite, degrees: float) -> Sprite:
    """Rotate a sprite counter-clockwise; its foot becomes the middle of the picture."""
    layers = [
        np.asarray(
            Image.fromarray(np.ascontiguousarray(sprite.light[..., channel])).rotate(
                degrees, Image.Resampling.BILINEAR, expand=True
            )
        )
        for channel in range(4)
    ]
    light = np.stack(layers, axis=-1)
    return Sprite(light, (light.shape[1] / 2, light.shape[0] / 2))


def magnified(sprite: Sprite, factor: float) -> Sprite:
    """Enlarge a sprite with bicubic filtering; a coarse sprite then looks out of focus."""
    shape = (int(sprite.light.shape[0] * factor), int(sprite.light.shape[1] * factor))
    soft = sprite.light.copy()
    for axis in (0, 1):  # a small tent filter: coarse text would show its pixels
        soft = soft * 0.5 + (np.roll(soft, 1, axis) + np.roll(soft, -1, axis)) * 0.25
    layers = [resized(np.ascontiguousarray(soft[..., channel]), shape) for channel in range(4)]
    light = np.clip(np.stack(layers, axis=-1), 0, None)
    return Sprite(light, (sprite.foot[0] * factor, sprite.foot[1] * factor))


def perspective_floor(texture: FloatArray, shape: tuple[int, int], horizon: float) -> FloatArray:
    """Lay a texture (T, T, 3) on the ground below row `horizon` of an (H, W) picture."""
    height, width = shape
    rows = np.arange(height, dtype=np.float32)
    depth = np.where(rows > horizon, 1 / np.maximum(rows - horizon * 0.45, 1), 0)
    depth = depth / depth[-1]
    extent = texture.shape[0]
    v = _mirrored(depth * 0.62 * extent, extent)
    across = (np.arange(width) - width / 2) / width
    u = _mirrored(extent / 2 + across[None] * depth[:, None] * extent * 0.8, extent)
    floor: FloatArray = texture[np.broadcast_to(v[:, None], u.shape), u]
    return floor


def _mirrored(position: NDArray[np.float64], extent: int) -> NDArray[np.intp]:
    """Texture index with every second repetition mirrored, so that no seam is visible."""
    folded = np.abs((position + extent) % (2 * extent) - extent)
    return np.minimum(folded, extent - 1).astype(np.intp)
