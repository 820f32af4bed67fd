"""From the bytes of an image file to the pixels of a backbone; the same offline and online.

Steps: decode, rotate upright (EXIF), flatten alpha on white, pad to a square with white, resize
(bilinear, antialiased) to uint8 RGB. Normalisation is a part of the ONNX graph.

The bytes are untrusted input. Size and format are checked on the header, before any pixel is
decoded. Every exception of Pillow on damaged data becomes an ``ImageError``.
"""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from retrieval_server.command_line.image_files import SUFFIXES
from retrieval_server.errors import ImageError
from retrieval_server.models.heic import HEIF, check_heic

PREPROCESSING = "white-square-bilinear-1"  # recorded in the index; changed rules get a new name
FORMATS = (*(name.upper() for name in SUFFIXES if name != "HEIC"), *HEIF)  # as Pillow has them
MAX_PIXELS = 50_000_000  # enough for a 48-megapixel phone photo
MAX_SIDE = 65_535  # the maximum of JPEG
WHITE = (255, 255, 255)

# EXIF orientation (tag 0x0112) → the operation that makes the image upright, as in Pillow's
# ImageOps.exif_transpose. That function also rewrites all other tags, and fails on malformed ones.
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
        ImageError: if the file cannot be read or used; gives the reason, without the path.
    """
    return decode_image(read_bytes(path), side)


def read_bytes(path: Path) -> bytes:
    """Read the bytes of an image file.

    Raises:
        ImageError: if the file cannot be read; gives the reason, without the path.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"cannot be read: {os.strerror(error.errno or 0)}.") from error
    except ValueError as error:  # a null byte in the path
        raise ImageError(f"cannot be read: {error}.") from error


def decode_image(data: bytes, side: int) -> NDArray[np.uint8]:
    """Decode an image file and turn it into the square image that the backbones take.

    Args:
        data: an image file in one of the formats; the first frame of a GIF counts. HEIC needs
            the extra ``heic``.
        side: height and width of the result, in pixels.

    Returns:
        (side, side, 3) uint8 RGB.

    Raises:
        ImageError: if the data is empty, not an image, damaged, or has too many pixels.
    """
    if not data:
        raise ImageError("is empty.")
    try:
        check_heic(data, MAX_PIXELS)
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(f"has more than {MAX_PIXELS:,} pixels.") from error
    except ImageError:
        raise
    except Exception as error:  # Pillow raises many types here, from OSError to SyntaxError
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
            f"is damaged: {' '.join(str(error).split()).rstrip('.') or type(error).__name__}."
        ) from error


def _upright(image: Image.Image) -> Image.Image:
    """Rotate or mirror an image as its EXIF orientation demands."""
    image.load()  # Pillow rotates a TIFF itself; the EXIF of a PNG may come after its pixels
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # an unreadable EXIF block does not make the pixels unusable
        return image
    return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image


def _flatten(image: Image.Image) -> Image.Image:
    """Convert an image of any mode to 8-bit RGB, with alpha composited on white."""
    if image.mode.startswith("I"):  # 16-bit grey; Pillow's conversion would clip it to white
        grey = np.asarray(image).clip(0, 65_535).astype(np.uint32)
        image = Image.fromarray(((grey + 128) // 257).astype(np.uint8))  # 65535 = 255 × 257
    elif image.mode == "F":
        raise ImageError("holds floating-point pixels; save it with 8 or 16 bits.")
    if image.has_transparency_data:
        foreground = image.convert("RGBA")
        background = Image.new("RGBA", foreground.size, (*WHITE, 255))
        image = Image.alpha_composite(background, foreground)
    return image if image.mode == "RGB" else image.convert("RGB")  # convert copies an RGB image


def _pad_and_resize(image: Image.Image, side: int) -> Image.Image:
    """Pad an image to a centred white square, and resize it.

    The long axis is resized before the padding, so that a very long image never becomes a huge
    square. The result is the same, because the axes of a bilinear resize are independent.
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
