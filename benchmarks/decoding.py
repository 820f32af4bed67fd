"""Measure the decoding of photos: time of a phone's photo, memory of the largest images.

``make bench-decoding`` prints:

1. The time to turn a JPEG of 12 megapixels into the pixels of a backbone, at a part of its size and
   at its whole size in turn, and the time that the conversion of a colour profile adds.
2. The memory and the time that an image of the largest size needs, by format, each in a process of
   its own. The images are of one colour, so their files are small: the worst a caller can send.
"""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable
from statistics import median
from typing import Any
from unittest.mock import patch

from PIL import ExifTags, Image, ImageCms
from rich.console import Console
from rich.table import Table

from benchmarks.child_process import in_child_process, measured
from retrieval_server.models import image_file
from retrieval_server.models.image_file import MAX_PIXELS
from retrieval_server.models.preprocessing import decode_image

SIDE = 480  # of the profile paper
PHOTO = (4_000, 3_000)
ROUNDS = 15
LARGEST = math.isqrt(MAX_PIXELS)
ON_ITS_SIDE = Image.Exif()
ON_ITS_SIDE[ExifTags.Base.Orientation] = 6
KINDS: dict[str, tuple[str, str, dict[str, Any]]] = {  # Pillow's mode, format and options
    "JPEG": ("RGB", "JPEG", {}),
    "JPEG, progressive": ("RGB", "JPEG", {"progressive": True}),
    "JPEG, CMYK": ("CMYK", "JPEG", {}),
    "PNG": ("RGB", "PNG", {"compress_level": 1}),
    "PNG with alpha": ("RGBA", "PNG", {"compress_level": 1}),
    "PNG, grey with alpha": ("LA", "PNG", {"compress_level": 1}),
    "PNG, palette with a transparent colour": ("P", "PNG", {"transparency": 0}),
    "PNG, 16-bit grey": ("I;16", "PNG", {"compress_level": 1}),
    "WebP": ("RGB", "WEBP", {"quality": 1, "method": 0}),
    "WebP with alpha": ("RGBA", "WEBP", {"quality": 1, "method": 0}),
    "WebP with alpha, on its side": (
        "RGBA",
        "WEBP",
        {"quality": 1, "method": 0, "exif": ON_ITS_SIDE.tobytes()},
    ),
    "AVIF": ("RGB", "AVIF", {"speed": 10}),
    "GIF": ("P", "GIF", {}),
    "TIFF": ("RGB", "TIFF", {"compression": "tiff_deflate"}),
    "BMP": ("RGB", "BMP", {}),
}


def main() -> None:
    """Run the benchmark."""
    console = Console()
    console.print(_times())
    table = Table("an image of the largest size", "MiB at the peak", "bytes a pixel", "s")
    for name, kind in KINDS.items():
        peak_bytes, wall_s = in_child_process(_needs, *kind)
        per_pixel = f"{peak_bytes / LARGEST**2:.1f}"
        table.add_row(name, f"{peak_bytes / 2**20:,.0f}", per_pixel, f"{wall_s:.2f}")
    console.print(table)


def _times() -> Table:
    photo = Image.effect_noise((PHOTO[0] // 8, PHOTO[1] // 8), 60).convert("RGB").resize(PHOTO)
    data = _encoded(photo, "JPEG", quality=90)
    other = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    other = other.replace(b"s\0R\0G\0B", b"o\0t\0h\0r").replace(b"sRGB", b"othr")  # to be converted
    profiled = _encoded(photo, "JPEG", quality=90, icc_profile=other)
    parts, wholes, converted = [], [], []
    for _ in range(ROUNDS):
        parts.append(_ms(lambda: decode_image(data, SIDE)))
        converted.append(_ms(lambda: decode_image(profiled, SIDE)))
        with patch.object(image_file, "_draft", lambda image, side: None):
            wholes.append(_ms(lambda: decode_image(data, SIDE)))
    table = Table(
        f"a JPEG of {PHOTO[0] * PHOTO[1] / 1e6:.0f} megapixels, to {SIDE} pixels", "ms", ""
    )
    whole, part = median(wholes), median(parts)
    table.add_row("decoded at its whole size", f"{whole:.1f}", "")
    table.add_row(
        "decoded at a part of its size", f"{part:.1f}", f"{whole / part:.1f} times as fast"
    )
    table.add_row("the same with a colour profile", f"{median(converted):.1f}", "")
    return table


def _needs(mode: str, kind: str, options: dict[str, Any]) -> tuple[int, float]:
    """Bytes at the peak, and seconds, to decode one image of the largest size."""
    data = in_child_process(_largest, mode, kind, options)
    done = measured(lambda: decode_image(data, SIDE))
    return done.peak_bytes, done.wall_s


def _largest(mode: str, kind: str, options: dict[str, Any]) -> bytes:
    return _encoded(Image.new(mode, (LARGEST, LARGEST)), kind, **options)


def _encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _ms(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - started)


if __name__ == "__main__":
    main()
