"""From the bytes of an image file to the pixels of a backbone; the same offline and online.

Steps: decode (see image_file), rotate upright (EXIF), flatten alpha on white, pad to a square with
white, resize (bilinear, antialiased), convert to sRGB (see colour_profile): uint8 RGB.
Normalisation is a part of the ONNX graph.

The bytes are untrusted input. Every exception of Pillow on damaged data becomes an ``ImageError``;
a ``MemoryError`` says nothing about the data, and stays one.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, TiffImagePlugin

from retrieval_server.errors import ImageError
from retrieval_server.models.colour_profile import in_srgb
from retrieval_server.models.image_file import WORST_IMAGE_BYTES, open_image

PREPROCESSING = "white-square-bilinear-2"  # recorded in the index; changed rules get a new name
WHITE = (255, 255, 255)
STRIP_ROWS = 256  # of a 16-bit image that are converted at a time

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
        if stat.S_IFMT(path.stat().st_mode) not in (stat.S_IFREG, stat.S_IFDIR):
            raise ImageError("cannot be read: it is a device or a FIFO.")  # which may never end
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"cannot be read: {os.strerror(error.errno or 0)}.") from error
    except ValueError as error:  # a null byte in the path
        raise ImageError(f"cannot be read: {error}.") from error


def decode_image(data: bytes, side: int, most_bytes: int = WORST_IMAGE_BYTES) -> NDArray[np.uint8]:
    """Decode an image file and turn it into the square image that the backbones take.

    Args:
        data: a file in one of ``image_file.FORMATS``; of an animation, the first frame counts.
            HEIC needs the extra ``heic``.
        side: height and width of the result, in pixels.
        most_bytes: of memory that the decoding may need; see ``open_image``.

    Returns:
        (side, side, 3) uint8 RGB.

    Raises:
        LargeImageError: if it may need more memory.
        ImageError: if the data is empty, not an image, damaged, or has too many pixels.
    """
    with damage_named():
        image = open_image(data, lambda width, height: side, most_bytes).image
        profile = image.info.get("icc_profile")
        return square_of(upright_rgb(image), profile, side)


@contextmanager
def damage_named() -> Iterator[None]:
    """Turn whatever Pillow raises for damaged data into an ``ImageError`` that gives the reason.

    Raises:
        ImageError: if the block raises an exception.
        MemoryError: if there is not enough memory, which is no fault of the image.
    """
    try:
        yield
    except (ImageError, MemoryError):
        raise
    except Exception as error:  # OSError, SyntaxError, RuntimeError, struct.error …
        raise ImageError(
            f"is damaged: {' '.join(str(error).split()).rstrip('.') or type(error).__name__}."
        ) from error


def upright_rgb(image: Image.Image) -> Image.Image:
    """Decode an opened image to 8-bit RGB, upright, with alpha composited on white.

    Raises:
        ImageError: if its pixels are of a kind that cannot be used.
    """
    return _flatten(_upright(image))


def square_of(image: Image.Image, profile: bytes | None, side: int) -> NDArray[np.uint8]:
    """Make the square that the backbones take.

    Args:
        image: upright RGB.
        profile: the colour profile of its file; None is sRGB.
        side: height and width of the result, in pixels.

    Returns:
        (side, side, 3) uint8 sRGB.
    """
    return np.asarray(in_srgb(_pad_and_resize(image, side), profile))


def _upright(image: Image.Image) -> Image.Image:
    """Rotate or mirror an image as its EXIF orientation demands."""
    image.load()  # Pillow rotates a TIFF itself; the EXIF of a PNG may come after its pixels
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except MemoryError:
        raise
    except Exception:  # an unreadable EXIF block does not make the pixels unusable
        return image
    return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image


def _flatten(image: Image.Image) -> Image.Image:
    """Convert an image of any mode to 8-bit RGB, with alpha composited on white."""
    if image.mode in ("F", "I"):  # what black and white are is not known
        raise ImageError("holds floating-point or 32-bit pixels; save it with 8 or 16 bits.")
    if image.mode.startswith("I;16"):
        image = _in_eight_bits(image)
    if image.has_transparency_data:
        foreground = image if image.mode == "RGBA" else image.convert("RGBA")
        canvas = Image.new("RGB", foreground.size, WHITE)
        canvas.paste(foreground, mask=foreground)  # in place: the image may fill the memory
        return canvas
    return image if image.mode == "RGB" else image.convert("RGB")  # convert copies an RGB image


def _in_eight_bits(image: Image.Image) -> Image.Image:
    """Scale 16-bit grey to 8 bits; Pillow's own conversion would clip it to white."""
    transparent = image.info.get("transparency")  # a PNG's level that counts as transparent
    is_inverted = _is_inverted(image)
    scaled = Image.new("LA" if isinstance(transparent, int) else "L", image.size)
    for top in range(0, image.height, STRIP_ROWS):
        strip = image.crop((0, top, image.width, min(top + STRIP_ROWS, image.height)))
        levels = np.asarray(strip).astype(np.uint32)
        if is_inverted:
            levels = 65_535 - levels
        grey = (levels + 128) // 257  # 65535 = 255 × 257
        if isinstance(transparent, int):
            grey = np.stack([grey, np.where(levels == transparent, 0, 255)], axis=-1)
        scaled.paste(Image.fromarray(grey.astype(np.uint8)), (0, top))
    return scaled


def _is_inverted(image: Image.Image) -> bool:
    """Whether 0 is white, which Pillow heeds in TIFF files of up to 8 bits only."""
    tags = image.tag_v2 if isinstance(image, TiffImagePlugin.TiffImageFile) else {}
    return bool(tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0)


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
