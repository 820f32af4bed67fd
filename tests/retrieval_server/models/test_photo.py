"""The photo that words are read from, beside the backbones' square."""

import io

import numpy as np
import pytest
from PIL import Image

from retrieval_server.errors import ImageError
from retrieval_server.models.photo import LONGEST_SIDE, decode_photo, decode_square_and_photo
from retrieval_server.models.preprocessing import decode_image
from tests.support.colour_profiles import DISPLAY_P3, profile

SIDE = 320


def gradient(width: int, height: int) -> Image.Image:
    rows, columns = np.mgrid[:height, :width]
    return Image.fromarray(
        np.stack(
            [255 * columns / width, 255 * rows / height, np.full_like(rows, 90)], axis=2
        ).astype(np.uint8)
    )


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("size", [(1, 1), (300, 200), (2000, 1500), (2000, 10)])
def test_image_up_to_the_reader_s_size_keeps_its_pixels(size: tuple[int, int]) -> None:
    image = gradient(*size)
    photo = decode_photo(encoded(image))
    assert np.array_equal(photo.pixels, np.asarray(image))
    assert (photo.width, photo.height) == size


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((3000, 4000), (1500, 2000)),
        ((2500, 1000), (2000, 800)),
        ((65_000, 1), (2000, 1)),
    ],
)
def test_larger_image_is_reduced_to_it(size: tuple[int, int], expected: tuple[int, int]) -> None:
    photo = decode_photo(encoded(gradient(*size)))
    assert photo.pixels.shape[1::-1] == expected
    assert max(expected) == LONGEST_SIDE
    assert (photo.width, photo.height) == size


@pytest.mark.parametrize(
    ("orientation", "is_lying"), [(1, False), (3, False), (6, True), (8, True)]
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_photo_is_upright_and_so_is_its_size(kind: str, orientation: int, is_lying: bool) -> None:
    tags = Image.Exif()
    tags[0x0112] = orientation
    photo = decode_photo(encoded(gradient(2400, 1600), kind, exif=tags))
    assert (photo.width, photo.height) == ((1600, 2400) if is_lying else (2400, 1600))
    assert photo.pixels.shape[1::-1] == ((1333, 2000) if is_lying else (2000, 1333))


def test_photo_is_in_srgb() -> None:
    data = encoded(gradient(64, 64), icc_profile=profile(DISPLAY_P3))
    square, photo = decode_square_and_photo(data, 64)
    assert np.array_equal(photo.pixels, square)
    assert not np.array_equal(photo.pixels, np.asarray(gradient(64, 64)))


@pytest.mark.parametrize(
    ("kind", "size"),
    [
        ("PNG", (300, 200)),
        ("GIF", (1000, 900)),
        ("WEBP", (90, 3000)),
        ("JPEG", (300, 200)),
        ("JPEG", (1000, 900)),
        ("JPEG", (4200, 600)),  # at a half for the photo, at a quarter for the square
        ("JPEG", (90, 3000)),
    ],
)
@pytest.mark.parametrize("end", [True, False])
def test_square_and_photo_are_what_each_is_by_itself(
    kind: str, size: tuple[int, int], end: bool
) -> None:
    data = encoded(gradient(*size), kind)
    data = data if end or kind != "JPEG" else data[:-2]
    square, photo = decode_square_and_photo(data, SIDE)
    assert np.array_equal(square, decode_image(data, SIDE))
    alone = decode_photo(data)
    assert np.array_equal(photo.pixels, alone.pixels)
    assert (photo.width, photo.height) == (alone.width, alone.height) == size


@pytest.mark.parametrize("data", [b"", b"no image", encoded(gradient(400, 400))[:900]])
def test_unusable_image_has_the_reason_that_the_square_gives(data: bytes) -> None:
    with pytest.raises(ImageError) as expected:
        decode_image(data, SIDE)
    for decode in (decode_photo, lambda data: decode_square_and_photo(data, SIDE)):
        with pytest.raises(ImageError) as caught:
            decode(data)
        assert str(caught.value) == str(expected.value)
