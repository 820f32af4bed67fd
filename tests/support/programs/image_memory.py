"""Programs that decode one image and print how much memory they needed."""

import io
import sys
from pathlib import Path

from PIL import ExifTags, Image

from retrieval_server.models.preprocessing import decode_image


def decode_long_image() -> None:
    """Decode a grey PNG; the arguments are its width and height in pixels."""
    width, height = map(int, sys.argv[1:])
    buffer = io.BytesIO()
    Image.new("L", (width, height)).save(buffer, "PNG")
    decode_image(buffer.getvalue(), 480)
    print_peak_mebibytes()


def decode_large_photo() -> None:
    """Decode a JPEG of 48 megapixels."""
    image = Image.new("RGB", (8000, 6000))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG")
    del image
    decode_image(buffer.getvalue(), 320)
    print_peak_mebibytes()


def decode_worst_image() -> None:
    """Decode a WebP of 9 megapixels with an alpha channel, which has to be rotated."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    buffer = io.BytesIO()
    Image.new("RGBA", (3000, 3000)).save(buffer, "WEBP", quality=1, method=0, exif=exif.tobytes())
    decode_image(buffer.getvalue(), 480)
    print_peak_mebibytes()


def print_peak_mebibytes() -> None:
    status = Path("/proc/self/status").read_text()  # ru_maxrss would count the parent's memory
    sys.stdout.write(str(int(status.split("VmHWM:")[1].split()[0]) // 1024))
