"""The compiled loops that encode rows; each calls nothing but numpy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retrieval_server.exact_search.compilation import compiled


@compiled
def encode_axes(
    coordinates: NDArray[np.float32],
    steps: NDArray[np.float32],
    first_row: int,
    coarse: NDArray[np.uint8],
    middle: NDArray[np.uint8],
    fine: NDArray[np.uint8],
    squares: NDArray[np.float64],
) -> None:
    """Write the codes of rows on the axes; layouts: coarse_level, digit_levels.

    Args:
        coordinates: (m, 1536).
        steps: (1536,).
        first_row: row of the first; the arrays below hold it and the others.
        coarse: (blocks, 32, 256), zero before.
        middle: (rows, 320), zero before.
        fine: (rows, 192), zero before.
        squares: (m, 7) out: squared residual norms of the coarse codes, the refined codes, the
            middle axes, the fine axes; squared norms of the first 256, 768, 1536 coordinates.
    """
    for number in range(coordinates.shape[0]):
        row = first_row + number
        block, part, lane = row // 64, row % 64 // 16, row % 16
        for kind in range(7):
            squares[number, kind] = 0.0
        norm = 0.0
        for axis in range(1536):
            value, step = np.float64(coordinates[number, axis]), np.float64(steps[axis])
            norm += value * value
            if axis < 768:
                code, middle_code = 8, 7.5
                if step > 0:
                    code = int(min(max(np.floor(value / step + 8.0), 0.0), 15.0))
                residual = value - (code - middle_code) * step
                if axis < 256:
                    squares[number, 0] += residual * residual
                    byte = part * 64 + lane * 4 + axis % 4
                    coarse[block, axis // 8, byte] |= np.uint8(code << (4 * (axis % 8 // 4)))
                    code = 2
                    if step > 0:
                        code = int(min(max(np.floor(4 * residual / step + 2.0), 0.0), 3.0))
                    residual -= (code - 1.5) * step / 4
                    squares[number, 1] += residual * residual
                    middle[row, axis % 64] |= np.uint8(code << (2 * (axis // 64)))
                    if axis == 255:
                        squares[number, 4] = norm
                else:
                    squares[number, 2] += residual * residual
                    place = axis - 256
                    byte = 64 + place // 128 * 64 + place % 64
                    middle[row, byte] |= np.uint8(code << (4 * (place % 128 // 64)))
                    if axis == 767:
                        squares[number, 5] = norm
            else:
                code = 2
                if step > 0:
                    code = int(min(max(np.floor(value / step + 2.0), 0.0), 3.0))
                residual = value - (code - 1.5) * step
                squares[number, 3] += residual * residual
                place = axis - 768
                byte = place // 256 * 64 + place % 64
                fine[row, byte] |= np.uint8(code << (2 * (place % 256 // 64)))
        squares[number, 6] = norm


@compiled
def encode_bytes(
    descriptors: NDArray[np.float32],
    offset: int,
    codes: NDArray[np.uint8],
    bounds: NDArray[np.float32],
) -> None:
    """Write the byte codes of rows; layout: byte_level.

    Args:
        descriptors: (m, C).
        offset: code of zero.
        codes: (m, C or more) out.
        bounds: (m, 2) out: scale; norm of the residual, a little more.
    """
    for row in range(descriptors.shape[0]):
        largest = np.float32(0)
        for place in range(descriptors.shape[1]):
            largest = max(largest, abs(descriptors[row, place]))
        scale = largest / np.float32(255 if offset == 0 else 127)
        if not scale > 0:
            scale = np.float32(1)
        square = 0.0
        for place in range(descriptors.shape[1]):
            value = np.float64(descriptors[row, place])
            code = min(max(np.floor(value / np.float64(scale) + 0.5) + offset, 0.0), 255.0)
            residual = value - (code - offset) * np.float64(scale)
            square += residual * residual
            codes[row, place] = np.uint8(int(code))
        for place in range(descriptors.shape[1], codes.shape[1]):
            codes[row, place] = np.uint8(offset)
        bounds[row, 0] = scale
        bounds[row, 1] = np.float32(np.sqrt(square) * (1 + 1e-6) + 1e-30)
