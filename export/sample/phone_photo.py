"""Query photos: an item at home, photographed with a phone."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from export.sample.item_sprite import View, extent_cm, generator, item_sprite, lies_flat
from export.sample.items import Item
from export.sample.materials import Studio, encoded
from export.sample.scene import (
    cast_shadow,
    contact_shadow,
    drop_shadow,
    magnified,
    paste,
    perspective_floor,
    rotated,
)
from export.sample.surfaces import TABLES, WALLS, cloud, resized

FloatArray = NDArray[np.float32]
SIZES = ((600, 800), (540, 720), (720, 540), (768, 576), (510, 680))
CASTS = ((1.10, 1.0, 0.80), (1.05, 1.0, 0.90), (0.93, 1.0, 1.08), (1.0, 1.03, 0.92), (1, 1, 1))
# EXIF tag 274 -> rotation of the stored pixels, which a viewer reverses (EXIF 2.3, table 6).
STORED_TURN = {
    6: Image.Transpose.ROTATE_90,
    8: Image.Transpose.ROTATE_270,
    3: Image.Transpose.ROTATE_180,
}


@dataclass(frozen=True)
class PhonePhoto:
    """A photo as stored: a viewer must rotate `picture` as EXIF `orientation` demands."""

    picture: Image.Image
    orientation: int


def phone_photo(item: Item, others: tuple[Item, ...], seed: int) -> PhonePhoto:
    """Photograph an item with some of `others` around it."""
    rng = generator(seed, "query", item.key)
    size = SIZES[int(rng.integers(len(SIZES)))]
    from_above = lies_flat(item) or rng.random() < 0.28
    scene = _from_above if from_above else _on_table
    canvas = scene(item, others, size, rng)
    canvas *= _uneven_light(canvas.shape[:2], rng)
    picture = _warped(Image.fromarray(encoded(canvas)), rng)
    picture = _sensor(picture, rng)
    orientation = int(rng.choice([1, 6, 8, 3], p=[0.82, 0.09, 0.05, 0.04]))
    if orientation in STORED_TURN:
        picture = picture.transpose(STORED_TURN[orientation])
    return PhonePhoto(picture, orientation)


def _room_light(rng: np.random.Generator) -> Studio:
    side = 1 if rng.random() < 0.5 else -1
    return Studio(
        key_azimuth=side * float(rng.uniform(0.6, 1.3)),
        key_width=float(rng.uniform(0.12, 0.5)),
        key_level=float(rng.uniform(1.2, 1.9)),
        fill_azimuth=-side * float(rng.uniform(0.9, 1.5)),
        fill_level=float(rng.uniform(0.15, 0.6)),
        floor_level=float(rng.uniform(0.2, 0.5)),
        ambient_level=float(rng.uniform(0.26, 0.4)),
    )


def _on_table(
    item: Item, others: tuple[Item, ...], size: tuple[int, int], rng: np.random.Generator
) -> FloatArray:
    """The item stands on a table or shelf in front of a wall that is out of focus."""
    width, height = size
    view = View(
        pitch=float(rng.uniform(0.12, 0.38)),
        yaw=float(rng.uniform(-0.45, 0.45)),
        studio=_room_light(rng),
    )
    horizon = height * float(rng.uniform(0.30, 0.52))
    canvas = _room(size, horizon, rng)
    wide, tall = extent_cm(item)
    scale = float(rng.uniform(0.74, 0.95)) * min(0.70 * width / wide, 0.74 * height / tall)
    at = (width * float(rng.uniform(0.40, 0.60)), height * float(rng.uniform(0.85, 0.92)))
    standing = [other for other in others if not lies_flat(other)]
    for other in standing[: int(rng.integers(1, 4))]:
        depth = float(rng.uniform(0.25, 0.75))
        behind = (width * float(rng.uniform(0.02, 0.98)), horizon + (at[1] - horizon) * depth)
        _out_of_focus(canvas, other, behind, scale * (0.45 + 0.5 * depth), view)
    _stand(canvas, item, at, scale, view)
    nearest = standing[-1]
    if rng.random() < 0.35 and nearest.pack.width * scale * 1.35 < 0.32 * width:
        edge = (width * float(rng.choice([-0.02, 1.02])), height * 1.22)
        _out_of_focus(canvas, nearest, edge, scale * 1.35, view, 5.0)
    return canvas


def _room(size: tuple[int, int], horizon: float, rng: np.random.Generator) -> FloatArray:
    """Table top and a wall behind it."""
    width, height = size
    table = TABLES[str(rng.choice(sorted(TABLES)))]((640, 640), rng)
    floor = perspective_floor(table, (height, width), horizon)
    small = (height // 7, width // 7)
    wall = WALLS[str(rng.choice(sorted(WALLS)))](small, rng)
    wall = np.stack([resized(wall[..., c], (height, width)) for c in range(3)], axis=-1)
    rows = np.arange(height, dtype=np.float32)[:, None, None]
    gap = 1 - 0.45 * np.exp(-np.abs(rows - horizon) / (0.03 * height))
    below = np.clip((rows - horizon) / (0.012 * height), 0, 1)
    room: FloatArray = (floor * below + wall * np.float32(0.85) * (1 - below)) * gap
    return room.astype(np.float32)


def _stand(
    canvas: FloatArray, item: Item, at: tuple[float, float], scale: float, view: View
) -> None:
    sprite = item_sprite(item, scale, view)
    half = sprite.light.shape[1] / 2
    lean = -0.8 if view.studio.key_azimuth > 0 else 0.8
    cast_shadow(canvas, sprite, at, lean, 0.25 + view.pitch, 0.42)
    middle = (at[0] + half - sprite.foot[0], at[1])
    contact_shadow(canvas, middle, (half, half * np.sin(view.pitch)), 0.62)
    paste(canvas, sprite, at)


def _out_of_focus(
    canvas: FloatArray,
    item: Item,
    at: tuple[float, float],
    scale: float,
    view: View,
    coarseness: float = 3.5,
) -> None:
    """Another product, blurred by rendering it coarsely and enlarging it."""
    sprite = magnified(item_sprite(item, scale / coarseness, view), coarseness)
    half = sprite.light.shape[1] / 2
    contact_shadow(canvas, at, (half * 0.9, half * np.sin(view.pitch)), 0.45)
    paste(canvas, sprite, at)


def _from_above(
    item: Item, others: tuple[Item, ...], size: tuple[int, int], rng: np.random.Generator
) -> FloatArray:
    """The item lies on a surface; the phone points vertically down."""
    width, height = size
    canvas = TABLES[str(rng.choice(sorted(TABLES)))]((height, width), rng)
    view = View(pitch=0.0, yaw=float(rng.uniform(-0.3, 0.3)), studio=_room_light(rng))
    wide, tall = extent_cm(item)
    scale = float(rng.uniform(0.66, 0.84)) * min(width / wide, height / tall)
    lean = 9 if view.studio.key_azimuth < 0 else -9
    for other in others[: int(rng.integers(1, 4))]:
        softened = magnified(item_sprite(other, scale / 1.6, view), 1.6)
        turned = rotated(softened, float(rng.uniform(-180, 180)))
        side = float(rng.choice([-0.06, 1.06]))
        edge = (width * side, height * float(rng.uniform(0.05, 0.95)))
        drop_shadow(canvas, turned, edge, (lean, 10), 11.0, 0.6)
        paste(canvas, turned, edge)
    sprite = rotated(item_sprite(item, scale, view), float(rng.normal(0, 22)))
    at = (width * float(rng.uniform(0.46, 0.54)), height * float(rng.uniform(0.46, 0.54)))
    drop_shadow(canvas, sprite, at, (lean, 11), 11.0, 0.7)
    paste(canvas, sprite, at)
    return canvas


def _uneven_light(shape: tuple[int, int], rng: np.random.Generator) -> FloatArray:
    """Fall-off across the frame, blotches, vignette, the photographer's shadow, colour cast."""
    height, width = shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    x, y = x / width - 0.5, y / height - 0.5
    angle = float(rng.uniform(0, 2 * np.pi))
    slope = float(rng.uniform(0.15, 0.55))
    light = 0.92 + slope * (x * float(np.cos(angle)) + y * float(np.sin(angle)))
    light -= float(rng.uniform(0.3, 0.7)) * (x * x + y * y)
    blotches = cloud((height // 16 + 2, width // 16 + 2), 14, rng, 2)
    light += 0.06 * resized(blotches, shape)
    if rng.random() < 0.25:
        reach = np.hypot(x - float(rng.uniform(-0.4, 0.4)), (y - 0.75) * 0.9)
        light *= 1 - 0.35 * np.clip((0.62 - reach) / 0.25, 0, 1)
    cast = np.array(CASTS[int(rng.integers(len(CASTS)))], dtype=np.float32)
    exposure = float(rng.uniform(0.90, 1.22))
    lit: FloatArray = (np.maximum(light, 0.1) * exposure)[..., None] * cast
    return lit.astype(np.float32)


def _warped(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Perspective and a small rotation: maps four corners inside the picture to its corners."""
    width, height = picture.size
    inset = rng.uniform(0.0, 0.055, (4, 2)) * (width, height)
    signs = np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]])
    corners = np.array([[0, 0], [0, height], [width, height], [width, 0]]) + signs * inset
    target = np.array([[0, 0], [0, height], [width, height], [width, 0]], dtype=np.float64)
    rows, values = [], []
    for (x, y), (u, v) in zip(target, corners, strict=True):
        rows.append([x, y, 1, 0, 0, 0, -u * x, -u * y])
        rows.append([0, 0, 0, x, y, 1, -v * x, -v * y])
        values += [u, v]
    coefficients = np.linalg.solve(np.array(rows), np.array(values))
    return picture.transform(
        picture.size,
        Image.Transform.PERSPECTIVE,
        [round(float(c), 9) for c in coefficients],
        Image.Resampling.BICUBIC,
    )


def _sensor(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Defocus or shake, then noise that is stronger in the dark."""
    chance = rng.random()
    if chance < 0.6:
        picture = picture.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.3, 1.3))))
    pixels: FloatArray = np.asarray(picture, dtype=np.float32)
    if chance > 0.82:
        step_x, step_y = rng.integers(-2, 3), rng.integers(-1, 2)
        moved = [np.roll(pixels, (k * step_y, k * step_x), (0, 1)) for k in range(-1, 3)]
        pixels = np.mean(moved, axis=0, dtype=np.float32)
    strength = float(rng.uniform(1.5, 4.5))
    grain = rng.standard_normal((*pixels.shape[:2], 1), dtype=np.float32)
    chroma = rng.standard_normal(pixels.shape, dtype=np.float32)
    dark = 1.5 - pixels / 255
    noisy = pixels + strength * dark * (0.8 * grain + 0.5 * chroma)
    return Image.fromarray(np.rint(np.clip(noisy, 0, 255)).astype(np.uint8))
