"""Print on packaging: logo marks, typeset lines, and the sheets that label layouts consist of."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from export.sample.brands import Brand

Point = tuple[float, float]
_FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
_MARK_OVERSAMPLING = 4


@dataclass(frozen=True, kw_only=True)
class Copy:
    """The words and inks of one label.

    Attributes:
        brand: brand whose typefaces, mark and layout the label has.
        line: product line, e.g. "Midnight Repair".
        kind: product type, e.g. "night serum".
        variant: shade or scent; "" for none.
        size: size as printed, e.g. "30 ml · 1.0 fl oz".
        ink: hex colour of the text.
        paper: hex colour of the label, or None to print on the package itself.
    """

    brand: Brand
    line: str
    kind: str
    variant: str
    size: str
    ink: str
    paper: str | None = None


@lru_cache(maxsize=2048)
def typeface(name: str, pixels: int) -> ImageFont.FreeTypeFont:
    """Load a font that ships with matplotlib, so that every machine renders the same glyphs."""
    return ImageFont.truetype(str(_FONTS / name), max(4, pixels))


@lru_cache(maxsize=4096)
def typeset(text: str, font: str, pixels: int, tracking: float = 0.0) -> Image.Image:
    """Coverage mask ("L") of one line of text, cropped to its ink horizontally."""
    face = typeface(font, pixels)
    gap = tracking * pixels
    advances = [face.getlength(letter) + gap for letter in text]
    ascent, descent = face.getmetrics()
    mask = Image.new("L", (int(sum(advances)) + pixels, ascent + descent), 0)
    draw = ImageDraw.Draw(mask)
    if tracking:
        left = pixels / 4
        for letter, advance in zip(text, advances, strict=True):
            draw.text((left, 0), letter, fill=255, font=face)
            left += advance
    else:
        draw.text((pixels / 4, 0), text, fill=255, font=face)
    box = mask.getbbox() or (0, 0, 1, 1)
    return mask.crop((box[0], 0, box[2], ascent + descent))


def fitted(text: str, font: str, pixels: int, width: int, tracking: float = 0.0) -> Image.Image:
    """Typeset a line, reduced in size if it would be wider than `width` pixels."""
    mask = typeset(text, font, pixels, tracking)
    if mask.width <= width:
        return mask
    return typeset(text, font, max(5, int(pixels * width / mask.width)), tracking)


class Sheet:
    """A transparent sheet to print lines and marks on, one ink at a time."""

    def __init__(self, width: int, height: int, ink: str, paper: str | None) -> None:
        """Make an empty sheet, filled with `paper`. Sizes are fractions of `unit`, in pixels."""
        # Transparent pixels carry the ink colour so that sampling never darkens edges.
        ground = Image.new("RGBA", (width, height), f"{ink}00")
        self.image = Image.new("RGBA", (width, height), paper) if paper else ground
        self.width, self.height, self.ink = width, height, ink
        self.unit = min(width, 0.8 * height)

    def stamp(self, mask: Image.Image, centre: Point, ink: str | None = None) -> None:
        """Print a coverage mask with its centre at `centre`, in fractions of the sheet."""
        left = round(centre[0] * self.width - mask.width / 2)
        top = round(centre[1] * self.height - mask.height / 2)
        colour = Image.new("RGBA", mask.size, ink or self.ink)
        colour.putalpha(mask)
        layer = Image.new("RGBA", self.image.size, f"{ink or self.ink}00")
        layer.paste(colour, (left, top))
        self.image = Image.alpha_composite(self.image, layer)

    def text(
        self,
        words: str,
        font: str,
        size: float,
        centre: Point,
        *,
        tracking: float = 0.0,
        span: float = 0.9,
        ink: str | None = None,
    ) -> None:
        """Print one line; `size` is a fraction of `unit`, `span` the maximum width."""
        if words:
            pixels = max(5, round(size * self.unit))
            self.stamp(fitted(words, font, pixels, int(span * self.width), tracking), centre, ink)

    def rule(self, y: float, left: float, right: float, ink: str | None = None) -> None:
        """A thin horizontal line between two fractions of the width."""
        size = (max(1, round((right - left) * self.width)), max(1, round(self.width * 0.008)))
        self.stamp(Image.new("L", size, 255), ((left + right) / 2, y), ink)

    def block(self, top: float, bottom: float, ink: str) -> None:
        """A filled band across the sheet."""
        size = (self.width, max(1, round((bottom - top) * self.height)))
        self.stamp(Image.new("L", size, 255), (0.5, (top + bottom) / 2), ink)


def _moon(draw: ImageDraw.ImageDraw, s: int) -> None:
    draw.ellipse((0.08 * s, 0.08 * s, 0.92 * s, 0.92 * s), fill=255)
    draw.ellipse((0.34 * s, 0.02 * s, 1.06 * s, 0.74 * s), fill=0)


def _ring(draw: ImageDraw.ImageDraw, s: int) -> None:
    draw.ellipse((0.08 * s, 0.08 * s, 0.92 * s, 0.92 * s), outline=255, width=s // 14)
    draw.ellipse((0.30 * s, 0.30 * s, 0.70 * s, 0.70 * s), outline=255, width=s // 20)


def _sun(draw: ImageDraw.ImageDraw, s: int) -> None:
    for step in range(16):
        angle = step * np.pi / 8
        tip = (s * (0.5 + 0.46 * np.cos(angle)), s * (0.5 + 0.46 * np.sin(angle)))
        root = (s * (0.5 + 0.30 * np.cos(angle)), s * (0.5 + 0.30 * np.sin(angle)))
        draw.line((*root, *tip), fill=255, width=max(1, s // 22))
    draw.ellipse((0.3 * s, 0.3 * s, 0.7 * s, 0.7 * s), fill=255)


def _petals(draw: ImageDraw.ImageDraw, s: int, count: int, reach: float, width: float) -> None:
    along = np.linspace(0, 1, 24)
    across = np.sin(np.pi * along**0.8) * width
    for step in range(count):
        angle = step * 2 * np.pi / count - np.pi / 2
        outline = np.concatenate([along + 1j * across, (along - 1j * across)[::-1]]) * reach
        turned = outline * np.exp(1j * angle)
        draw.polygon([(s * (0.5 + p.real), s * (0.5 + p.imag)) for p in turned], fill=255)


def _flower(draw: ImageDraw.ImageDraw, s: int) -> None:
    _petals(draw, s, 6, 0.46, 0.24)
    draw.ellipse((0.42 * s, 0.42 * s, 0.58 * s, 0.58 * s), fill=0)


def _star(draw: ImageDraw.ImageDraw, s: int) -> None:
    radii = [0.47 if step % 2 == 0 else 0.11 for step in range(8)]
    points = [r * np.exp(1j * (step * np.pi / 4)) for step, r in enumerate(radii)]
    draw.polygon([(s * (0.5 + p.real), s * (0.5 + p.imag)) for p in points], fill=255)


def _leaf(draw: ImageDraw.ImageDraw, s: int) -> None:
    along = np.linspace(0, 1, 30)
    across = 0.25 * np.sin(np.pi * along) ** 0.9
    points = [(s * (0.5 + a), s * (0.95 - 0.9 * t)) for t, a in zip(along, across, strict=True)]
    points += [(s * (0.5 - a), s * (0.95 - 0.9 * t)) for t, a in zip(along, across, strict=True)][
        ::-1
    ]
    draw.polygon(points, fill=255)
    draw.line((0.5 * s, 0.2 * s, 0.5 * s, s), fill=0, width=max(1, s // 24))


def _wave(draw: ImageDraw.ImageDraw, s: int) -> None:
    x = np.linspace(0.06, 0.94, 40)
    for level in (0.35, 0.52, 0.69):
        y = level + 0.07 * np.sin((x - 0.06) / 0.88 * 4 * np.pi)
        draw.line([(s * a, s * b) for a, b in zip(x, y, strict=True)], fill=255, width=s // 13)


def _cross(draw: ImageDraw.ImageDraw, s: int) -> None:
    draw.rectangle((0.40 * s, 0.1 * s, 0.60 * s, 0.9 * s), fill=255)
    draw.rectangle((0.1 * s, 0.40 * s, 0.9 * s, 0.60 * s), fill=255)


def _diamond(draw: ImageDraw.ImageDraw, s: int) -> None:
    for reach, fill in ((0.46, 255), (0.36, 0), (0.24, 255)):
        low, high = s * (0.5 - reach), s * (0.5 + reach)
        draw.polygon([(s / 2, low), (high, s / 2), (s / 2, high), (low, s / 2)], fill=fill)


def _drop(draw: ImageDraw.ImageDraw, s: int) -> None:
    angle = np.linspace(0, 2 * np.pi, 60)
    x = 0.5 + 0.31 * np.sin(angle) * np.sin(angle / 2)
    y = 0.5 - 0.45 * np.cos(angle)
    draw.polygon([(s * a, s * b) for a, b in zip(x, y, strict=True)], fill=255)


MARKS: dict[str, Callable[[ImageDraw.ImageDraw, int], None]] = {
    "moon": _moon,
    "ring": _ring,
    "sun": _sun,
    "flower": _flower,
    "star": _star,
    "leaf": _leaf,
    "wave": _wave,
    "cross": _cross,
    "diamond": _diamond,
    "drop": _drop,
}


@lru_cache(maxsize=512)
def mark(name: str, pixels: int) -> Image.Image:
    """Coverage mask ("L") of a logo mark, `pixels` square."""
    size = max(8, pixels) * _MARK_OVERSAMPLING
    drawn = Image.new("L", (size, size), 0)
    MARKS[name](ImageDraw.Draw(drawn), size)
    return drawn.resize((max(8, pixels),) * 2, Image.Resampling.LANCZOS)


def logo_text(brand: Brand) -> str:
    """The brand name in the letter case of the logo."""
    return brand.name.upper() if brand.capitals else brand.name
