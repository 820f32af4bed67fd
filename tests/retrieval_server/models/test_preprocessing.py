"""A query image becomes a square of upright RGB pixels, whatever its format."""

import io
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, TiffImagePlugin

from retrieval_server.errors import ImageError
from retrieval_server.models.image_file import FORMATS
from retrieval_server.models.preprocessing import decode_image, read_image
from tests.support.pictures import SIDE, encoded, exif, noise, picture

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
# One TIFF directory entry each; Pillow cannot write any of them back.
MALFORMED_TAGS = {
    "negative width": (0x0100, 9, struct.pack("<i", -5)),
    "resolution unit in letters": (0x0128, 2, b"abc\0"),
    "artist as a number": (0x013B, 5, struct.pack("<I", 8)),
    "maker note beyond the end": (0x927C, 7, struct.pack("<I", 99_999)),
}


def padded_then_resized(image: Image.Image, side: int) -> np.ndarray:
    """The definition, taken literally."""
    square = max(image.size)
    canvas = Image.new("RGB", (square, square), WHITE)
    canvas.paste(image, ((square - image.width) // 2, (square - image.height) // 2))
    return np.asarray(canvas.resize((side, side), Image.Resampling.BILINEAR))


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


def png_16(levels: np.ndarray, colour_type: int, transparent: tuple[int, ...]) -> bytes:
    """A PNG of 16 bits with a transparent colour, which Pillow cannot write.

    Args:
        levels: (H, W) or (H, W, 3) uint16.
        colour_type: 0 for grey, 2 for RGB.
        transparent: the colour.
    """

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    height, width = levels.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in levels)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0))
        + chunk(b"tRNS", struct.pack(f">{len(transparent)}H", *transparent))
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def test_transparent_colour_of_sixteen_bit_grey_is_white_and_no_other_is() -> None:
    levels = np.full((SIDE, SIDE), 40_000, np.uint16)
    levels[:, :8], levels[:, 8:16] = 0, 1
    decoded = decode_image(png_16(levels, 0, (0,)), SIDE)
    assert decoded[0, ::8, 0].tolist() == [255, 0, 156, 156]  # 40000 / 257 is 155.6


def test_transparent_colour_of_sixteen_bit_rgb_is_white() -> None:
    levels = np.full((SIDE, SIDE, 3), (50_000, 300, 40_000), np.uint16)
    levels[:, :16] = (1_000, 60_000, 30_000)
    decoded = decode_image(png_16(levels, 2, (1_000, 60_000, 30_000)), SIDE)
    assert decoded[0, 0].tolist() == [255, 255, 255]
    assert decoded[0, 31].tolist() == [195, 1, 156]  # the upper 8 bits, as Pillow reads 16


def test_sixteen_bit_grey_tiff_whose_zero_is_white_is_not_inverted() -> None:
    image = Image.fromarray(np.full((SIDE, SIDE), 65_535, np.uint16))
    data = encoded(image, "TIFF")
    entry = struct.pack("<HHI", TiffImagePlugin.PHOTOMETRIC_INTERPRETATION, 3, 1)
    at = data.index(entry) + len(entry)
    inverted = data[:at] + struct.pack("<H", 0) + data[at + 2 :]
    assert (decode_image(data, SIDE) == 255).all()
    assert (decode_image(inverted, SIDE) == 0).all()


def test_integers_of_32_bits_are_refused_because_their_range_is_unknown() -> None:
    image = Image.fromarray(np.array([[0, 40_000]], np.int32))
    with pytest.raises(ImageError, match="32-bit pixels; save it with 8 or 16 bits"):
        decode_image(encoded(image, "TIFF"), SIDE)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}])
def test_jpeg_without_its_end_marker_has_the_same_pixels(options: dict[str, object]) -> None:
    data = encoded(noise(70, 50), "JPEG", **options)
    whole = decode_image(data, SIDE)
    for ending in (b"", b"\xff", b"\r\n"):
        assert np.array_equal(decode_image(data[:-2] + ending, SIDE), whole)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}])
@pytest.mark.parametrize("missing", [4, 12, 100, 1_000])
def test_jpeg_that_lacks_pixels_too_is_refused(options: dict[str, object], missing: int) -> None:
    data = encoded(noise(70, 50), "JPEG", **options)
    with pytest.raises(ImageError, match="is damaged: image file is truncated"):
        decode_image(data[: -2 - missing], SIDE)


@pytest.mark.parametrize(("width", "height"), [(700, 500), (130, 900), (640, 640), (900, 1)])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_large_jpeg_is_decoded_at_a_part_of_its_size_to_almost_the_same_pixels(
    mode: str, width: int, height: int
) -> None:
    smooth = picture().resize((width, height), Image.Resampling.BICUBIC)
    data = encoded(smooth.convert(mode), "JPEG")
    exact = padded_then_resized(Image.open(io.BytesIO(data)).convert("RGB"), SIDE)
    decoded = decode_image(data, SIDE)
    inner = slice(SIDE // 2 - 2, SIDE // 2 + 2)  # the edge of the padding moves by half a pixel
    assert largest_difference(decoded[inner, inner], exact[inner, inner]) <= 8


def test_drafted_jpeg_is_turned_upright() -> None:
    upright = picture().resize((600, 400))
    tags = Image.Exif()
    tags[ExifTags.Base.Orientation] = 6
    data = encoded(upright.transpose(Image.Transpose.ROTATE_90), "JPEG", exif=tags)
    decoded, exact = decode_image(data, SIDE), padded_then_resized(upright, SIDE)
    inner = slice(8, 24)
    assert largest_difference(decoded[inner], exact[inner]) <= 6
