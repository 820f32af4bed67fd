"""Lines cut out of a photo: direction, padding, and their bounds."""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from retrieval_server.reading.boxes import MIN_PHOTO_SIDE, find_boxes
from retrieval_server.reading.lines import (
    GREY,
    LINE_HEIGHT,
    MAX_LINE_WIDTH,
    MAX_LINES,
    MAX_TOTAL_WIDTH,
    by_padded_width,
    cut_lines,
    padded_width,
)

LEFT_HALF_RED = np.zeros((100, 400, 3), np.uint8)
LEFT_HALF_RED[:, :200] = (255, 0, 0)
LEFT_HALF_RED[:, 200:] = (0, 0, 255)


def box(left: int, top: int, right: int, bottom: int) -> NDArray[np.int32]:
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.int32)


def test_line_keeps_its_proportions_at_the_height_of_the_recogniser() -> None:
    (line,) = cut_lines(LEFT_HALF_RED, box(100, 20, 300, 70)[None])
    assert line.image.shape == (LINE_HEIGHT, 192, 3)  # 48 · 200 / 50
    assert (line.image[:, :90] == (255, 0, 0)).all()
    assert (line.image[:, 102:] == (0, 0, 255)).all()
    assert np.array_equal(line.corners, box(100, 20, 300, 70))


def test_line_at_its_own_size_is_cut_out_pixel_for_pixel() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (100, 400, 3), dtype=np.uint8)
    (line,) = cut_lines(photo, box(40, 30, 240, 78)[None])
    assert np.array_equal(line.image, photo[30:78, 40:240])


@pytest.mark.parametrize("turns", [1, 3])
def test_line_that_runs_down_or_up_is_laid_on_its_side(turns: int) -> None:
    upright = np.rot90(LEFT_HALF_RED, turns)  # 400 high, 100 wide
    (line,) = cut_lines(upright, box(30, 100, 70, 300)[None])
    assert line.image.shape == (LINE_HEIGHT, 240, 3)
    # Turned counter-clockwise: what was above is on the left, with the upper right corner first.
    top = upright[110, 50]
    assert (line.image[:, :110] == top).all()
    assert np.array_equal(line.corners, np.roll(box(30, 100, 70, 300), -1, axis=0))


def test_turned_line_begins_at_the_opposite_corner() -> None:
    (line,) = cut_lines(LEFT_HALF_RED, box(100, 20, 300, 70)[None])
    turned = line.turned()
    assert np.array_equal(turned.image, line.image[::-1, ::-1])
    assert turned.corners[0] == pytest.approx((300, 70))


@pytest.mark.parametrize(
    ("width", "padded"), [(1, 320), (320, 320), (321, 352), (352, 352), (3200, 3200)]
)
def test_line_is_padded_to_the_next_step_of_its_own_width(width: int, padded: int) -> None:
    assert padded_width(width) == padded


def test_padding_is_grey_and_on_the_right() -> None:
    (line,) = cut_lines(LEFT_HALF_RED, box(0, 0, 100, 48)[None])
    for padded, width in ((line.for_recognition(), 320), (line.for_orientation(), 192)):
        assert padded.shape == (LINE_HEIGHT, width, 3)
        assert (padded[:, :100] == (255, 0, 0)).all()
        assert (padded[:, 100:] == GREY).all()


@pytest.mark.parametrize(
    ("right", "width"),
    [(39, 188), (68, 326)],  # 48 · 39 / 10 = 187.2 is rounded up, 48 · 68 / 10 = 326.4 is not
)
def test_width_of_a_line_is_whole_as_in_the_library(right: int, width: int) -> None:
    (line,) = cut_lines(LEFT_HALF_RED, box(0, 0, right, 10)[None])
    assert line.image.shape[1] == width


def test_long_line_is_squeezed_for_its_orientation() -> None:
    (line,) = cut_lines(LEFT_HALF_RED, box(0, 40, 400, 60)[None])
    squeezed = line.for_orientation()
    assert squeezed.shape == (LINE_HEIGHT, 192, 3)
    assert (squeezed[:, :90] == (255, 0, 0)).all()
    assert (squeezed[:, 102:] == (0, 0, 255)).all()


def test_lines_of_one_padded_width_are_one_batch() -> None:
    boxes = np.stack([box(0, 0, width, 48) for width in (100, 340, 320, 350, 390)])
    assert by_padded_width(cut_lines(LEFT_HALF_RED, boxes)) == [[0, 2], [1, 3], [4]]


def test_photo_gives_its_first_lines_up_to_the_limits() -> None:
    word, long = box(0, 0, 60, 10), box(0, 0, 400, 3)
    assert len(cut_lines(LEFT_HALF_RED, np.stack([word] * 500))) == MAX_LINES
    lines = cut_lines(LEFT_HALF_RED, np.stack([long] * 500))
    assert {line.image.shape[1] for line in lines} == {MAX_LINE_WIDTH}
    assert len(lines) == MAX_TOTAL_WIDTH // MAX_LINE_WIDTH


def test_lines_are_read_row_after_row_from_left_to_right() -> None:
    """A box that begins less than 10 pixels above another one is in the same row."""
    places = [(200, 5), (300, 50), (100, 59), (10, 12), (20, 60), (10, 80)]
    boxes = np.stack([box(left, top, left + 60, top + 9) for left, top in places])
    lines = cut_lines(LEFT_HALF_RED, boxes)
    order = [(10, 12), (200, 5), (100, 59), (300, 50), (20, 60), (10, 80)]
    assert [tuple(line.corners[0].tolist()) for line in lines] != places
    assert [tuple(line.corners[0].tolist()) for line in lines] == order


@pytest.mark.parametrize("size", [(1, 1), (5, 1000), (1000, 1), (3, 3), (4, 4)])
def test_boxes_of_tiny_photos_are_cut_somehow(size: tuple[int, int]) -> None:
    photo = np.asarray(Image.new("RGB", size, "white"))
    lines = cut_lines(photo, find_boxes(np.full((64, 64), 255, np.uint8), *size))
    assert len(lines) == (min(size) > MIN_PHOTO_SIDE)
    for line in lines:
        assert line.image.shape[0] == LINE_HEIGHT
        assert 1 <= line.image.shape[1] <= MAX_LINE_WIDTH
