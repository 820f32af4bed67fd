"""What is no image is refused with an image error and nothing else."""

import contextlib
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from retrieval_server.errors import ImageError
from retrieval_server.models.image_file import FORMATS
from retrieval_server.models.preprocessing import decode_image, read_image
from tests.support.pictures import SIDE, encoded, exif, noise, picture


def pixels_or_message(data: bytes) -> np.ndarray | str:
    try:
        return decode_image(data, SIDE)
    except ImageError as error:
        return str(error)


def test_empty_bytes_are_refused() -> None:
    with pytest.raises(ImageError, match="is empty"):
        decode_image(b"", SIDE)


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"no image at all", "is not"),
        (b"\x89PNG\r\n\x1a\n", "is not"),
        (b"\xff\xd8\xff", "is not"),
        (bytes(1000), "is not"),
        (b'<?xml version="1.0"?>\n<svg width="9" height="9"/>', "is an SVG drawing, and not"),
        (b"<!DOCTYPE html>\n<html><body>404", "is a web page, and not"),
        (b"%PDF-1.7\n1 0 obj\n", "is a PDF, and not"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is PostScript, and not"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "is JPEG XL, and not"),
        (b"8BPS\0\1", "is a Photoshop file, and not"),
        (b"PK\3\4", "is a ZIP archive, or an Office document, and not"),
        (b"\0\0\0\x20ftypisom", "is a video file, and not"),
    ],
)
def test_what_is_no_image_is_refused_and_named(data: bytes, named: str) -> None:
    with pytest.raises(ImageError, match=f"{named} an image in one of the formats JPEG, PNG, WEBP"):
        decode_image(data, SIDE)


NAMED = {
    "DDS": "is a DDS texture, and not",
    "EPS": "is PostScript, and not",
    "ICNS": "is an icon (ICNS), and not",
    "ICO": "is an icon (ICO), and not",
    "JPEG2000": "is JPEG 2000, and not",
    "PDF": "is a PDF, and not",
    "PPM": "is a Netpbm image, and not",
    "QOI": "is a QOI image, and not",
}


def written_by_pillow() -> dict[str, bytes]:
    """An image in every other format that Pillow writes."""
    Image.init()
    found = {}
    for kind in sorted(set(Image.SAVE) - {*FORMATS, "MPO", "HEIF"}):
        for mode in ("RGB", "P", "1", "L", "F"):
            with contextlib.suppress(Exception):  # it does not write this mode
                found.setdefault(kind, encoded(Image.new(mode, (16, 16)), kind))
    return found


def test_every_other_format_of_pillow_is_refused() -> None:
    written = written_by_pillow()
    assert len(written) > 12
    for kind, data in written.items():
        with pytest.raises(ImageError) as caught:
            decode_image(data, SIDE)
        assert f"{NAMED.get(kind, 'is not')} an image in one of the formats" in str(caught.value)


def test_a_plugin_of_pillow_that_is_not_needed_does_not_see_a_byte(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Image.init()
    asked = []
    for kind, (factory, accept) in dict(Image.OPEN).items():

        def noting(prefix: bytes, kind: str = kind, accept: object = accept) -> object:
            asked.append(kind)
            return True if accept is None else accept(prefix)

        monkeypatch.setitem(Image.OPEN, kind, (factory, noting))
    for data in [*REAL_FILES.values(), b"no image at all"]:
        pixels_or_message(data)
    assert set(asked) <= set(FORMATS)
    assert {"JPEG", "PNG", "TIFF"} <= set(asked)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP"])
def test_truncated_image_is_refused(kind: str) -> None:
    data = encoded(noise(60, 60), kind)
    with pytest.raises(ImageError, match=r"image: is (damaged|not an image)"):
        decode_image(data[: len(data) // 2], SIDE)


REAL_FILES = {kind: encoded(noise(24, 16), kind) for kind in (*FORMATS, "MPO")} | {
    "oriented": encoded(picture(), "JPEG", exif=exif((0x0112, 3, struct.pack("<HH", 6, 0)))),
    "deflated TIFF": encoded(picture(), "TIFF", compression="tiff_deflate"),
    "palette": encoded(picture().quantize(16), "PNG", transparency=3),
}


@pytest.mark.filterwarnings("ignore")  # as in production, where a warning stops nothing
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    kind=st.sampled_from(sorted(REAL_FILES)),
    flips=st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255)), max_size=8),
    kept=st.floats(0, 1) | st.just(1.0),
)
def test_damaged_bytes_give_pixels_or_an_image_error_and_nothing_else(
    kind: str, flips: list[tuple[float, int]], kept: float
) -> None:
    data = bytearray(REAL_FILES[kind])
    for place, mask in flips:
        data[int(place * (len(data) - 1))] ^= mask
    outcome = pixels_or_message(bytes(data[: int(kept * len(data))]))
    if isinstance(outcome, str):
        assert outcome.startswith("image: ")
        assert "\n" not in outcome
    else:
        assert outcome.shape == (SIDE, SIDE, 3)


@pytest.mark.parametrize(
    ("name", "problem"),
    [("missing.jpg", "No such file"), (".", "Is a directory"), ("a\0b", "null byte")],
)
def test_unreadable_file_is_an_image_error_that_says_why(
    tmp_path: Path, name: str, problem: str
) -> None:
    with pytest.raises(ImageError, match=problem) as caught:
        read_image(tmp_path / name, SIDE)
    assert str(tmp_path) not in str(caught.value)


def test_fifo_or_device_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.jpg")
    (tmp_path / "device.jpg").symlink_to("/dev/zero")
    for name in ("fifo.jpg", "device.jpg"):
        with pytest.raises(ImageError, match="it is a device or a FIFO"):
            read_image(tmp_path / name, SIDE)
