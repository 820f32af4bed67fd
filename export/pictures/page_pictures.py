"""Pictures inside an HTML page: thumbnails as data URIs, so that the page is one file."""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path

from PIL import Image

from retrieval_server.errors import ImageError
from retrieval_server.models.preprocessing import read_image

THUMBNAIL_SIDE = 160
JPEG_QUALITY = 82


def thumbnail(path: Path, side: int = THUMBNAIL_SIDE) -> Image.Image | None:
    """Read an image file as a square of a side in pixels; None if there is no such picture."""
    try:
        return Image.fromarray(read_image(path, side))
    except ImageError:
        return None


def thumbnail_element(path: Path, alternative: str, side: int = THUMBNAIL_SIDE) -> str:
    """An image element with a thumbnail inside; a placeholder if there is no image.

    Args:
        path: image file.
        alternative: alternative text of the image.
        side: in pixels.
    """
    image = thumbnail(path, side)
    if image is None:
        return f"<div class=missing>no picture: {html.escape(alternative)}</div>"
    return image_element(image, alternative)


def image_element(image: Image.Image, alternative: str) -> str:
    """An image element with a picture inside."""
    encoded = io.BytesIO()
    image.save(encoded, "JPEG", quality=JPEG_QUALITY)
    data = base64.b64encode(encoded.getvalue()).decode()
    return f'<img alt="{html.escape(alternative)}" src="data:image/jpeg;base64,{data}">'
