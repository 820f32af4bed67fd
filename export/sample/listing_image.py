"""Sellers' pictures: the item in a small studio, in one of several styles."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from export.sample.artwork import typeface
from export.sample.item_sprite import (
    View,
    carton_sprite,
    extent_cm,
    generator,
    item_sprite,
    lies_flat,
)
from export.sample.items import Item
from export.sample.materials import Material, Studio, encoded, linear
from export.sample.package_model import Model, Part
from export.sample.scene import (
    cast_shadow,
    contact_shadow,
    drop_shadow,
    paste,
    perspective_floor,
    reflection,
    rotated,
)
from export.sample.solids import profile, superellipse
from export.sample.sprite import Sprite, render
from export.sample.surfaces import TABLES, cloud, plaster, resized

FloatArray = NDArray[np.float32]
SIZES = ((500, 500), (420, 525), (480, 480), (560, 420), (400, 400), (390, 520), (640, 480))
STYLES = ("white", "glossy", "colour", "podium", "table")
STYLE_SHARES = (0.50, 0.12, 0.20, 0.07, 0.11)
PASTELS = ("#ecd9d0", "#d5e0d8", "#dcd6e6", "#f0e3c4", "#cfdde6", "#e9c9c2", "#e3ded5")
SELLERS = ("glowdepot", "beautycorner24", "the vanity shelf", "skinbazaar")
BADGES = ("NEW", "-20%", "VEGAN", "2 + 1")


@dataclass(frozen=True, kw_only=True)
class Style:
    """A seller's choices for one picture."""

    name: str
    size: tuple[int, int]
    fill: float
    with_carton: bool
    tilt: float
    view: View


def listing_image(item: Item, seed: int, number: int) -> Image.Image:
    """Render the picture of listing `number` of an item."""
    rng = generator(seed, "listing", item.key, str(number))
    style = _style(item, rng)
    lying = lies_flat(item) or style.tilt != 0
    canvas = _table_top(style, rng) if lying and style.name == "table" else _backdrop(style, rng)
    if lying:
        _lay(canvas, item, style)
    else:
        _stand(canvas, item, style, rng)
    if style.name in {"table", "colour"}:
        canvas *= _window_light(canvas.shape[:2], rng)[..., None]
    canvas *= rng.uniform(0.96, 1.04, 3).astype(np.float32)
    picture = Image.fromarray(encoded(canvas))
    return _marked(picture, rng)


def _style(item: Item, rng: np.random.Generator) -> Style:
    mirrored = 1 if rng.random() < 0.6 else -1
    studio = Studio(
        key_azimuth=-mirrored * float(rng.uniform(0.75, 1.1)),
        key_width=float(rng.uniform(0.18, 0.4)),
        key_level=float(rng.uniform(1.6, 2.2)),
        fill_azimuth=mirrored * float(rng.uniform(1.0, 1.35)),
        fill_level=float(rng.uniform(0.6, 1.2)),
    )
    turn = 0.5 if item.pack.square > 3 else 0.28
    lying = not lies_flat(item) and rng.random() < 0.08
    return Style(
        name=str(rng.choice(STYLES, p=STYLE_SHARES)),
        size=SIZES[int(rng.integers(len(SIZES)))],
        fill=float(rng.uniform(0.76, 0.96) if rng.random() < 0.9 else rng.uniform(1.05, 1.25)),
        with_carton=bool(rng.random() < 0.24) and not lying,
        tilt=float(rng.uniform(-60, 60)) if lying else _flat_turn(item, rng),
        view=View(
            pitch=float(rng.uniform(0.03, 0.26)) * (not lying),
            yaw=float(rng.uniform(-turn, turn)),
            studio=studio,
        ),
    )


def _flat_turn(item: Item, rng: np.random.Generator) -> float:
    return float(rng.normal(0, 12)) if lies_flat(item) and rng.random() < 0.6 else 0.0


