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
    decoded: NDArray[np.float32],
    squares: NDArray[np.float64],
) -> None:
    """Write the codes of rows on the axes; layouts: coarse_level, middle_level.

    Args:
        coordinates: (m, 768).
        steps: (768,).
        first_row: row of the first; the arrays below hold it and the others.
        coarse: (blocks, 32, 256), zero before.
        middle: (rows, 320), zero before.
        decoded: (m, 768) out: what the codes stand for.
        squares: (m, 5) out: squared residual norms of the coarse codes, the refined codes, the
            middle axes; squared norms of the first 256, 768 coordinates.
    """
    for number in range(coordinates.shape[0]):
        row = first_row + number
        block, part, lane = row // 64, row % 64 // 16, row % 16
        for kind in range(5):
            squares[number, kind] = 0.0
        norm = 0.0
        for axis in range(768):
            value, step = np.float64(coordinates[number, axis]), np.float64(steps[axis])
            norm += value * value
            code = 8
            if step > 0:
                code = int(min(max(np.floor(value / step + 8.0), 0.0), 15.0))
            meaning = (code - 7.5) * step
            residual = value - meaning
            if axis < 256:
                squares[number, 0] += residual * residual
                byte = part * 64 + lane * 4 + axis % 4
                coarse[block, axis // 8, byte] |= np.uint8(code << (4 * (axis % 8 // 4)))
                code = 2
                if step > 0:
                    code = int(min(max(np.floor(4 * residual / step + 2.0), 0.0), 3.0))
                meaning += (code - 1.5) * step / 4
                residual = value - meaning
                squares[number, 1] += residual * residual
                middle[row, axis % 64] |= np.uint8(code << (2 * (axis // 64)))
                if axis == 255:
                    squares[number, 3] = norm
            else:
                squares[number, 2] += residual * residual
                place = axis - 256
                byte = 64 + place // 128 * 64 + place % 64
                middle[row, byte] |= np.uint8(code << (4 * (place % 128 // 64)))
            decoded[number, axis] = meaning
        squares[number, 4] = norm


@compiled
def encode_residuals(
    residuals: NDArray[np.float32],
    steps: NDArray[np.float32],
    codes: NDArray[np.uint8],
) -> None:
    """Write the codes of the residual level; layout: residual_level.

    Args:
        residuals: (m, D) r; what the codes lose of it afterwards.
        steps: (D,).
        codes: (m, 192 bytes for 512 dimensions), zero before.
    """
    for row in range(residuals.shape[0]):
        for place in range(residuals.shape[1]):
            value, step = np.float64(residuals[row, place]), np.float64(steps[place])
            code = 4
            if step > 0:
                code = int(min(max(np.floor(value / step + 4.0), 0.0), 7.0))
            residuals[row, place] = value - (code - 3.5) * step
            first, within = place // 512 * 192 + place % 64, place % 512
            upper = first + within // 256 * 64
            codes[row, upper] |= np.uint8((code >> 1) << (2 * (within % 256 // 64)))
            codes[row, first + 128] |= np.uint8((code & 1) << (within // 64))


@compiled
def encode_bytes(
    descriptors: NDArray[np.float32],
    offset: int,
    first_row: int,
    column: int,
    width: int,
    number: int,
    codes: NDArray[np.uint8],
    bounds: NDArray[np.float32],
) -> None:
    """Write the byte codes of rows of one backbone; layout: byte_level.

    Args:
        descriptors: (m, C).
        offset: code of zero.
        first_row: row of the first; the arrays below hold it and the others.
        column: of its first code.
        width: how many codes it has; those beyond C are zero.
        number: of the backbone.
        codes: (rows, W) out.
        bounds: (rows, 2 N) out: scale; norm of the residual, a little more.
    """
    for row in range(descriptors.shape[0]):
        target = first_row + row
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
            codes[target, column + place] = np.uint8(int(code))
        for place in range(descriptors.shape[1], width):
            codes[target, column + place] = np.uint8(offset)
        bounds[target, 2 * number] = scale
        bounds[target, 2 * number + 1] = np.float32(np.sqrt(square) * (1 + 1e-6) + 1e-30)
