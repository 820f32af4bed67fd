"""HEIC, the photos of phones: read where the extra ``heic`` (pillow-heif) is installed.

What is read is the primary image, without its thumbnails, depth map and gain map. libheif rotates
it as the container says; EXIF says the same once more, and pillow-heif removes that. Channels of
10 bits become 8 bits.

libheif refuses a stream with more pixels than its item declares. But the size of the whole image
does not limit what is decoded for it: see ``heif_boxes``. ``check_heic`` does.
"""

from __future__ import annotations

from retrieval_server.errors import ImageError
from retrieval_server.models.heif_boxes import decoded_pixels

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

_FILE_TYPE = b"ftyp"
# ISO/IEC 23008-12, annex B: the brands of images and sequences that HEVC encodes
_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_ANY_CODEC = {b"mif1", b"msf1"}  # pillow-heif opens these too
_LONGEST_HEAD = 256  # bytes; a list of brands is shorter
_TOGETHER = 2  # times the limit of one image: its colours and its alpha channel


def check_heic(data: bytes, max_pixels: int) -> None:
    """Refuse a HEIC file that takes too much to decode, or that nothing installed reads.

    Args:
        data: an image file of any format.
        max_pixels: the limit for one image.

    Raises:
        ImageError: if it is HEIC, and the extra is missing; says how to install it. Or if it
            contains a larger image, or its images have more than twice that limit together.
    """
    if data[4:8] != _FILE_TYPE:
        return
    if not HEIF and _is_heic(data):
        raise ImageError(
            "is a HEIC file, and pillow-heif is not installed where images are decoded. Install it "
            "with: pip install '.[heic]', or save the image as JPEG."
        )
    if HEIF and data[8:12] in _BRANDS | _ANY_CODEC:
        _check_pixels(data, max_pixels)


def _check_pixels(data: bytes, max_pixels: int) -> None:
    try:
        pixels = decoded_pixels(data)
    except ValueError as error:
        raise ImageError(f"is damaged: {error}.") from error
    if pixels.largest > max_pixels:
        raise ImageError(
            f"contains an image of {pixels.largest:,} pixels; at most {max_pixels:,} are accepted."
        )
    if pixels.together > _TOGETHER * max_pixels:
        raise ImageError(
            f"is put together from {pixels.together:,} pixels; at most "
            f"{_TOGETHER * max_pixels:,} are accepted."
        )


def _is_heic(data: bytes) -> bool:
    """Tell whether the box of the file type, the first one, names a brand of HEIC."""
    head = data[8 : min(int.from_bytes(data[:4]), _LONGEST_HEAD)]
    return any(head[place : place + 4] in _BRANDS for place in range(0, len(head), 4))
