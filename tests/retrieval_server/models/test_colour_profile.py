"""Photos with a colour profile give the pixels that they show, in sRGB."""

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from retrieval_server.models.preprocessing import decode_image
from tests.support.colour_profiles import ADOBE_RGB, DISPLAY_P3, SRGB, converted, profile
from tests.support.pictures import SIDE, encoded

MUTED = np.random.default_rng(5).integers(70, 190, (SIDE, SIDE, 3), dtype=np.uint8)


def decoded(pixels: np.ndarray, icc: bytes | None, kind: str = "PNG") -> np.ndarray:
    options = {} if icc is None else {"icc_profile": icc}
    return decode_image(encoded(Image.fromarray(pixels), kind, **options), SIDE).astype(int)


@pytest.mark.parametrize("space", [DISPLAY_P3, ADOBE_RGB], ids=["Display P3", "Adobe RGB"])
def test_photo_of_a_wide_gamut_has_the_pixels_of_its_srgb_copy(space: np.ndarray) -> None:
    stored = converted(MUTED, SRGB, space)
    as_srgb = decoded(MUTED, profile(SRGB, "gamma 2.2"))  # the same curve, whose exact form varies
    assert np.abs(decoded(stored, profile(space)) - as_srgb).max() <= 3
    assert np.abs(decoded(stored, None) - as_srgb).max() > 10


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_profile_is_honoured_in_every_format_that_carries_one(kind: str) -> None:
    stored = np.full((SIDE, SIDE, 3), (200, 60, 60), np.uint8)
    with_profile = decoded(stored, profile(DISPLAY_P3), kind)
    assert with_profile[0, 0, 0] > decoded(stored, None, kind)[0, 0, 0] + 5


def test_padding_stays_white() -> None:
    image = Image.new("RGB", (SIDE, SIDE // 2), (10, 200, 30))
    data = encoded(image, "PNG", icc_profile=profile(DISPLAY_P3))
    assert (decode_image(data, SIDE)[0] == 255).all()


def test_srgb_profile_changes_no_pixel() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert np.array_equal(decoded(MUTED, srgb), MUTED)


@pytest.mark.parametrize(
    "unusable",
    [b"no profile", b"\0" * 200, profile(DISPLAY_P3)[:150], profile(DISPLAY_P3)[:-40]],
    ids=["text", "zeros", "cut in its head", "cut in its curves"],
)
def test_unusable_profile_is_ignored(unusable: bytes) -> None:
    assert np.array_equal(decoded(MUTED, unusable), MUTED)


def test_profile_of_another_kind_of_pixels_is_ignored() -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    assert np.array_equal(decoded(MUTED, lab), MUTED)
    grey = Image.new("L", (SIDE, SIDE), 90)
    buffer = io.BytesIO()
    grey.save(buffer, "PNG", icc_profile=profile(DISPLAY_P3))
    assert (decode_image(buffer.getvalue(), SIDE) == 90).all()
