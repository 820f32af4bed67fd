"""The photo that words are read from: the whole image, upright, in sRGB, at the reader's size.

The backbones take a small square, in which the words on a pack cannot be read any more. A file is
decoded once for both, unless libjpeg decodes it for the square at a smaller part of its size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from retrieval_server.models.colour_profile import in_srgb
from retrieval_server.models.image_file import (
    DRAFT_MARGIN,
    WORST_IMAGE_BYTES,
    OpenedImage,
    open_image,
)
from retrieval_server.models.preprocessing import damage_named, square_of, upright_rgb

LONGEST_SIDE = 2_000  # pixels


@dataclass(frozen=True)
class Photo:
    """An image to read.

    Attributes:
        pixels: (H, W, 3) uint8 sRGB, upright; never larger than the file's own pixels.
        width: of the upright image in the file, in pixels.
        height: of the upright image in the file, in pixels.
    """

    pixels: NDArray[np.uint8]
    width: int
    height: int


def decode_photo(data: bytes) -> Photo:
    """Decode an image file for reading.

    Args:
        data: a file as ``decode_image`` takes it.

    Raises:
        ImageError: if the data is empty, not an image, damaged, or has too many pixels.
    """
    with damage_named():
        opened = open_image(data, _drafted_side)
        profile = opened.image.info.get("icc_profile")
        before = opened.image.size
        return _photo_of(opened, before, upright_rgb(opened.image), profile)


def decode_square_and_photo(
    data: bytes, side: int, most_bytes: int = WORST_IMAGE_BYTES
) -> tuple[NDArray[np.uint8], Photo]:
    """Decode an image file for the backbones and for reading.

    Args:
        data: a file as ``decode_image`` takes it.
        side: height and width of the square, in pixels.
        most_bytes: of memory that the decoding may need; see ``open_image``.

    Returns:
        What ``decode_image`` and ``decode_photo`` return for the same data.

    Raises:
        LargeImageError: if it may need more memory.
        ImageError: if the data is empty, not an image, damaged, or has too many pixels.
    """
    with damage_named():
        opened = open_image(data, _drafted_side, most_bytes)
        for_square = open_image(data, lambda width, height: side).image
        profile = opened.image.info.get("icc_profile")
        before = opened.image.size
        image = upright_rgb(opened.image)
        is_shared = for_square.size == before
        square = square_of(image if is_shared else upright_rgb(for_square), profile, side)
        return square, _photo_of(opened, before, image, profile)


def _drafted_side(width: int, height: int) -> int:
    """What ``open_image`` is told, so that a JPEG comes at the photo's size at least.

    The margin of the square is not needed: nothing is padded.
    """
    return math.ceil(max(_size(width, height)) / DRAFT_MARGIN)


def _size(width: int, height: int) -> tuple[int, int]:
    """The size of a photo: that of the file, or smaller."""
    scale = min(1.0, LONGEST_SIDE / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _photo_of(
    opened: OpenedImage, before: tuple[int, int], image: Image.Image, profile: bytes | None
) -> Photo:
    """Make a photo.

    Args:
        opened: the file.
        before: size of its decoded image, before it was rotated upright.
        image: the same, upright and RGB.
        profile: the file's colour profile; None is sRGB.
    """
    width, height = opened.width, opened.height
    if image.size != before:  # it was lying on a side
        width, height = height, width
    size = _size(width, height)
    if image.size != size:
        image = image.resize(size, Image.Resampling.BILINEAR)
    return Photo(np.asarray(in_srgb(image, profile)), width, height)
