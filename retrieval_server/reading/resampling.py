"""Images at another size, and pieces cut out of them, to the bit as OpenCV does it: compiled.

The models expect what OpenCV's ``resize`` (bilinear) and ``warpPerspective`` (bicubic) make of a
photo. Both compute in whole numbers: a cut has 32 positions between two pixels, and weights have 11
bits in an image that is resized, 15 bits in a cut. Outside, an image goes on as at its edge.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval_server.compilation import compiled

LINEAR_BITS = 11
CUBIC_BITS = 15
POSITIONS = 32
SHARPNESS = -0.75  # of the bicubic kernel: its slope one pixel from the centre


class Neighbours(NamedTuple):
    """The two pixels of which each pixel of a resized image is made, in one direction.

    Attributes:
        first: (N,) the one before it.
        second: (N,) the one behind it; at the edge the same.
        weights: (N, 2) int32, of ``2**LINEAR_BITS``.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    weights: NDArray[np.int32]


def neighbours(length: int, new_length: int) -> Neighbours:
    """Where the pixels of a resized image come from, in one direction.

    Args:
        length: of the image, in pixels.
        new_length: of the resized image.
    """
    centres = (np.arange(new_length) + 0.5) * (length / new_length) - 0.5
    positions = centres.astype(np.float32)
    before = np.floor(positions)
    second = positions - before
    weights = np.rint(np.stack([1 - second, second], axis=1) * 2**LINEAR_BITS)
    first = before.astype(np.int64)
    return Neighbours(
        first.clip(0, length - 1), (first + 1).clip(0, length - 1), weights.astype(np.int32)
    )


def resized(image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Bring an image (H, W, 3) to another size, which reads two pixels in each direction.

    Args:
        image: (H, W, 3).
        width: of the result, in pixels.
        height: of the result, in pixels.
    """
    rows, columns, _ = image.shape
    return blended(image, neighbours(columns, width), neighbours(rows, height))


def blended(image: NDArray[np.uint8], columns: Neighbours, rows: Neighbours) -> NDArray[np.uint8]:
    """Blend neighbouring pixels of an image (H, W, 3).

    Args:
        image: (H, W, 3).
        columns: of the result.
        rows: of the result.
    """
    result: NDArray[np.uint8] = _blend(np.require(image, np.uint8, ["C", "W"]), columns, rows)
    return result


def cut(
    image: NDArray[np.uint8],
    transform: NDArray[np.float64],
    columns: NDArray[np.int64],
    rows: NDArray[np.int64],
) -> NDArray[np.uint8]:
    """Cut pixels out of an image (H, W, 3) by a perspective transform.

    Args:
        image: (H, W, 3).
        transform: (3, 3), from columns and rows of the piece to pixels of the image.
        columns: (N,) those columns of the piece that are wanted.
        rows: (M,) those rows of it.

    Returns:
        (M, N, 3).
    """
    image = np.require(image, np.uint8, ["C", "W"])
    result: NDArray[np.uint8] = _cut(image, transform, columns, rows, CUBIC_WEIGHTS)
    return result


@compiled
def _blend(image: NDArray[np.uint8], columns: Neighbours, rows: Neighbours) -> NDArray[np.uint8]:
    """See ``blended``; a row of the image is blended once for all rows of the result."""
    result = np.empty((len(rows.first), len(columns.first), 3), np.uint8)
    upper = np.empty((len(columns.first), 3), np.int32)
    lower = np.empty_like(upper)
    upper_row = lower_row = -1
    for row in range(len(rows.first)):
        if rows.first[row] == lower_row:
            upper, lower, upper_row, lower_row = lower, upper, lower_row, upper_row
        if rows.first[row] != upper_row:
            upper_row = rows.first[row]
            _blend_row(image[upper_row], columns, upper)
        if rows.second[row] != lower_row:
            lower_row = rows.second[row]
            _blend_row(image[lower_row], columns, lower)
        first, second = rows.weights[row]
        for column in range(len(columns.first)):
            for channel in range(3):
                above = (first * (upper[column, channel] >> 4)) >> 16
                below = (second * (lower[column, channel] >> 4)) >> 16
                result[row, column, channel] = (above + below + 2) >> 2
    return result


@compiled
def _blend_row(
    pixels: NDArray[np.uint8], columns: Neighbours, blended_row: NDArray[np.int32]
) -> None:
    for column in range(len(columns.first)):
        first, second = columns.first[column], columns.second[column]
        for channel in range(3):
            blended_row[column, channel] = (
                columns.weights[column, 0] * pixels[first, channel]
                + columns.weights[column, 1] * pixels[second, channel]
            )


@compiled
def _cut(
    image: NDArray[np.uint8],
    transform: NDArray[np.float64],
    columns: NDArray[np.int64],
    rows: NDArray[np.int64],
    weights: NDArray[np.int32],
) -> NDArray[np.uint8]:
    """See ``cut``."""
    height, width, _ = image.shape
    result = np.empty((len(rows), len(columns), 3), np.uint8)
    sums = np.empty(3, np.int32)
    for row in range(len(rows)):
        for column in range(len(columns)):
            x, y = _position(transform, columns[column], rows[row])
            place = weights[y % POSITIONS, x % POSITIONS]
            left, top = x // POSITIONS - 1, y // POSITIONS - 1
            sums[:] = 0
            for down in range(4):
                pixels = image[min(max(top + down, 0), height - 1)]
                for across in range(4):
                    pixel = pixels[min(max(left + across, 0), width - 1)]
                    for channel in range(3):
                        sums[channel] += place[down, across] * pixel[channel]
            for channel in range(3):
                value = (sums[channel] + (1 << (CUBIC_BITS - 1))) >> CUBIC_BITS
                result[row, column, channel] = min(max(value, 0), 255)
    return result


@compiled
def _position(transform: NDArray[np.float64], column: int, row: int) -> tuple[int, int]:
    """Where a pixel of a piece comes from, in steps of 1 / ``POSITIONS`` pixel."""
    x = transform[0, 0] * column + transform[0, 1] * row + transform[0, 2]
    y = transform[1, 0] * column + transform[1, 1] * row + transform[1, 2]
    scale = POSITIONS / (transform[2, 0] * column + transform[2, 1] * row + transform[2, 2])
    return int(np.rint(x * scale)), int(np.rint(y * scale))


def _cubic_weights() -> NDArray[np.int32]:
    """The weights of 4 × 4 pixels for each position, (y, x, down, across)."""
    after = np.arange(POSITIONS, dtype=np.float32) / POSITIONS
    # far from the centre of the kernel, and near it
    far = ((SHARPNESS * (after + 1) - 5 * SHARPNESS) * (after + 1) + 8 * SHARPNESS) * (after + 1)
    far -= 4 * SHARPNESS
    left, right = (
        ((SHARPNESS + 2) * distance - (SHARPNESS + 3)) * distance * distance + 1
        for distance in (after, 1 - after)
    )
    line = np.stack([far, left, right, 1 - far - left - right], axis=1)
    exact = line[:, None, :, None] * line[None, :, None, :]
    weights: NDArray[np.int32] = np.rint(exact * 2**CUBIC_BITS).astype(np.int32)
    for place in weights.reshape(-1, 4, 4):
        # the sum has to be exact; one of the four pixels behind the middle takes the difference
        excess = place.sum() - 2**CUBIC_BITS
        four = place[2:, 2:]
        chosen = four.argmax() if excess > 0 else four.argmin()
        four[np.unravel_index(chosen, four.shape)] -= excess
    return weights


CUBIC_WEIGHTS = _cubic_weights()
