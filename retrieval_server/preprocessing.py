"""From the bytes of an image file to the pixels a backbone sees; the same offline and online.

Decode, turn upright (EXIF), flatten alpha on white, pad to a square with white, resize (bilinear,
antialiased), uint8 RGB. Normalisation is inside the ONNX graph.

The bytes come from strangers. Size and format are checked on the header, before any pixel is
decoded; whatever Pillow raises on damaged data becomes one ``ImageError``.
"""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from retrieval_server.errors import ImageError

FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "TIFF", "BMP")
MAX_PIXELS = 50_000_000  # a 48-megapixel phone photo passes
MAX_SIDE = 65_535  # the largest a JPEG can have
WHITE = (255, 255, 255)


def read_image(path: Path, side: int) -> NDArray[np.uint8]:
    """Read an image file; see ``decode_image``.

    Raises:
        ImageError: if it cannot be read or used; says why, without the path.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ImageError(f"cannot be read: {os.strerror(error.errno or 0)}.") from error
    return decode_image(data, side)


def decode_image(data: bytes, side: int) -> NDArray[np.uint8]:
    """Turn an encoded image into the square that the backbones see.

    Args:
        data: a JPEG, PNG, WebP, AVIF, GIF (first frame), TIFF or BMP file.
        side: height and width of the result, in pixels.

    Returns:
        (side, side, 3) uint8 RGB.

    Raises:
        ImageError: if the bytes are empty, no image, truncated or too large.
    """
    if not data:
        raise ImageError("is empty.")
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise ImageError(f"has more than {MAX_PIXELS:,} pixels.") from error
    except Exception as error:  # Pillow raises anything from OSError to SyntaxError here
        raise ImageError(f"is not an image in one of the formats {', '.join(FORMATS)}.") from error
    width, height = image.size
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise ImageError(
            f"has {width} × {height} pixels; at most {MAX_PIXELS:,} in all and {MAX_SIDE:,} on a "
            "side are accepted."
        )
    try:
        upright = ImageOps.exif_transpose(image)
        return np.asarray(_pad_and_resize(_flatten(upright), side))
    except ImageError:
        raise
    except Exception as error:  # damaged data: OSError, SyntaxError, RuntimeError, struct.error …
        raise ImageError(
            f"is damaged: {str(error).rstrip('.') or type(error).__name__}."
        ) from error


def _flatten(image: Image.Image) -> Image.Image:
    """Bring any mode to 8-bit RGB, alpha composited on white."""
    if image.mode.startswith("I"):  # 16-bit grey; Pillow's own conversion clips it to white
        grey = np.asarray(image).astype(np.int64).clip(0, 65_535)
        image = Image.fromarray(np.rint(grey / 257).astype(np.uint8))
    elif image.mode == "F":
        raise ImageError("holds floating-point pixels; save it with 8 or 16 bits.")
    if image.has_transparency_data:
        foreground = image.convert("RGBA")
        background = Image.new("RGBA", foreground.size, (*WHITE, 255))
        image = Image.alpha_composite(background, foreground)
    return image.convert("RGB")


def _pad_and_resize(image: Image.Image, side: int) -> Image.Image:
    """Pad to a centred white square, then resize.

    The long axis is resized before the padding. The two axes of a bilinear resize are independent,
    so the result is that of padding first, and a very long image never becomes a huge square.
    """
    width, height = image.size
    square = max(width, height)
    if height >= width:
        narrow = image.resize((width, side), Image.Resampling.BILINEAR)
        canvas = Image.new("RGB", (square, side), WHITE)
        canvas.paste(narrow, ((square - width) // 2, 0))
    else:
        narrow = image.resize((side, height), Image.Resampling.BILINEAR)
        canvas = Image.new("RGB", (side, square), WHITE)
        canvas.paste(narrow, (0, (square - height) // 2))
    return canvas.resize((side, side), Image.Resampling.BILINEAR)
