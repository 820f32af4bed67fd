"""The memory that decoding an image needs, and the image that would need too much."""

import struct
import subprocess
import time
import zlib

import pytest
from PIL import Image

from retrieval_server.errors import ImageError
from retrieval_server.models.image_file import (
    COEFFICIENT_BYTES,
    MAX_PIXELS,
    PIXEL_BYTES,
    LargeImageError,
    open_image,
)
from retrieval_server.models.preprocessing import decode_image
from tests.support.pictures import SIDE, encoded
from tests.support.programs.command import command
from tests.support.programs.image_memory import (
    decode_large_photo,
    decode_long_image,
    decode_without_memory,
    decode_worst_image,
)

INTERPRETER_BYTES = 100 * 2**20  # of a process that has decoded a small image


def png(width: int, height: int) -> bytes:
    """A PNG of a few bytes that declares any size."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(("width", "height"), [(65_535, 1), (1, 65_535), (50_000, 1_000)])
def test_very_long_image_needs_little_memory(width: int, height: int) -> None:
    """Padded literally they would need 12 and 7 GB."""
    decoding = command(decode_long_image, width, height)
    done = subprocess.run(decoding, capture_output=True, text=True, check=True)
    largest_mebibytes = int(done.stdout)
    assert largest_mebibytes < 400


def test_large_photo_is_held_in_memory_once() -> None:
    """48 megapixels are 183 MiB as Pillow holds them; a worker must not need that several times."""
    decoding = command(decode_large_photo)
    done = subprocess.run(decoding, capture_output=True, text=True, check=True)
    largest_mebibytes = int(done.stdout)
    assert largest_mebibytes < 183 + 150


@pytest.mark.parametrize(
    ("kind", "options", "bytes_per_pixel"),
    [
        ("PNG", {}, PIXEL_BYTES),
        ("WEBP", {}, PIXEL_BYTES),
        ("JPEG", {}, PIXEL_BYTES / 16),  # at a quarter of its size
        ("JPEG", {"progressive": True}, PIXEL_BYTES / 16 + COEFFICIENT_BYTES),
    ],
)
def test_image_that_may_need_more_memory_than_there_is_says_how_much(
    kind: str, options: dict[str, object], bytes_per_pixel: float
) -> None:
    data = encoded(Image.new("RGB", (512, 256)), kind, **options)
    needed = int(bytes_per_pixel * 512 * 256)
    with pytest.raises(LargeImageError) as caught:
        open_image(data, lambda width, height: 64, needed - 1)
    assert caught.value.needed_bytes == needed
    assert open_image(data, lambda width, height: 64, needed).width == 512


def test_worst_image_needs_no_more_memory_than_is_counted() -> None:
    """WebP with alpha that lies on a side, of 9 megapixels."""
    decoding = command(decode_worst_image)
    done = subprocess.run(decoding, capture_output=True, text=True, check=True)
    assert int(done.stdout) * 2**20 < PIXEL_BYTES * 9e6 + INTERPRETER_BYTES


def test_image_is_not_called_damaged_for_want_of_memory() -> None:
    """A server may have the memory the next time; a build must not leave the image out."""
    decoding = command(decode_without_memory, 1, 20, 60, 300)
    done = subprocess.run(decoding, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [*["MemoryError"] * 3, "decoded"]


@pytest.mark.parametrize(
    ("width", "height"), [(30_000, 30_000), (10_000, 10_000), (8_193, 8_193), (65_536, 1)]
)
def test_pixel_bomb_is_refused_on_its_header(width: int, height: int) -> None:
    started = time.process_time()
    with pytest.raises(ImageError, match=f"{MAX_PIXELS:,}"):
        decode_image(png(width, height), SIDE)
    assert time.process_time() - started < 0.2
