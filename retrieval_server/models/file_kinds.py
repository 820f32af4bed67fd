"""What a file is that is no image in an accepted format: named, so that a person knows what to do.

Only the first bytes are compared. Nothing is decoded, and no decoder of Pillow is loaded for it.
"""

from __future__ import annotations

_BEGINNINGS = (
    (b"%PDF-", "a PDF"),
    (b"%!PS", "PostScript"),
    (b"\xc5\xd0\xd3\xc6", "PostScript"),
    (b"8BPS", "a Photoshop file"),
    (b"gimp xcf", "a GIMP file"),
    (b"\0\0\1\0", "an icon (ICO)"),
    (b"icns", "an icon (ICNS)"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"qoif", "a QOI image"),
    (b"DDS ", "a DDS texture"),
    (b"v/1\1", "OpenEXR"),
    (b"#?RADIANCE", "a Radiance image"),
    (b"\xd7\xcd\xc6\x9a", "a Windows metafile"),
    (b"FUJIFILMCCD-RAW", "a camera's raw file"),
    (b"PK\3\4", "a ZIP archive, or an Office document"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"OggS", "a video or audio file"),
    (b"\x1a\x45\xdf\xa3", "a video file"),
    (b"SQLite format 3\0", "a database"),
)
_TEXTS = ((b"<svg", "an SVG drawing"), (b"<html", "a web page"), (b"<!doctype html", "a web page"))
_NETPBM = {b"P%d" % number for number in range(1, 8)}
_HEAD = 1024  # bytes in which a drawing or a web page is recognised
_VIDEO_BRANDS = (b"mp4", b"iso", b"qt  ", b"M4V", b"avc", b"3gp")  # of the box ftyp


def kind_of(data: bytes) -> str:
    """Name the kind of a file, with its article; empty if its first bytes are not known.

    Args:
        data: the file.
    """
    for beginning, kind in _BEGINNINGS:
        if data.startswith(beginning):
            return kind
    if data[4:8] == b"ftyp" and data[8:12].startswith(_VIDEO_BRANDS):
        return "a video file"
    if data[:2] in _NETPBM and data[2:3].isspace():
        return "a Netpbm image"
    head = data[:_HEAD].lower()
    return next((kind for beginning, kind in _TEXTS if beginning in head), "")
