"""Draws photos with text for the reader."""

import io

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from retrieval_server.models.photo import Photo, decode_photo


def text_image(
    *texts: str, size: tuple[int, int] = (640, 480), height: float = 40, left: int = 40
) -> Image.Image:
    """Black lines of text on white, from top to bottom; ``height`` is the font's size."""
    image = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(height)
    for index, text in enumerate(texts):
        draw.text((left, 40 + 2 * height * index), text, fill="black", font=font)
    return image


def photo_of(image: Image.Image) -> Photo:
    """An image as the reader gets it from a file."""
    file = io.BytesIO()
    image.save(file, "PNG")
    return decode_photo(file.getvalue())


def checkerboard(width: int, height: int, cell: int) -> Image.Image:
    rows, columns = np.mgrid[:height, :width] // cell
    return Image.fromarray(((rows + columns) % 2 * 255).astype(np.uint8)).convert("RGB")
