"""Programs that decode one image and print how much memory they needed."""

import io
import resource
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


def decode_without_memory() -> None:
    """Decode PNGs while the process may take some MiB more, as the arguments say."""
    buffer = io.BytesIO()
    Image.new("RGB", (4000, 4000)).save(buffer, "PNG", compress_level=1)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    for mebibytes in map(int, sys.argv[1:]):
        resource.setrlimit(resource.RLIMIT_AS, (size + mebibytes * 2**20, resource.RLIM_INFINITY))
        try:
            decode_image(buffer.getvalue(), 480)
        except Exception as error:
            outcome = type(error).__name__
        else:
            outcome = "decoded"
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
        sys.stdout.write(f"{outcome} ")


def print_peak_mebibytes() -> None:
    status = Path("/proc/self/status").read_text()  # ru_maxrss would count the parent's memory
    sys.stdout.write(str(int(status.split("VmHWM:")[1].split()[0]) // 1024))
