"""HEIC, the photos of phones: read where the extra ``heic`` (pillow-heif) is installed.

What is read is the primary image, without its thumbnails, depth map and gain map. libheif rotates
it as the container says; EXIF says the same once more, and pillow-heif removes that. Channels of
10 bits become 8 bits.

A file may crop an image (box ``clap``), so that the size which it declares says nothing about the
memory that decoding needs. ``check_heic`` limits the size before the crop.
"""

from __future__ import annotations

import io

from PIL import Image

from retrieval_server.errors import ImageError

try:
    import pillow_heif
except ModuleNotFoundError:
    HEIF: tuple[str, ...] = ()
else:
    HEIF = ("HEIF",)  # Pillow's name of the format
    pillow_heif.register_heif_opener(
        thumbnails=False,
        depth_images=False,
        aux_images=False,
        decode_threads=1,  # callers decode several images at a time
    )

# ISO/IEC 23008-12, annex B: the brands of images and sequences that HEVC encodes
_FILE_TYPE = b"ftyp"
_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_LONGEST_HEAD = 256  # bytes; a list of brands is shorter
_CROP, _IGNORED = b"clap", b"free"  # ISO/IEC 14496-12: readers skip boxes named free


def check_heic(data: bytes, max_pixels: int) -> None:
    """Refuse a HEIC file that is too large, or where nothing is installed that reads it.

    Args:
        data: an image file of any format.
        max_pixels: the limit for the image before it is cropped.

    Raises:
        ImageError: if it is HEIC, and is larger before the crop, or the extra is missing; says how
            to install it.
        DecompressionBombError: if it is far larger; a warning of Pillow may come before.
    """
    if data[4:8] != _FILE_TYPE:
        return
    if not HEIF and _is_heic(data):
        raise ImageError(
            "is a HEIC file, and pillow-heif is not installed where images are decoded. Install it "
            "with: pip install '.[heic]', or save the image as JPEG."
        )
    if HEIF and _CROP in data and _size(data) is not None:  # AVIF has crops too
        size = _size(data.replace(_CROP, _IGNORED))
        if size is None:
            raise ImageError("is damaged: it is cropped, and does not declare its whole size.")
        width, height = size
        if width * height > max_pixels:
            raise ImageError(
                f"has {width} × {height} pixels before it is cropped; at most {max_pixels:,} are "
                "accepted."
            )


def _is_heic(data: bytes) -> bool:
    """Tell whether the box of the file type, the first one, names a brand of HEIC."""
    head = data[8 : min(int.from_bytes(data[:4]), _LONGEST_HEAD)]
    return any(head[place : place + 4] in _BRANDS for place in range(0, len(head), 4))


def _size(data: bytes) -> tuple[int, int] | None:
    """Width and height as the header of a HEIC file declares them; None if nothing can read it."""
    try:
        return Image.open(io.BytesIO(data), formats=HEIF).size
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise
    except Exception:  # as in decode_image: many types, from OSError to SyntaxError
        return None
