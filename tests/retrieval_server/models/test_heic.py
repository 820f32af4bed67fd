"""Photos in HEIC, as phones send them; a server that cannot read them says what to install."""

import io
import struct
import subprocess
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import ExifTags, Image

from retrieval_server.errors import ImageError
from retrieval_server.models.image_file import MAX_PIXELS
from retrieval_server.models.preprocessing import decode_image
from tests.support.heif_files import Item, grid, heif_file
from tests.support.paths import ROOT
from tests.support.pictures import SIDE, encoded, noise, picture
from tests.support.programs.command import command_without
from tests.support.programs.heic_photos import print_refusal

RED = (255, 0, 0)
BRANDS = ["heic", "heix", "mif1", "msf1", "hevc"]
UPRIGHT = decode_image(encoded(picture(), "PNG"), SIDE)


def difference(data: bytes, expected: np.ndarray = UPRIGHT) -> int:
    return int(np.abs(decode_image(data, SIDE).astype(int) - expected.astype(int)).max())


def resized(data: bytes, width: int, height: int) -> bytes:
    """A copy of a HEIC file whose headers declare another size."""
    parts = data.split(b"ispe")
    return b"ispe".join(
        [parts[0], *(p[:4] + struct.pack(">II", width, height) + p[12:] for p in parts[1:])]
    )


@pytest.mark.parametrize("brand", BRANDS)
def test_a_photo_is_read_whatever_its_major_brand(brand):
    data = encoded(picture(), "HEIF")
    assert difference(data[:8] + brand.encode() + data[12:]) <= 3


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_that_container_and_exif_rotate_is_rotated_once(orientation):
    back = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]  # Image.Transpose
    stored = picture() if back is None else picture().transpose(Image.Transpose(back))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    data = encoded(stored, "HEIF", exif=exif.tobytes())
    assert pillow_heif.open_heif(io.BytesIO(data)).size == picture().size  # the container rotates
    assert difference(data) <= 3


def test_of_several_images_the_primary_one_counts():
    data = encoded(
        Image.new("RGB", (40, 40), "blue"),
        "HEIF",
        save_all=True,
        append_images=[Image.new("RGB", (24, 24), RED), Image.new("RGB", (32, 32), "lime")],
        primary_index=1,
    )
    assert difference(data, np.full((1, 1, 3), RED)) <= 3


def test_a_photo_in_tiles_is_put_together():
    photo = noise(9, 7).resize((300, 200), Image.Resampling.BICUBIC)
    data = encoded(photo, "HEIF", tile_size=64)
    assert data.count(b"hvc1") > 15
    assert difference(data, decode_image(encoded(photo, "PNG"), SIDE)) <= 3


def test_a_thumbnail_in_the_file_is_not_the_photo():
    photo = noise(400, 300)
    plain, embedded = (encoded(photo, "HEIF", thumbnails=sizes) for sizes in ([], [128]))
    assert len(embedded) > len(plain)
    assert difference(embedded, decode_image(plain, SIDE)) == 0


def test_transparency_becomes_white():
    image = Image.new("RGBA", (32, 32), (0, 0, 0, 0))
    image.paste((*RED, 255), (0, 0, 16, 32))
    pixels = decode_image(encoded(image, "HEIF"), SIDE)
    assert np.abs(pixels[:, 2:14].astype(int) - RED).max() <= 3
    assert pixels[:, 18:30].min() >= 252


def test_ten_bits_become_eight():
    deep = np.repeat(np.asarray(picture()).astype(np.uint16) * 257, 1, axis=0)
    buffer = io.BytesIO()
    file = pillow_heif.from_bytes("RGB;16", picture().size, deep.tobytes())
    file.save(buffer, quality=-1, chroma=444)
    assert pillow_heif.open_heif(buffer.getvalue(), convert_hdr_to_8bit=False).mode == "RGB;16"
    assert difference(buffer.getvalue()) <= 3


def test_grey_is_read():
    grey = picture().convert("L")
    assert difference(encoded(grey, "HEIF"), decode_image(encoded(grey, "PNG"), SIDE)) <= 3


@pytest.mark.parametrize("size", [picture().size, (64, 64)], ids=["cropped", "whole"])
@pytest.mark.parametrize(("width", "height"), [(30_000, 30_000), (10_000, 10_000)])
def test_too_many_pixels_are_refused_on_the_header_even_if_they_are_cropped(size, width, height):
    data = encoded(picture().resize(size), "HEIF")
    assert (b"clap" in data) == (size != (64, 64))
    with pytest.raises(ImageError, match=f"{MAX_PIXELS:,}"):
        decode_image(resized(data, width, height), SIDE)


def test_an_image_that_a_crop_makes_small_is_refused_by_its_whole_size():
    with pytest.raises(
        ImageError, match=r"contains an image of 100,000,000 pixels; at most [\d,]+"
    ):
        decode_image(resized(encoded(picture(), "HEIF"), 10_000, 10_000), SIDE)


def test_a_small_grid_of_one_large_tile_again_and_again_is_refused_before_it_is_decoded():
    tile = Item(b"hvc1", (4096, 4096))
    columns = Item(b"grid", (64, 64), grid(4, 1, 64, 64))
    rows = Item(b"grid", (64, 64), grid(1, 4, 64, 64))
    references = [(b"dimg", 1, [2] * 4), (b"dimg", 2, [3] * 4)]
    data = heif_file({1: columns, 2: rows, 3: tile}, references)
    with pytest.raises(
        ImageError, match=r"put together from 268,435,456 pixels; at most [\d,]+ are"
    ):
        decode_image(data, SIDE)


def test_boxes_that_cannot_be_followed_are_refused():
    data = encoded(picture(), "HEIF").replace(b"meta", b"free")
    with pytest.raises(ImageError, match="is damaged: it has no box 'meta'"):
        decode_image(data, SIDE)


@pytest.mark.parametrize("brand", ["avif", "mif1"])
def test_an_avif_is_no_heic_whatever_its_major_brand(brand):
    data = encoded(picture(), "AVIF")
    assert difference(data[:8] + brand.encode() + data[12:]) <= 3


def test_a_stream_that_is_larger_than_its_header_is_refused():
    data = encoded(Image.new("RGB", (1024, 1024)), "HEIF")
    with pytest.raises(ImageError, match="is damaged"):
        decode_image(resized(data, 64, 64), SIDE)


def test_an_error_of_the_library_is_one_line():
    with pytest.raises(ImageError) as caught:
        decode_image(encoded(noise(64, 48), "HEIF")[:-9], SIDE)
    assert "\n" not in str(caught.value)


def test_every_truncated_photo_is_refused():
    data = encoded(noise(64, 48), "HEIF")
    for kept in range(8, len(data) - 1, len(data) // 50):
        with pytest.raises(ImageError, match=r"is (damaged|not an image)"):
            decode_image(data[:kept], SIDE)


@pytest.mark.parametrize("brand", ["heic", "mif1"])
def test_without_pillow_heif_the_error_says_what_to_install(tmp_path: Path, brand):
    data = encoded(picture(), "HEIF")
    path = tmp_path / "photo.HEIC"
    path.write_bytes(data[:8] + brand.encode() + data[12:])
    done = subprocess.run(
        command_without("pillow_heif", print_refusal, path),
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    assert done.stdout.startswith("image: is a HEIC file, and pillow-heif is not installed")
    assert "pip install '.[heic]'" in done.stdout
