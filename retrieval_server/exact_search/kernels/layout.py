"""Where the codes and bounds of each level lie: the one description of their bytes.

Kernels, encoders and levels take every size, offset and shift from here. The functions at the end
unpack codes with numpy; they are the same layout as a program, and what the tests compare with.

A *line* is 64 bytes: a cache line, and a vector register. A *word* is 4 bytes: what one lane of a
register multiplies and adds up. A *plane* is 64 codes that lie at the same bits of a line's bytes.

Coarse level: 4 bits on each of 256 axes and 2 more on the 16 leading ones, in *blocks* of 64 rows,
``codes`` (blocks, 33, 256) and ``bounds`` (blocks, W, 256) uint8. A block is made of *stripes*, one
word of each of its rows:

    ┌─ stripe, 256 bytes = 4 lines ─────────────────────────────┐
    │ word of row 0 │ word of row 1 │ … │ word of row 63        │
    └───────────────────────────────────────────────────────────┘

Stripe g < 32 of the codes holds a *group*, axes 8g … 8g + 7, and the last stripe 2 more bits on the
leading axes; stripe w of the bounds holds bytes 4w … 4w + 3 of a row:

    code word         byte 0      byte 1      byte 2      byte 3
      high 4 bits    axis 8g+4   axis 8g+5   axis 8g+6   axis 8g+7
      low 4 bits     axis 8g     axis 8g+1   axis 8g+2   axis 8g+3

    last word        byte j: axes 12+j │ 8+j │ 4+j │ j           2 more bits on axes 0-15

    bounds of a row   b of each backbone (N) │ ρ │ t │ zeros up to W = ⌈(N + 2) / 4⌉ words

Middle level: 5 lines a row, ``codes`` (rows, 320) uint8; ρ', ρ, t in ``bounds`` (rows, 3) float32:

    line 0            byte j: axes 192+j │ 128+j │ 64+j │ j      2 further bits on axes 0-255
    line n = 1 … 4    byte j: axes 128(n+1)+64+j │ 128(n+1)+j    4 bits on axes 256-767

Residual level: 3 lines for 512 dimensions, ``codes`` (rows, 192 · ⌈D / 512⌉) uint8; the norms on
and beside the coarse axes in ``bounds`` (rows, 2) float32:

    line 0            byte j: 192+j │ 128+j │ 64+j │ j           upper 2 bits of dimensions 0-255
    line 1            byte j: 448+j │ 384+j │ 320+j │ 256+j      upper 2 bits of dimensions 256-511
    line 2            byte j: 448+j │ 384+j │ … │ 64+j │ j       lowest bit of dimensions 0-511

Byte level: one byte a dimension, ``codes`` (rows, W) uint8, each backbone's dimensions rounded up
to whole lines; scale and residual norm of each backbone in ``bounds`` (rows, 2 N) float32.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.uint8]
Shape = tuple[int, ...]

LINE = 64
WORD = 4
LANES = LINE // WORD
FLOAT32_BYTES, FLOAT64_BYTES, INT32_BYTES, INT64_BYTES = 4, 8, 4, 8

REGIONS = (256, 512)  # axes that the coarse level and the middle level add
COARSE_AXES = REGIONS[0]
AXES = sum(REGIONS)

BLOCK_ROWS = 64
STRIPE = BLOCK_ROWS * WORD
STRIPE_LINES = STRIPE // LINE
COARSE_BITS = 4
GROUP_AXES = WORD * 8 // COARSE_BITS
GROUPS = COARSE_AXES // GROUP_AXES
COARSE_SEGMENTS = (1, 1, 2, 4, 8, 16)  # groups whose digits of a query share a scale
REFINED_BITS = 2  # of a stripe or a line that splits each step of the codes before in four
LEADING_AXES = WORD * 8 // REFINED_BITS  # that the last stripe refines
COARSE_STRIPES = GROUPS + 1

MIDDLE_LINES = (REFINED_BITS, 4, 4, 4, 4)  # bits of the codes in each line
MIDDLE_BITS = MIDDLE_LINES[1]
MIDDLE_STRIDE = LINE * len(MIDDLE_LINES)
MIDDLE_BOUNDS = 3

RESIDUAL_BITS = 3
RESIDUAL_LINES = (2, 2, 1)  # bits of the codes in each line: two of upper bits, one of lowest bits
RESIDUAL_DIMENSIONS = LINE * 8
RESIDUAL_STRIDE = LINE * len(RESIDUAL_LINES)
RESIDUAL_BOUNDS = 2

BYTE_BOUNDS = 2


def bound_words(backbones: int) -> int:
    """W of the coarse level: words of a row's bounds."""
    return -(-(backbones + 2) // WORD)


def residual_bytes(dimension: int) -> int:
    """Bytes of a row's codes at the residual level."""
    return -(-dimension // RESIDUAL_DIMENSIONS) * RESIDUAL_STRIDE


def byte_width(dimension: int) -> int:
    """Bytes of a row's codes of one backbone at the byte level."""
    return -(-dimension // LINE) * LINE


def unpacked_lines(codes: Codes, line_bits: Sequence[int], size: int = LINE) -> Codes:
    """Unpack rows of lines: (m, size · lines) codes become (m, codes), plane after plane.

    Args:
        codes: (m, size · lines) uint8.
        line_bits: bits of a code in each line.
        size: bytes of a line.
    """
    planes = [
        (codes[:, size * line : size * (line + 1)] >> shift) & (2**bits - 1)
        for line, bits in enumerate(line_bits)
        for shift in range(0, 8, bits)
    ]
    return np.concatenate(planes, axis=1)


def unpacked_coarse(codes: Codes) -> Codes:
    """Unpack the coarse level: (blocks, 33, 256) codes become (64 · blocks, 272).

    256 codes axis by axis, then the refinement of the 16 leading axes.
    """
    words = codes.reshape(-1, COARSE_STRIPES, BLOCK_ROWS, WORD).swapaxes(1, 2)
    halves = [words & (2**COARSE_BITS - 1), words >> COARSE_BITS]  # low, high
    by_axis = np.stack(halves, axis=3)[:, :, :GROUPS].reshape(-1, COARSE_AXES)
    refinement = unpacked_lines(words[:, :, GROUPS].reshape(-1, WORD), [REFINED_BITS], WORD)
    return np.concatenate([by_axis, refinement], axis=1)


def unpacked_residual(codes: Codes) -> Codes:
    """Unpack the residual level: (m, 192 · groups) codes become (m, 512 · groups)."""
    groups = codes.reshape(-1, RESIDUAL_STRIDE)
    upper = unpacked_lines(groups[:, : 2 * LINE], RESIDUAL_LINES[:2])
    lowest = unpacked_lines(groups[:, 2 * LINE :], RESIDUAL_LINES[2:])
    return (2 * upper + lowest).reshape(len(codes), -1)


def coarse_bound_bytes(bounds: Codes) -> Codes:
    """The bytes of the coarse level's bounds: (blocks, W, 256) become (64 · blocks, 4 W)."""
    words = bounds.reshape(len(bounds), -1, BLOCK_ROWS, WORD).swapaxes(1, 2)
    return words.reshape(len(bounds) * BLOCK_ROWS, -1)
