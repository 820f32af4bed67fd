"""Renders an item from a viewpoint to a sprite."""

from dataclasses import dataclass
from zlib import crc32

import numpy as np

from export.sample.artwork import Copy
from export.sample.flat_packaging import FLAT_FORMS, flat_size, render_flat
from export.sample.forms import carton, upright
from export.sample.items import Item, imperial
from export.sample.materials import Studio
from export.sample.sprite import Sprite, render


@dataclass(frozen=True, kw_only=True)
class View:
    """The camera and the lights.

    Attributes:
        pitch: angle by which the camera looks down, in radians; has no effect on flat packages.
        yaw: angle by which the package is turned about its axis, in radians.
        studio: the lights.
    """

    pitch: float
    yaw: float
    studio: Studio


def generator(seed: int, *words: str) -> np.random.Generator:
    """A random generator that depends only on `seed` and `words`."""
    return np.random.default_rng([seed, *(crc32(word.encode()) for word in words)])


def lies_flat(item: Item) -> bool:
    """Whether pictures show the item lying, from above."""
    return item.pack.form in FLAT_FORMS


def printed_copy(item: Item) -> Copy:
    """The words on the package."""
    return Copy(
        brand=item.brand,
        line=item.line,
        kind=item.kind,
        variant=item.variant,
        size=f"{item.size} / {imperial(item.size)}",
        ink=item.pack.ink,
        paper=item.pack.paper,
    )


def extent_cm(item: Item) -> tuple[float, float]:
    """Width and height in cm of the item in the sprite of `item_sprite`."""
    if lies_flat(item):
        return flat_size(item.pack)
    left, right, top = upright(item.pack, printed_copy(item), item.content, 0.0).extent()
    return right - left, top


def item_sprite(item: Item, pixels_per_cm: float, view: View) -> Sprite:
    """Render an item."""
    copy = printed_copy(item)
    if lies_flat(item):
        grain = crc32(item.key.encode())
        return render_flat(item.pack, copy, item.content, pixels_per_cm, view.studio, grain)
    model = upright(item.pack, copy, item.content, view.yaw)
    return render(model, pixels_per_cm, view.pitch, view.studio)


def carton_sprite(item: Item, pixels_per_cm: float, view: View) -> Sprite:
    """Render the folding box of an item: brand colour on white, or white on the brand colour."""
    dark = crc32(item.brand.name.encode()) % 2 == 0
    copy = printed_copy(item)
    ink, face = ("#f8f3ea", item.brand.accent) if dark else (item.brand.accent, "#f4f1ea")
    boxed = Copy(
        brand=copy.brand,
        line=copy.line,
        kind=copy.kind,
        variant=copy.variant,
        size=copy.size,
        ink=ink,
        paper=None,
    )
    return render(carton(item.pack, boxed, view.yaw, face), pixels_per_cm, view.pitch, view.studio)
