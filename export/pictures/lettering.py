"""Text and pictures below one another on a canvas; lines are elided to the width of the column."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont

_FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"  # the same letters on every machine
ELLIPSIS = "…"
TEXT_PIXELS = 12
LINE = TEXT_PIXELS * 1.3
PAPER = "#ffffff"
INK = "#222222"
QUIET = "#666666"


@lru_cache(maxsize=16)
def caption_font(pixels: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which knows Latin, Greek, Cyrillic and more; other letters become boxes."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(_FONTS / name), pixels)


def elided(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    """Shorten a line of text until it fits into a width in pixels."""
    if font.getlength(text) <= width:
        return text
    low, high = 0, len(text)  # the longest beginning that fits, by halving
    while low < high:
        middle = (low + high + 1) // 2
        if font.getlength(text[:middle].rstrip() + ELLIPSIS) <= width:
            low = middle
        else:
            high = middle - 1
    return text[:low].rstrip() + ELLIPSIS


def wrapped(text: str, font: ImageFont.FreeTypeFont, width: float, lines: int) -> list[str]:
    """Break a text into at most so many lines of a width in pixels; the last one is elided."""
    words = printable(text).split()
    done: list[str] = []
    while words and len(done) < lines - 1:
        count = 1
        while count < len(words) and font.getlength(" ".join(words[: count + 1])) <= width:
            count += 1
        done.append(elided(" ".join(words[:count]), font, width))
        words = words[count:]
    if words:
        done.append(elided(" ".join(words), font, width))
    return done


def printable(text: str) -> str:
    """A text without control characters, line breaks and lone surrogates."""
    whole = text.encode(errors="replace").decode()
    return "".join(letter if letter.isprintable() else " " for letter in whole)


@dataclass
class Column:
    """Draws pictures and lines of text below one another.

    Attributes:
        canvas: the image to draw on.
        left: left edge of the column, in pixels.
        width: width of the column, in pixels.
        top: top of the next line or picture, in pixels.
    """

    canvas: Image.Image
    left: float
    width: float
    top: float
    draw: ImageDraw.ImageDraw = field(init=False)

    def __post_init__(self) -> None:
        self.draw = ImageDraw.Draw(self.canvas)

    def picture(self, image: Image.Image | None, side: int, frame: str | None = None) -> None:
        """Draw a square picture, or a placeholder if there is none."""
        corner = (int(self.left), int(self.top))
        box = (*corner, corner[0] + side - 1, corner[1] + side - 1)
        if image is None:
            self.draw.rectangle(box, fill="#eeeeee")
            middle = (corner[0] + side / 2, corner[1] + side / 2)
            font = caption_font(TEXT_PIXELS)
            self.draw.text(middle, "no picture", fill=QUIET, font=font, anchor="mm")
        else:
            self.canvas.paste(image.resize((side, side), Image.Resampling.LANCZOS), corner)
        if frame is not None:
            self.draw.rectangle(box, outline=frame, width=4)
        self.top += side + 4

    def line(self, text: str, colour: str = INK, *, bold: bool = False) -> None:
        """Draw one line of text, elided."""
        font = caption_font(TEXT_PIXELS, bold=bold)
        shown = elided(printable(text), font, self.width)
        self.draw.text((self.left, self.top), shown, fill=colour, font=font)
        self.top += LINE

    def pair(self, name: str, value: str) -> None:
        """Draw a name on the left and its value on the right of one line."""
        font = caption_font(TEXT_PIXELS - 1)
        taken = font.getlength(value)
        self.draw.text((self.left + self.width - taken, self.top), value, fill=INK, font=font)
        shown = elided(printable(name), font, self.width - taken - 6)
        self.draw.text((self.left, self.top), shown, fill=QUIET, font=font)
        self.top += LINE
