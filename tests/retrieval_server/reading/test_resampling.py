"""Resized images and pieces cut out of them; expected values are worked out by hand."""

import numpy as np
import pytest

from retrieval_server.reading.resampling import CUBIC_BITS, CUBIC_WEIGHTS, cut, resized

NOISE = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def shifted(x: float, y: float) -> np.ndarray:
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]], float)


def test_image_at_its_own_size_is_the_same() -> None:
    assert np.array_equal(resized(NOISE, 30, 20), NOISE)


def test_pixels_of_a_resized_image_lie_between_the_nearest_two() -> None:
    image = np.repeat(np.array([[[0], [100], [60]]], np.uint8), 3, axis=2)
    # centres at -0.25, 0.25, 0.75, 1.25, 1.75 and 2.25 of the three pixels
    assert resized(image, 6, 1)[0, :, 0].tolist() == [0, 25, 75, 90, 70, 60]


def test_image_of_half_the_size_is_the_mean_of_four_pixels_each() -> None:
    four = NOISE.astype(int).reshape(10, 2, 15, 2, 3).sum(axis=(1, 3))
    assert np.array_equal(resized(NOISE, 15, 10), (four + 2) // 4)


def test_piece_at_whole_pixels_is_a_copy_that_goes_on_at_the_edge() -> None:
    piece = cut(NOISE, shifted(-3, -2), np.arange(40), np.arange(30))
    rows, columns = np.arange(30).clip(2, 21) - 2, np.arange(40).clip(3, 32) - 3
    assert np.array_equal(piece, NOISE[rows][:, columns])


def test_piece_has_the_wanted_rows_and_columns_only() -> None:
    whole = cut(NOISE, shifted(0.3, 0.7), np.arange(20), np.arange(10))
    columns, rows = np.array([19, 3, 3]), np.array([0, 9])
    assert np.array_equal(cut(NOISE, shifted(0.3, 0.7), columns, rows), whole[rows][:, columns])


def test_bicubic_kernel_overshoots_beside_an_edge() -> None:
    edge = np.zeros((9, 9, 3), np.uint8)
    edge[:, 4:] = 160
    # half-way between two pixels the weights are -3/32, 19/32, 19/32 and -3/32
    row = cut(edge, shifted(0.5, 0), np.arange(9), np.array([4]))[0, :, 0].tolist()
    assert row == [0, 0, 0, 80, 175, 160, 160, 160, 160]  # 160 · 35/32 = 175; -15 is cut to 0


def test_weights_of_each_position_have_the_sum_of_one() -> None:
    assert (CUBIC_WEIGHTS.sum(axis=(2, 3)) == 2**CUBIC_BITS).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 48), (64, 1)])
def test_image_of_one_pixel_is_resized_to_its_colour(size: tuple[int, int]) -> None:
    assert (resized(NOISE[:1, :1], *size) == NOISE[0, 0]).all()
