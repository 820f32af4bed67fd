"""Where the codes and bounds of each level lie: the one description of their bytes.

Kernels, encoders and levels take every size, offset and shift from here. The functions at the end
unpack codes with numpy; they are the same layout as a program, and what the tests compare with.

A *line* is 64 bytes: a cache line, and a vector register. A *word* is 4 bytes: what one lane of a
register multiplies and adds up. A *plane* is 64 codes that lie at the same bits of a line's bytes.

Coarse level: codes of 2 and 4 bits, in *blocks* of 64 rows, ``codes`` (blocks, 33, 256) and
``bounds`` (blocks, W, 256) uint8. A block is made of *stripes*, one word of each of its rows:

    ┌─ stripe, 256 bytes = 4 lines ─────────────────────────────┐
    │ word of row 0 │ word of row 1 │ … │ word of row 63        │
    └───────────────────────────────────────────────────────────┘

Its codes are *passes* over the axes. An axis that a second pass codes has the bits of both: 8 bits
on axes 0-15, 6 on 16-63, 4 on 64-127, 2 on 128-319.

    stripes     bits   axes       byte j of the word that starts with axis a
    0 … 15       4     0-127      axes a+4+j │ a+j
    16, 17       4     0-15       axes a+4+j │ a+j
    18 … 20      2     16-63      axes a+12+j │ a+8+j │ a+4+j │ a+j
    21 … 32      2     128-319    axes a+12+j │ a+8+j │ a+4+j │ a+j

    bounds of a row   b of each backbone (N) │ ρ │ t │ zeros up to W = ⌈(N + 2) / 4⌉ words

Middle level: 5 lines a row, ``codes`` (rows, 320) uint8; ρ, t in ``bounds`` (rows, 2) float32. It
adds 2 bits on axes 64-127 and 192-319, 4 on 128-191, and 4 on axes 320-767:

    line 0            byte j: axes 256+j │ 192+j │ 128+j │ 64+j  2 bits
    lines 1, 2        byte j: axes 512+j │ 448+j │ 384+j │ 320+j 2 bits, 2 further bits
    line 3            byte j: axes 640+j │ 576+j                 4 bits
    line 4            byte j: axes 192+j │ 128+j │ 704+j         2 further bits, twice; 4 bits

Residual level: 3 lines for 512 dimensions, ``codes`` (rows, 192 · ⌈D / 512⌉) uint8; the norms on
and beside the coarse axes in ``bounds`` (rows, 2) float32:

    line 0            byte j: 192+j │ 128+j │ 64+j │ j           upper 2 bits of dimensions 0-255
    line 1            byte j: 448+j │ 384+j │ 320+j │ 256+j      upper 2 bits of dimensions 256-511
    line 2            byte j: 448+j │ 384+j │ … │ 64+j │ j       lowest bit of dimensions 0-511

Byte level: one byte a dimension, ``codes`` (rows, W) uint8, each backbone's dimensions rounded up
to whole lines; scale and residual norm of each backbone in ``bounds`` (rows, 2 N) float32.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from retrieval_server.exact_search.kernels.code_table import CodeTable, Place

Codes = NDArray[np.uint8]
Shape = tuple[int, ...]

LINE = 64
WORD = 4
LANES = LINE // WORD
FLOAT32_BYTES, FLOAT64_BYTES, INT32_BYTES, INT64_BYTES = 4, 8, 4, 8

HIGH_DIGIT = 128  # what one high digit of a query is worth in low ones

REGIONS = (320, 448)  # axes that the coarse level and the middle level add
COARSE_AXES = REGIONS[0]
AXES = sum(REGIONS)

BLOCK_ROWS = 64
STRIPE = BLOCK_ROWS * WORD
STRIPE_LINES = STRIPE // LINE
COARSE_PASSES = ((0, 128, 4), (0, 16, 4), (16, 64, 2), (128, 320, 2))  # axes [first, last); bits
# By bits, of how many stripes each segment is, whose codes share a scale of a query.
COARSE_SEGMENTS = ((4, (4, 4, 8, 2)), (2, (1, 2, 4, 8)))
WIDE_STRIPES = COARSE_SEGMENTS[0][1][0]  # a query has two digits for each of their codes

MIDDLE_LINES = (  # planes of each line, from the lowest bits: first of 64 axes, bits
    ((64, 2), (128, 2), (192, 2), (256, 2)),
    ((320, 2), (384, 2), (448, 2), (512, 2)),
    ((320, 2), (384, 2), (448, 2), (512, 2)),
    ((576, 4), (640, 4)),
    ((704, 4), (128, 2), (192, 2)),
)
MIDDLE_STRIDE = LINE * len(MIDDLE_LINES)
MIDDLE_BOUNDS = 2

RESIDUAL_BITS = 3
RESIDUAL_LINES = ((2,) * 4, (2,) * 4, (1,) * 8)  # bits of the planes: upper bits, then lowest bits
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


def stripe_codes(bits: int) -> int:
    """Number of codes of some bits in the words of a stripe."""
    return WORD * 8 // bits


WIDE_CODES = WIDE_STRIPES * stripe_codes(COARSE_SEGMENTS[0][0])


def _coarse_places() -> Iterator[Place]:
    stripe = 0
    for first, last, bits in COARSE_PASSES:
        for start in range(first, last, stripe_codes(bits)):
            for code in range(stripe_codes(bits)):
                shift, byte = divmod(code, WORD)
                yield Place(start + code, bits, WORD * stripe + byte, bits * shift)
            stripe += 1


def _middle_places() -> Iterator[Place]:
    for line, planes in enumerate(MIDDLE_LINES):
        shift = 0
        for first, bits in planes:
            for code in range(LINE):
                yield Place(first + code, bits, LINE * line + code, shift)
            shift += bits


COARSE_STRIPES = sum((last - first) // stripe_codes(bits) for first, last, bits in COARSE_PASSES)
COARSE_TABLE = CodeTable(
    _coarse_places(), WORD * COARSE_STRIPES, np.zeros(0, np.int64), COARSE_AXES
)
MIDDLE_TABLE = CodeTable(_middle_places(), MIDDLE_STRIDE, COARSE_TABLE.axis_bits, AXES)


def row_words(blocks: Codes) -> Codes:
    """The bytes of each row of blocks: (blocks, W, 256) become (64 · blocks, 4 W)."""
    words = blocks.reshape(len(blocks), -1, BLOCK_ROWS, WORD).swapaxes(1, 2)
    return words.reshape(len(blocks) * BLOCK_ROWS, -1)


def store_row_words(blocks: Codes, first_row: int, rows: Codes) -> None:
    """Write the bytes of some rows to blocks.

    Args:
        blocks: (blocks, W, 256).
        first_row: row of the database that the first of them is.
        rows: (m, 4 W).
    """
    places = np.arange(first_row, first_row + len(rows))
    by_row = blocks.reshape(len(blocks), -1, BLOCK_ROWS, WORD)
    by_row[places // BLOCK_ROWS, :, places % BLOCK_ROWS] = rows.reshape(len(rows), -1, WORD)


def unpacked_lines(codes: Codes, lines: Sequence[Sequence[int]]) -> Codes:
    """Unpack rows of lines: (m, 64 · lines) codes become (m, codes), plane after plane.

    Args:
        codes: (m, 64 · lines) uint8.
        lines: bits of the planes of each line.
    """
    planes = []
    for line, plane_bits in enumerate(lines):
        shift, own = 0, codes[:, LINE * line : LINE * (line + 1)]
        for bits in plane_bits:
            planes.append((own >> shift) & (2**bits - 1))
            shift += bits
    return np.concatenate(planes, axis=1)


def unpacked_residual(codes: Codes) -> Codes:
    """Unpack the residual level: (m, 192 · groups) codes become (m, 512 · groups)."""
    groups = codes.reshape(-1, RESIDUAL_STRIDE)
    upper = unpacked_lines(groups[:, : 2 * LINE], RESIDUAL_LINES[:2])
    lowest = unpacked_lines(groups[:, 2 * LINE :], RESIDUAL_LINES[2:])
    return (2 * upper + lowest).reshape(len(codes), -1)
