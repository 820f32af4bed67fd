"""The images of a folder: which files count, in which order, and what is named as left out."""

import os
from pathlib import Path

import pytest

from retrieval_server.command_line.image_files import (
    IMAGE_SUFFIXES,
    SYSTEM_FOLDERS,
    Reason,
    list_images,
)


def make(folder: Path, *names: str) -> Path:
    """Empty files; a name that ends with a slash is a folder."""
    for name in names:
        path = folder / name
        if name.endswith("/"):
            path.mkdir(parents=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    return folder


@pytest.mark.parametrize("suffix", [*IMAGE_SUFFIXES, ".JPG", ".HEIC", ".jPeG", ".backup.png"])
def test_a_file_is_an_image_by_its_suffix_in_either_case(tmp_path, suffix):
    listing = list_images(make(tmp_path, f"photo{suffix}"))
    assert listing.images == (f"photo{suffix}",)
    assert listing.left_out_line() == ""


def test_images_come_in_the_order_of_folders_and_names_not_of_the_disk(tmp_path):
    names = ["b.jpg", "a b/1.jpg", "a/2.jpg", "a/1.jpg", "a.jpg", "a/b/0.jpg", "B.jpg"]
    listing = list_images(make(tmp_path, *names))
    expected = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.jpg"))
    assert [Path(image) for image in listing.images] == expected


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("notes.txt", Reason.SUFFIX),
        ("photo", Reason.SUFFIX),
        ("photo.jpg?width=300", Reason.SUFFIX),
        ("photo.jpg~", Reason.SUFFIX),
        ("jpg", Reason.SUFFIX),
        ("photo.cr2", Reason.SUFFIX),
        (".photo.jpg", Reason.HIDDEN),
        (".jpg", Reason.HIDDEN),
        ("._alone.jpg", Reason.HIDDEN),
        (".thumbnails/", Reason.HIDDEN),
        ("@eaDir/", Reason.HIDDEN),
    ],
)
def test_what_may_be_an_image_is_not_left_out_without_a_word(tmp_path, name, reason):
    listing = list_images(make(tmp_path, "a.jpg", name))
    assert listing.images == ("a.jpg",)
    assert listing.left_out == {reason: (name.rstrip("/"),)}
    assert name.rstrip("/") in listing.left_out_line()


def test_of_a_photo_that_a_phone_exports_twice_the_jpeg_is_used(tmp_path):
    used = ["IMG_1.JPG", "IMG_2.HEIC", "a/IMG_1.heic", "mask.jpg", "mask.png"]
    listing = list_images(make(tmp_path, *used, "IMG_1.HEIC", "IMG_1.heif"))
    assert sorted(listing.images) == used
    assert listing.left_out_line() == (
        f"2 left out of {tmp_path}: IMG_1.HEIC, IMG_1.heif (the JPEG of that name is used)."
    )


@pytest.mark.parametrize(
    "name", ["._a.jpg", ".DS_Store", "Thumbs.db", "desktop.ini", ".gitignore", "data.CSV"]
)
def test_what_never_is_an_image_needs_no_word(tmp_path, name):
    listing = list_images(make(tmp_path, "a.jpg", name), tables=(".csv",))
    assert listing.images == ("a.jpg",)
    assert listing.left_out_line() == ""


def test_hidden_folders_and_those_of_the_system_are_not_searched(tmp_path):
    names = [f"{folder}/b.jpg" for folder in (".hidden", *SYSTEM_FOLDERS)]
    assert list_images(make(tmp_path, "a.jpg", *names)).images == ("a.jpg",)
    assert list_images(tmp_path / ".hidden").images == ("b.jpg",)  # named by the caller


def test_a_folder_named_like_an_image_is_a_folder(tmp_path):
    make(tmp_path, "a.jpg", "set.jpg/b.png")
    assert list_images(tmp_path).images == ("a.jpg", "set.jpg/b.png")
    flat = list_images(tmp_path, recursive=False)
    assert flat.images == ("a.jpg",)
    assert "set.jpg (subfolder; --recursive searches it)" in flat.left_out_line()


def test_linked_folders_are_followed_once_and_loops_end(tmp_path):
    shop, elsewhere = make(tmp_path / "shop", "z/1.jpg"), make(tmp_path / "disk", "deep/2.jpg")
    (shop / "a").symlink_to(shop / "z")  # sorts before the folder itself
    (shop / "z" / "up").symlink_to(shop)
    (shop / "more").symlink_to(elsewhere)
    (elsewhere / "deep" / "again").symlink_to(elsewhere)
    (shop / "self").symlink_to("self")
    listing = list_images(shop)
    assert listing.images == ("more/deep/2.jpg", "z/1.jpg")
    assert listing.left_out == {Reason.SUFFIX: ("self",)}


def test_a_broken_link_is_listed_so_that_its_reader_reports_it(tmp_path):
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    assert list_images(tmp_path).images == ("gone.jpg", "loop.jpg")


def test_what_would_block_its_reader_is_never_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    listing = list_images(make(tmp_path, "a.jpg"))
    assert listing.images == ("a.jpg",)
    assert listing.left_out == {Reason.SPECIAL: ("pipe.jpg", "zero.png")}


def test_a_folder_that_cannot_be_read_is_named_and_the_rest_goes_on(tmp_path, monkeypatch):
    make(tmp_path, "a.jpg", "locked/b.jpg", "open/c.jpg")
    real = os.scandir

    def refusing(path):  # the tests may run as root, who reads every folder
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", refusing)
    listing = list_images(tmp_path)
    assert listing.images == ("a.jpg", "open/c.jpg")
    assert "locked/ (folder that cannot be read)" in listing.left_out_line()


@pytest.mark.parametrize("name", ["missing", "file.jpg", "file.jpg/inside"])
def test_what_is_no_folder_is_an_error_of_the_system(tmp_path, name):
    make(tmp_path, "file.jpg")
    with pytest.raises(OSError, match=r"No such file|Not a directory"):
        list_images(tmp_path / name)


def test_the_line_counts_what_it_does_not_name_and_stays_one_line(tmp_path):
    make(tmp_path, "a.jpg", ".b.png", *(f"{n}.txt" for n in range(9)), "0\n\x1b[31m", "0\udcff")
    assert list_images(tmp_path).left_out_line() == (
        f"12 left out of {tmp_path}: '0\\n\\x1b[31m', 0.txt, '0\\udcff' and 8 more (no suffix of "
        "an image); .b.png (hidden, or of the system)."
    )
