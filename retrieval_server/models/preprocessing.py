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
from PIL import ExifTags, Image

from retrieval_server.errors import ImageError

PREPROCESSING = "white-square-bilinear-1"  # recorded in the index; new rules get a new name
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "TIFF", "BMP")
MAX_PIXELS = 50_000_000  # a 48-megapixel phone photo passes
MAX_SIDE = 65_535  # the largest a JPEG can have
WHITE = (255, 255, 255)

# EXIF orientation → what turns the image upright (tag 0x0112; as in Pillow's
# ImageOps.exif_transpose, which also writes all other tags anew and fails where one is malformed).
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_image(path: Path, side: int) -> NDArray[np.uint8]:
    """Read an image file and decode it; see ``decode_image``.

    Raises:
        ImageError: if it cannot be read or used; says why, without the path.
    """
    return decode_image(read_bytes(path), side)


def read_bytes(path: Path) -> bytes:
    """Read an image file as it is.

    Raises:
        ImageError: if it cannot be read; says why, without the path.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"cannot be read: {os.strerror(error.errno or 0)}.") from error
    except ValueError as error:  # a null byte in the path
        raise ImageError(f"cannot be read: {error}.") from error


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
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
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
        return np.asarray(_pad_and_resize(_flatten(_upright(image)), side))
    except ImageError:
        raise
    except Exception as error:  # damaged data: OSError, SyntaxError, RuntimeError, struct.error …
        raise ImageError(
            f"is damaged: {str(error).rstrip('.') or type(error).__name__}."
        ) from error


def _upright(image: Image.Image) -> Image.Image:
    """Turn an image as its EXIF orientation says."""
    image.load()  # a TIFF turns itself; the EXIF of a PNG may follow its pixels
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # an unreadable EXIF block says nothing, the pixels are there all the same
        return image
    return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image


def _flatten(image: Image.Image) -> Image.Image:
    """Bring any mode to 8-bit RGB, alpha composited on white."""
    if image.mode.startswith("I"):  # 16-bit grey; Pillow's own conversion clips it to white
        grey = np.asarray(image).clip(0, 65_535).astype(np.uint32)
        image = Image.fromarray(((grey + 128) // 257).astype(np.uint8))  # 65535 = 255 × 257
    elif image.mode == "F":
        raise ImageError("holds floating-point pixels; save it with 8 or 16 bits.")
    if image.has_transparency_data:
        foreground = image.convert("RGBA")
        background = Image.new("RGBA", foreground.size, (*WHITE, 255))
        image = Image.alpha_composite(background, foreground)
    return image if image.mode == "RGB" else image.convert("RGB")  # convert would copy


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
