"""The catalogue's pictures by the paths that results name; no other file is given out."""

from pathlib import Path

_HEAD_BYTES = 16
_SIGNATURES = (  # (offset, bytes, media type), as the formats' specifications have them
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (8, b"WEBP", "image/webp"),
    (4, b"ftypavif", "image/avif"),
    (4, b"ftypavis", "image/avif"),
    (4, b"ftypheic", "image/heic"),  # Safari shows it
    (4, b"ftypheix", "image/heic"),
    (4, b"ftypmif1", "image/heif"),
    (0, b"GIF8", "image/gif"),
    (0, b"BM", "image/bmp"),
    (0, b"II*\0", "image/tiff"),
    (0, b"MM\0*", "image/tiff"),
)


def picture_file(catalogue: Path, image: str) -> tuple[Path, str] | None:
    """Find a product's picture.

    Args:
        catalogue: folder to which the catalogue's image paths are relative.
        image: the path, as a result names it; it is not trusted.

    Returns:
        The file and its media type; None if it leads out of the folder (by ``..``, an absolute
        path or a link), does not exist, or its content is no picture, whatever its name.
    """
    root = catalogue.resolve()
    try:
        path = (root / image).resolve()
        if not path.is_relative_to(root) or not path.is_file():
            return None
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except (OSError, ValueError):  # ValueError: a null byte in the path
        return None
    for offset, signature, media_type in _SIGNATURES:
        if head.startswith(signature, offset):
            return path, media_type
    return None
