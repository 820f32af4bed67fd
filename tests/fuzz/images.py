"""The decoders of photos: for the backbones, and for both backbones and reader."""

import struct
from pathlib import Path

import numpy as np
from PIL import Image

from retrieval_server.errors import ImageError
from retrieval_server.models.image_file import FORMATS
from retrieval_server.models.photo import decode_square_and_photo
from retrieval_server.models.preprocessing import decode_image
from tests.fuzz.target import Prepared, Target
from tests.support.colour_profiles import ADOBE_RGB, profile
from tests.support.heif_files import Item, grid, heif_file
from tests.support.pictures import SIDE, encoded, exif, noise, picture


def _prepare(folder: Path) -> Prepared:
    lying = exif((0x0112, 3, struct.pack("<HH", 6, 0)))
    tiles = heif_file(
        {1: Item(b"grid", (16, 8), grid(2, 1, 16, 8)), 2: Item(b"hvc1", (8, 8))},
        [(b"dimg", 1, [2, 2])],
    )
    seeds = (
        *(encoded(noise(24, 16), kind) for kind in (*FORMATS, "MPO")),
        encoded(picture(), "JPEG", exif=lying, progressive=True),
        encoded(picture(), "JPEG", icc_profile=profile(ADOBE_RGB)),
        encoded(picture().quantize(16), "PNG", transparency=3),
        encoded(picture().convert("I;16"), "PNG"),
        encoded(picture().convert("LA"), "PNG", exif=lying),
        encoded(picture().convert("CMYK"), "JPEG"),
        encoded(picture(), "TIFF", compression="tiff_deflate"),
        encoded(picture(), "TIFF", compression="tiff_lzw"),
        encoded(picture().convert("1"), "TIFF", compression="group4"),
        encoded(picture().convert("RGBA"), "WEBP"),
        encoded(Image.new("P", (9, 9)), "GIF", save_all=True, append_images=[noise(9, 9)]),
        tiles,
    )
    return Prepared(_read, seeds)


def _read(data: bytes) -> None:
    square = decode_image(data, SIDE)
    both, photo = decode_square_and_photo(data, SIDE)
    assert square.shape == (SIDE, SIDE, 3)
    assert np.array_equal(both, square)
    assert min(photo.pixels.shape) >= 1


IMAGES = Target("images", _prepare, (ImageError,), cost=6, memory_mib=2048)
