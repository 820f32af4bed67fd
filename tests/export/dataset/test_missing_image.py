"""What a reject says of an image that is not there."""

import unicodedata

import pytest

from export.dataset.image_cell import images_in
from export.dataset.missing_image import MissingImages


@pytest.fixture
def missing_images(tmp_path):
    for name in ("photos/IMG_1.JPG", "photos/my cream.jpg", f"photos/{nfd('é')}.png", "a,b.jpg"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    return MissingImages(tmp_path)


def nfd(text):
    return unicodedata.normalize("NFD", text)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("photos/img_1.jpg", "'photos/IMG_1.JPG'; .* differs in upper and lower case. Correct"),
        ("Photos/IMG_1.JPG", "'photos/IMG_1.JPG'; .* differs in upper and lower case"),
        ("photos/é.png", r"differs in Unicode form \(NFC and NFD\)"),
        ("photos/É.png", r"upper and lower case and Unicode form"),
        ("photos/my%20cream.jpg", "'photos/my cream.jpg'; .* differs in its percent-encoding"),
        ("photos\\IMG_1.JPG", "differs in its backslashes. Correct"),
        ("/photos/IMG_1.JPG?v=12", r"differs in what follows its '\?' and its leading slash"),
        ("./photos/my%20cream.jpg", "differs in its percent-encoding. Correct"),
        ("https://x.example/a.jpg", "It is an address. Download the image"),
        ("file:///photos/IMG_1.JPG", "the address of a file. Write the path of the file"),
        ("www.x.example/a.jpg", "It is an address"),
        ('<img src="a.jpg">', "The cell holds markup"),
        (
            "a.jpg, b.jpg",
            r"The cell names 2 images. Rename .* 'images' .* \[\"a.jpg\", \"b.jpg\"\], or keep one",
        ),
        ("https://x/a.jpg;https://x/b.jpg", "The cell names 2 images"),
        (
            '["a.jpg"]',
            r"The cell is a JSON list. Rename .* to 'images' .* or write 'a.jpg' alone\.",
        ),
        ("a.jpg b.jpg", "The cell names 2 images"),
        (
            "a.jpg|b.png|c.webp",
            r"The cell names 3 images. .* as \[\"a.jpg\", \"b.png\", …\], or keep one",
        ),
        ("a,b.jpg", "^$"),
        ("photos/none.jpg", "^$"),
        ("photos", "^$"),
        ("x/" * 500 + "x" * 300, "^$"),
        ("", "^$"),
    ],
)
def test_what_a_cell_holds_instead_of_a_path_is_named(missing_images, image, expected):
    import re

    assert re.search(expected, missing_images.explanation(image))


@pytest.mark.parametrize(
    "text", ["my photo.jpg", "a, b", "[x].jpg", "[1, 2]", "a.jpg", "", "[" * 9999]
)
def test_one_image_with_an_odd_name_is_not_several(text):
    assert images_in(text) == []


def test_a_folder_is_listed_once_for_all_images_that_are_missing(missing_images, monkeypatch):
    listed = []
    import os

    real = os.listdir
    monkeypatch.setattr(os, "listdir", lambda folder: listed.append(folder) or real(folder))

    for number in range(100):
        missing_images.explanation(f"photos/none{number}.jpg")

    assert len(listed) == 1
