"""From encoded bytes to the square of pixels that the backbones see."""

import io
import struct
import subprocess
import sys
import textwrap
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image

from retrieval_server.errors import ImageError
from retrieval_server.models.preprocessing import FORMATS, MAX_PIXELS, decode_image, read_image

SIDE = 32
ORIENTED_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "AVIF")
RED, WHITE = (255, 0, 0), (255, 255, 255)
# The transpositions that a camera undoes by writing orientation 1..8 (tag 0x0112).
AS_STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
FAITHFUL = {  # as near to lossless as the format goes
    "JPEG": {"quality": 100, "subsampling": 0},
    "MPO": {"quality": 100, "subsampling": 0},
    "WEBP": {"lossless": True, "exact": True},
    "AVIF": {"quality": 100, "subsampling": "4:4:4"},
}
# One TIFF directory entry each; Pillow cannot write any of them back.
MALFORMED_TAGS = {
    "negative width": (0x0100, 9, struct.pack("<i", -5)),
    "resolution unit in letters": (0x0128, 2, b"abc\0"),
    "artist as a number": (0x013B, 5, struct.pack("<I", 8)),
    "maker note beyond the end": (0x927C, 7, struct.pack("<I", 99_999)),
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


def padded_then_resized(image: Image.Image, side: int) -> np.ndarray:
    """The definition, taken literally."""
    square = max(image.size)
    canvas = Image.new("RGB", (square, square), WHITE)
    canvas.paste(image, ((square - image.width) // 2, (square - image.height) // 2))
    return np.asarray(canvas.resize((side, side), Image.Resampling.BILINEAR))


def png(width: int, height: int) -> bytes:
    """A PNG of a few bytes that declares any size."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def exif(*entries: tuple[int, int, bytes]) -> bytes:
    """A little-endian EXIF block with these (tag, type, value) entries."""
    body = b"".join(
        struct.pack("<HHI", tag, kind, 1) + value for tag, kind, value in sorted(entries)
    )
    return b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + body + bytes(4)


def pixels_or_message(data: bytes) -> np.ndarray | str:
    try:
        return decode_image(data, SIDE)
    except ImageError as error:
        return str(error)


def largest_difference(left: np.ndarray, right: np.ndarray) -> int:
    return int(np.abs(left.astype(int) - right.astype(int)).max())


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_that_the_protocol_names_is_decoded(kind: str) -> None:
    limit = 24 if kind == "GIF" else 3  # grey levels: 256 colours; rounding in YCbCr
    decoded = decode_image(encoded(picture(), kind), SIDE)
    assert decoded.shape == (SIDE, SIDE, 3)
    assert decoded.dtype == np.uint8
    assert largest_difference(decoded, padded_then_resized(picture(), SIDE)) <= limit


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "TIFF", "PNG", "AVIF"])
def test_first_frame_of_an_animation_is_the_one_that_counts(kind: str) -> None:
    first, second = Image.new("RGB", (8, 8), RED), Image.new("RGB", (8, 8), "blue")
    data = encoded(first, kind, save_all=True, append_images=[second])
    assert largest_difference(decode_image(data, SIDE), np.full((1, 1, 3), RED)) <= 2


def test_phone_jpeg_with_a_second_picture_inside_is_read_as_its_first() -> None:
    data = encoded(picture(), "MPO", save_all=True, append_images=[Image.new("RGB", (30, 20))])
    assert np.array_equal(decode_image(data, SIDE), decode_image(encoded(picture(), "JPEG"), SIDE))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ORIENTED_FORMATS)
def test_every_exif_orientation_gives_the_same_upright_pixels(kind: str, orientation: int) -> None:
    transposition = AS_STORED[orientation]
    stored = picture() if transposition is None else picture().transpose(transposition)
    tags = Image.Exif()
    tags[ExifTags.Base.Orientation] = orientation
    decoded = decode_image(encoded(stored, kind, exif=tags), SIDE)
    # A wrong turn differs by 255 in a corner.
    assert largest_difference(decoded, padded_then_resized(picture(), SIDE)) <= 3


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("malformed", MALFORMED_TAGS.values(), ids=list(MALFORMED_TAGS))
@pytest.mark.filterwarnings("ignore")  # Pillow warns of them
def test_malformed_exif_tag_keeps_no_photo_from_being_turned_upright(
    kind: str, malformed: tuple[int, int, bytes]
) -> None:
    sideways = picture().transpose(Image.Transpose.ROTATE_90)
    tags = exif((ExifTags.Base.Orientation, 3, struct.pack("<HH", 6, 0)), malformed)
    decoded = decode_image(encoded(sideways, kind, exif=tags), SIDE)
    assert largest_difference(decoded, padded_then_resized(picture(), SIDE)) <= 3


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.filterwarnings("ignore")
def test_photo_with_an_unreadable_exif_block_is_taken_as_it_is_stored(kind: str) -> None:
    decoded = decode_image(encoded(picture(), kind, exif=b"Exif\0\0no TIFF header"), SIDE)
    assert largest_difference(decoded, padded_then_resized(picture(), SIDE)) <= 3


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_is_turned_into_rgb(kind: str) -> None:
    red = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    assert largest_difference(decode_image(encoded(red, kind), SIDE), np.full((1, 1, 3), RED)) <= 2


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_scaled_to_eight_and_not_clipped(kind: str) -> None:
    levels = np.array([[0, 128, 129, 257], [32_768, 32_896, 65_406, 65_407]], dtype=np.uint16)
    square = np.repeat(np.repeat(levels, 16, axis=0), 8, axis=1)  # (32, 32)
    decoded = decode_image(encoded(Image.fromarray(square), kind), SIDE)
    # 65535 = 255 × 257, so level g is g / 257, rounded to nearest.
    assert decoded[::16, ::8, 0].tolist() == [[0, 0, 1, 1], [128, 128, 254, 255]]
    assert np.array_equal(decoded[..., 0], decoded[..., 2])


def test_one_bit_image_is_black_and_white() -> None:
    image = Image.new("1", (SIDE, SIDE), 1)
    image.paste(0, (0, 0, SIDE, SIDE // 2))
    decoded = decode_image(encoded(image, "PNG"), SIDE)
    assert decoded[0, 0].tolist() == [0, 0, 0]
    assert decoded[-1, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_composited_on_white(mode: str) -> None:
    colour = (200, 100, 0) if mode == "RGBA" else (100,)
    image = Image.new(mode, (SIDE, SIDE), (*colour, 0))
    image.paste((*colour, 255), (0, 0, SIDE, 10))
    image.paste((*colour, 51), (0, 10, SIDE, 20))  # one fifth: 255 - (255 - c) / 5
    expected = colour if mode == "RGBA" else colour * 3
    decoded = decode_image(encoded(image, "PNG"), SIDE)
    assert decoded[0, 0].tolist() == list(expected)
    assert largest_difference(decoded[15, 0], 255 - (255 - np.array(expected)) // 5) <= 1
    assert decoded[-1, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize("mode", ["P", "L", "RGB", "1"])
def test_colour_declared_transparent_is_white(mode: str) -> None:
    image = Image.new("RGB", (SIDE, SIDE), "black").convert(mode)
    transparent = (0, 0, 0) if mode == "RGB" else image.getpixel((0, 0))
    decoded = decode_image(encoded(image, "PNG", transparency=transparent), SIDE)
    assert (decoded == 255).all()


def test_palette_image_with_a_translucent_entry_is_composited_on_white() -> None:
    image = Image.new("P", (SIDE, SIDE), 1)
    image.putpalette([0, 0, 0, 200, 100, 0])
    decoded = decode_image(encoded(image, "PNG", transparency=bytes([255, 51])), SIDE)
    assert largest_difference(decoded, np.full((1, 1, 3), (244, 224, 204))) <= 1


def test_floating_point_pixels_are_refused_because_their_range_is_unknown() -> None:
    image = Image.fromarray(np.full((4, 4), 0.5, np.float32))
    with pytest.raises(ImageError, match="8 or 16 bits"):
        decode_image(encoded(image, "TIFF"), SIDE)


@pytest.mark.parametrize(("width", "height"), [(SIDE, SIDE // 2), (SIDE // 2, SIDE)])
def test_padding_is_white_and_centred(width: int, height: int) -> None:
    decoded = decode_image(encoded(Image.new("RGB", (width, height), RED), "PNG"), SIDE)
    if width < height:
        decoded = decoded.transpose(1, 0, 2)
    assert (decoded[:8] == WHITE).all()
    assert (decoded[8:24] == RED).all()
    assert (decoded[24:] == WHITE).all()


def test_odd_pixel_of_padding_goes_below() -> None:
    decoded = decode_image(encoded(Image.new("RGB", (SIDE, SIDE - 3), RED), "PNG"), SIDE)
    is_white = (decoded == 255).all(axis=(1, 2))
    assert is_white.nonzero()[0].tolist() == [0, 30, 31]


@pytest.mark.parametrize(
    ("width", "height"),
    [(1, 1), (3, 2), (2, 3), (1, 40), (31, 33), (64, 64), (200, 37), (37, 201), (500, 3), (7, 900)],
)
@pytest.mark.parametrize("side", [32, 45])
def test_result_is_that_of_padding_first_and_resizing_then(
    width: int, height: int, side: int
) -> None:
    image = noise(width, height)
    decoded = decode_image(encoded(image, "PNG"), side)
    # The two axes are rounded to 8 bits in another order than Pillow's: one grey level.
    assert largest_difference(decoded, padded_then_resized(image, side)) <= 1


def test_image_of_the_right_size_is_not_touched() -> None:
    image = noise(SIDE, SIDE)
    assert np.array_equal(decode_image(encoded(image, "PNG"), SIDE), np.asarray(image))


@pytest.mark.parametrize(("width", "height"), [(65_535, 1), (1, 65_535), (50_000, 1_000)])
def test_very_long_image_needs_little_memory(width: int, height: int) -> None:
    """Padded literally they would need 12 and 7 GB."""
    decoding = textwrap.dedent(f"""
        import io
        from pathlib import Path
        from PIL import Image
        from retrieval_server.models.preprocessing import decode_image
        buffer = io.BytesIO()
        Image.new("L", ({width}, {height})).save(buffer, "PNG")
        decode_image(buffer.getvalue(), 480)
        status = Path("/proc/self/status").read_text()  # ru_maxrss would count the parent's memory
        print(int(status.split("VmHWM:")[1].split()[0]) // 1024)
    """)
    done = subprocess.run(
        [sys.executable, "-c", decoding], capture_output=True, text=True, check=True
    )
    largest_mebibytes = int(done.stdout)
    assert largest_mebibytes < 400


def test_large_photo_is_held_in_memory_once() -> None:
    """48 megapixels are 183 MiB as Pillow holds them; a worker must not need that several times."""
    decoding = textwrap.dedent("""
        import io
        from pathlib import Path
        from PIL import Image
        from retrieval_server.models.preprocessing import decode_image
        image = Image.new("RGB", (8000, 6000))
        buffer = io.BytesIO()
        image.save(buffer, "JPEG")
        del image
        decode_image(buffer.getvalue(), 320)
        status = Path("/proc/self/status").read_text()  # ru_maxrss would count the parent's memory
        print(int(status.split("VmHWM:")[1].split()[0]) // 1024)
    """)
    done = subprocess.run(
        [sys.executable, "-c", decoding], capture_output=True, text=True, check=True
    )
    largest_mebibytes = int(done.stdout)
    assert largest_mebibytes < 183 + 150


@pytest.mark.parametrize(
    ("width", "height"), [(30_000, 30_000), (10_000, 10_000), (7_072, 7_072), (65_536, 1)]
)
def test_pixel_bomb_is_refused_on_its_header(width: int, height: int) -> None:
    started = time.process_time()
    with pytest.raises(ImageError, match=f"{MAX_PIXELS:,}"):
        decode_image(png(width, height), SIDE)
    assert time.process_time() - started < 0.2


def test_empty_bytes_are_refused() -> None:
    with pytest.raises(ImageError, match="is empty"):
        decode_image(b"", SIDE)


@pytest.mark.parametrize(
    "data",
    [
        b"no image at all",
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff",
        b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
        b"%PDF-1.7\n1 0 obj\n",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        encoded(Image.new("RGB", (8, 8)), "ICO"),
        encoded(Image.new("RGB", (8, 8)), "JPEG2000"),
        bytes(1000),
    ],
    ids=["text", "PNG head", "JPEG head", "SVG", "PDF", "EPS", "ICO", "JPEG 2000", "zeros"],
)
def test_what_is_no_image_in_a_known_format_is_refused(data: bytes) -> None:
    with pytest.raises(ImageError, match="is not an image in one of the formats JPEG, PNG, WEBP"):
        decode_image(data, SIDE)


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


def test_many_threads_decode_to_the_same_pixels() -> None:
    files = [encoded(noise(90, 70, seed), kind) for seed in range(3) for kind in FORMATS]
    expected = [decode_image(data, SIDE) for data in files]
    with ThreadPoolExecutor(8) as executor:
        again = list(executor.map(lambda data: decode_image(data, SIDE), files * 5))
    for number, decoded in enumerate(again):
        assert np.array_equal(decoded, expected[number % len(files)])


def test_file_is_read_like_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(encoded(picture(), "PNG"))
    assert np.array_equal(read_image(path, SIDE), decode_image(path.read_bytes(), SIDE))


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