def _backdrop(style: Style, rng: np.random.Generator) -> FloatArray:
    """Background light (H, W, 3)."""
    width, height = style.size
    shape = (height, width)
    if style.name in {"white", "glossy"} and rng.random() < 0.55:
        return np.full((height, width, 3), 1.4, dtype=np.float32)  # blown out to pure white
    if style.name == "table":
        return _table(shape, rng)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    vignette = np.hypot((x / width - 0.5), (y / height - 0.45))[..., None]
    if style.name in {"colour", "podium"}:
        paper = linear(PASTELS[int(rng.integers(len(PASTELS)))])
        bend = np.clip((y / height - 0.58) / 0.14, 0, 1)[..., None]
        light = paper * (0.90 + 0.12 * bend) * (1.08 - 0.35 * vignette)
    else:
        grey = float(rng.uniform(0.86, 1.0))
        light = np.full(3, grey, dtype=np.float32) * (1.08 - 0.28 * vignette)
    return np.asarray(light, dtype=np.float32)


def _table_top(style: Style, rng: np.random.Generator) -> FloatArray:
    """A table, seen from directly above."""
    width, height = style.size
    return TABLES[str(rng.choice(sorted(TABLES)))]((height, width), rng)


def _table(shape: tuple[int, int], rng: np.random.Generator) -> FloatArray:
    """A table in front of a wall that is out of focus."""
    names = sorted(TABLES)
    texture = TABLES[names[int(rng.integers(len(names)))]]((600, 600), rng)
    horizon = shape[0] * float(rng.uniform(0.42, 0.60))
    floor = perspective_floor(texture, shape, horizon)
    wall = plaster(shape, rng)
    spots = np.clip(cloud(shape, shape[0] / 5, rng, 1), 0, 1)[..., None]
    wall = wall * (0.75 + 0.35 * spots)
    rows = np.arange(shape[0])[:, None, None]
    below = np.clip((rows - horizon) / 5, 0, 1)
    return np.asarray(floor * below + wall * (1 - below), dtype=np.float32)


