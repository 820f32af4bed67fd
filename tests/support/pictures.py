"""Images to decode, in every format."""

import io
import struct

import numpy as np
from PIL import Image

SIDE = 32
FAITHFUL = {  # as near to lossless as the format goes
    "JPEG": {"quality": 100, "subsampling": 0},
    "MPO": {"quality": 100, "subsampling": 0},
    "WEBP": {"lossless": True, "exact": True},
    "AVIF": {"quality": 100, "subsampling": "4:4:4"},
    "HEIF": {"quality": -1, "chroma": 444},
}


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **(FAITHFUL.get(kind, {}) | options))
    return buffer.getvalue()


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def picture() -> Image.Image:
    """30 × 20, smooth, and different in every corner, so that a lossy format keeps it."""
    columns, rows = np.meshgrid(np.linspace(0, 1, 30), np.linspace(0, 1, 20))
    planes = (255 * columns, 255 * rows, 255 * columns * rows)
    return Image.fromarray(np.stack(planes, axis=-1).astype(np.uint8))


def exif(*entries: tuple[int, int, bytes]) -> bytes:
    """A little-endian EXIF block with these (tag, type, value) entries."""
    body = b"".join(
        struct.pack("<HHI", tag, kind, 1) + value for tag, kind, value in sorted(entries)
    )
    return b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + body + bytes(4)
