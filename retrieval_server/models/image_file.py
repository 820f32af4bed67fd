"""Image files: which are accepted, and how they are decoded.

Format and size are checked on the header, before any pixel is decoded. A large JPEG is decoded at a
half, a quarter or an eighth of its size, which libjpeg does from the same coefficients: faster, and
with less memory. What remains is at least ``DRAFT_MARGIN`` times as long as the result, so the edge
of the padding moves by less than half a pixel of it.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image, ImageFile

from retrieval_server.command_line.image_files import SUFFIXES
from retrieval_server.errors import ImageError
from retrieval_server.models.file_kinds import kind_of
from retrieval_server.models.heic import HEIF, check_heic
from retrieval_server.models.heif_boxes import decoded_pixels

FORMATS = (*(name.upper() for name in SUFFIXES if name != "HEIC"), *HEIF)  # as Pillow has them
MAX_PIXELS = 2**26  # 67 million: phones "of 64 megapixels" have up to 9,280 × 6,944
MAX_SIDE = 65_535  # the maximum of JPEG
DRAFT_MARGIN = 2

PIXEL_BYTES = 21  # of memory at the peak; make bench-decoding measures it for each format
COEFFICIENT_BYTES = 8  # for each pixel of a progressive JPEG, which libjpeg holds at its whole size
WORST_IMAGE_BYTES = PIXEL_BYTES * MAX_PIXELS
LITTLE_MEMORY_BYTES = WORST_IMAGE_BYTES // 16  # of the photos of most callers

_END = b"\xff\xd9"  # the marker at the end of a JPEG
_FILLERS = (b"\x55" * 64, b"\xaa" * 64)


@dataclass(frozen=True)
class OpenedImage:
    """An image file.

    Attributes:
        image: the image, perhaps at a part of its size.
        width: of the whole image, in pixels, before it is rotated upright.
        height: of the whole image, in pixels.
    """

    image: Image.Image
    width: int
    height: int


class LargeImageError(ImageError):
    """The image is accepted, but needs more memory than the caller has at hand.

    Attributes:
        needed_bytes: most memory that its decoding needs, in bytes.
    """

    def __init__(self, needed_bytes: int) -> None:
        super().__init__(f"needs up to {needed_bytes:,} bytes of memory.")
        self.needed_bytes = needed_bytes


def open_image(
    data: bytes, longest_side: Callable[[int, int], int], most_bytes: int = WORST_IMAGE_BYTES
) -> OpenedImage:
    """Open an image file; its pixels are decoded later, except for a JPEG without an end.

    Args:
        data: the file.
        longest_side: of the image that will be made of one of a given width and height, in pixels.
        most_bytes: of memory that its decoding may need; by default, every accepted image may.

    Raises:
        LargeImageError: if it may need more.
        ImageError: if the data is empty, is no image in one of ``FORMATS``, has more than
            ``MAX_PIXELS`` pixels or is longer than ``MAX_SIDE``.
        OSError: if a JPEG is truncated.
    """
    if not data:
        raise ImageError("is empty.")
    image = _opened(data)
    width, height = image.size
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise ImageError(
            f"has {width} × {height} pixels; at most {MAX_PIXELS:,} in all and {MAX_SIDE:,} on a "
            "side are accepted."
        )
    _scale_transparent_colour(image)
    is_jpeg = image.format in ("JPEG", "MPO")
    side = longest_side(width, height)
    if is_jpeg:
        _draft(image, side)
    if (needed_bytes := _needed_bytes(image, data, width * height)) > most_bytes:
        raise LargeImageError(needed_bytes)
    if not is_jpeg:
        return OpenedImage(image, width, height)
    if _END not in data[-1024:]:  # what follows the marker, as some phones write it, may be longer
        return OpenedImage(_without_end(image, data, side), width, height)
    return OpenedImage(image, width, height)


def _opened(data: bytes) -> ImageFile.ImageFile:
    try:
        check_heic(data, MAX_PIXELS)
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(f"has more than {MAX_PIXELS:,} pixels.") from error
    except (ImageError, MemoryError):
        raise
    except Exception as error:  # Pillow raises many types here, from OSError to SyntaxError
        kind = kind_of(data)
        named = f"is {kind}, and" if kind else "is"
        raise ImageError(
            f"{named} not an image in one of the formats {', '.join(FORMATS)}."
        ) from error


def _needed_bytes(image: ImageFile.ImageFile, data: bytes, pixels: int) -> int:
    """The memory that decoding needs at most.

    Args:
        image: the image, drafted if it can be.
        data: its file.
        pixels: of the whole image.
    """
    is_heic = image.format in HEIF  # its tiles may be larger than the whole
    decoded = decoded_pixels(data).together if is_heic else image.width * image.height
    coefficients = COEFFICIENT_BYTES * pixels if image.info.get("progressive") else 0
    return min(PIXEL_BYTES * decoded + coefficients, WORST_IMAGE_BYTES)


def _draft(image: ImageFile.ImageFile, side: int) -> None:
    """Let libjpeg decode a large image at a part of its size."""
    width, height = image.size
    share = DRAFT_MARGIN * side / max(width, height)
    image.draft(None, (max(1, round(width * share)), max(1, round(height * share))))


def _scale_transparent_colour(image: ImageFile.ImageFile) -> None:
    """Scale the transparent colour of a 16-bit PNG as Pillow scales its pixels."""
    transparent = image.info.get("transparency")
    if isinstance(transparent, tuple) and any("16B" in str(tile[3]) for tile in image.tile):
        image.info["transparency"] = tuple(level >> 8 for level in transparent)


def _without_end(image: ImageFile.ImageFile, data: bytes, side: int) -> Image.Image:
    """Decode a JPEG that does not end with the marker, if all of its pixels are there.

    libjpeg makes up the pixels that are missing from the bits that follow. So if two different
    continuations give the same pixels as the marker alone, none is missing.
    """
    try:
        image.load()
    except OSError:
        pass
    else:
        return image
    whole = data.rstrip(b"\xff")
    completed, *others = (_loaded(whole + filler + _END, side) for filler in (b"", *_FILLERS))
    pixels = completed.tobytes()
    if any(other.tobytes() != pixels for other in others):
        raise OSError("image file is truncated")
    return completed


def _loaded(data: bytes, side: int) -> ImageFile.ImageFile:
    image = _opened(data)
    _draft(image, side)
    image.load()
    return image