def _window_light(shape: tuple[int, int], rng: np.random.Generator) -> FloatArray:
    """Soft dapples of a window or leaves, about 1 on average."""
    if rng.random() < 0.5:
        return np.ones(shape, dtype=np.float32)
    angle = float(rng.uniform(0.4, 1.0))
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32) / shape[0]
    bars = np.sin((x * np.cos(angle) + y * np.sin(angle)) * float(rng.uniform(9, 14)))
    leaves = cloud((shape[0] // 4, shape[1] // 4), shape[0] / 22, rng, 2)
    shadow = bars + 1.2 * resized(leaves, shape)
    return np.asarray(0.82 + 0.30 / (1 + np.exp(-4 * shadow)), dtype=np.float32)


def _lay(canvas: FloatArray, item: Item, style: Style) -> None:
    """Put a flat item (or a lying bottle) on the surface, seen from above."""
    height, width = canvas.shape[:2]
    wide, tall = extent_cm(item)
    scale = min(style.fill, 0.95) * 0.92 * min(width / wide, height / tall)
    sprite = rotated(item_sprite(item, scale, style.view), style.tilt)
    at = (width / 2, height / 2)
    drop_shadow(canvas, sprite, at, (0.012 * width, 0.022 * height), 0.02 * height, 0.5)
    paste(canvas, sprite, at)


def _stand(canvas: FloatArray, item: Item, style: Style, rng: np.random.Generator) -> None:
    """Stand the item on the floor, beside its carton, or on a podium."""
    height, width = canvas.shape[:2]
    wide, tall = extent_cm(item)
    boxed = style.with_carton and item.pack.form != "lipstick" and style.name != "podium"
    room = wide + (1.15 * item.pack.width if boxed else 0)
    plinth = 0.16 if style.name == "podium" else 0.0
    scale = style.fill * min(0.94 * width / room, (0.93 - plinth) * height / (tall * 1.04))
    ground = height * (0.5 - plinth / 2) + tall * scale * np.cos(style.view.pitch) / 2
    at = (width / 2, min(ground, height * 1.15))
    if plinth:
        _podium(canvas, at, (wide * scale * 0.95, height * plinth), style, rng)
    if boxed:
        side = -1 if rng.random() < 0.5 else 1
        behind = (at[0] - side * 0.52 * item.pack.width * scale, at[1] - 0.02 * height)
        yaw = float(rng.uniform(0.2, 0.6)) * side
        view = View(pitch=style.view.pitch, yaw=yaw, studio=style.view.studio)
        _ground(canvas, carton_sprite(item, scale, view), behind, style)
        at = (at[0] + side * 0.58 * item.pack.width * scale, at[1])
    _ground(canvas, item_sprite(item, scale, style.view), at, style)


def _ground(canvas: FloatArray, sprite: Sprite, at: tuple[float, float], style: Style) -> None:
    """Paste a standing sprite with its shadows."""
    half = sprite.light.shape[1] / 2
    at = (at[0] + sprite.foot[0] - half, at[1])
    middle = (at[0] + half - sprite.foot[0], at[1])
    depth = max(3.0, half * 0.9 * np.sin(style.view.pitch))
    lean = 0.5 if style.view.studio.key_azimuth < 0 else -0.5
    if style.name == "glossy":
        reflection(canvas, sprite, at, 0.38)
    else:
        cast_shadow(canvas, sprite, at, lean, 0.22 + style.view.pitch, 0.22)
    contact_shadow(canvas, middle, (half * 0.98, depth), 0.42)
    paste(canvas, sprite, at)


def _podium(
    canvas: FloatArray,
    at: tuple[float, float],
    size: tuple[float, float],
    style: Style,
    rng: np.random.Generator,
) -> None:
    """A round plinth of `size` = radius and height in pixels, its top at `at`."""
    radius, rise = size
    colour = PASTELS[int(rng.integers(len(PASTELS)))]
    shape = profile((radius, 0.0, 0.0), (radius, rise, 3.0), (0.0, rise, 0.0))
    stone = Material(colour=colour, roughness=0.8, reflectance=0.03)
    model = Model((Part(superellipse(1.0, 1.0), shape, stone),))
    sprite = render(model, 1.0, style.view.pitch, style.view.studio)
    foot = (at[0], at[1] + rise * np.cos(style.view.pitch))
    contact_shadow(canvas, foot, (radius, max(4.0, radius * np.sin(style.view.pitch))), 0.3)
    paste(canvas, sprite, foot)


def _marked(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Add the seller's watermark or a badge to some pictures."""
    draw = ImageDraw.Draw(picture, "RGBA")
    width, height = picture.size
    chance = rng.random()
    if chance < 0.09:
        face = typeface("DejaVuSans.ttf", width // 18)
        words = SELLERS[int(rng.integers(len(SELLERS)))]
        place = (width - face.getlength(words) - width // 30, height - height // 12)
        draw.text(place, words, font=face, fill=(90, 90, 90, 120))
    elif chance < 0.19:
        words = BADGES[int(rng.integers(len(BADGES)))]
        radius = width // 11
        x, y = width - radius - width // 30, radius + width // 30
        fill = tuple(int(c) for c in rng.choice([[196, 40, 60], [40, 120, 90], [30, 40, 60]]))
        badge = _disc(radius, fill)
        picture.paste(badge, (x - radius, y - radius), badge)
        face = typeface("DejaVuSans-Bold.ttf", int(radius * (0.62 if len(words) < 5 else 0.46)))
        draw.text((x, y), words, font=face, fill="white", anchor="mm")
    return picture


def _disc(radius: int, fill: tuple[int, ...]) -> Image.Image:
    large = Image.new("L", (radius * 8, radius * 8), 0)
    ImageDraw.Draw(large).ellipse((0, 0, radius * 8 - 1, radius * 8 - 1), fill=255)
    disc = Image.new("RGBA", (radius * 2, radius * 2), fill)
    disc.putalpha(large.resize((radius * 2, radius * 2), Image.Resampling.LANCZOS))
    return disc
