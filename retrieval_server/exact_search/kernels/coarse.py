"""The kernel of the coarse level: estimates and upper bounds of L of whole blocks of rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retrieval_server.exact_search.kernels.coarse_lines import CONSTANT, OUTPUTS, UNIT, bounds_of
from retrieval_server.exact_search.kernels.compilation import compiled, inlined
from retrieval_server.exact_search.kernels.layout import (
    BLOCK_ROWS,
    COARSE_TABLE,
    FLOAT32_BYTES,
    LANES,
    LINE,
    STRIPE,
    STRIPE_LINES,
    WIDE_CODES,
    row_words,
)
from retrieval_server.exact_search.kernels.vector_instructions import (
    AHEAD,
    address,
    addresses,
    bits_of_block,
)

QUERIES_AT_ONCE = 4  # of a pass; the sums of 4 queries fill the vector registers
_FEW_LINES = 1 / 3  # share of the lines of some blocks up to which these lines are read one by one

_Level = tuple[NDArray[np.uint8], NDArray[np.uint8]]  # codes and bounds
_Bytes = tuple[NDArray[np.int8], ...]
_Floats = tuple[NDArray[np.float32], ...]
_Allowed = tuple[NDArray[np.bool_], ...]
_Queries = tuple[_Bytes, NDArray[np.int64], _Floats, _Bytes]
_Out = tuple[_Floats, _Floats, _Floats]

_block_bounds, _line_bounds = bounds_of(STRIPE_LINES), bounds_of(1)


@inlined
def _mask_of(allowed: NDArray[np.bool_], first_row: int) -> int:
    """A bit for each row of a block that may be found."""
    if allowed.size == 0:
        return -1  # every row
    if first_row + BLOCK_ROWS <= allowed.size:
        bits: int = bits_of_block(address(allowed) + first_row)
        return bits
    mask = 0
    for row in range(first_row, allowed.size):  # of the last block
        mask |= int(allowed[row]) << (row - first_row)
    return mask


@compiled
def _lines_of(allowed: NDArray[np.bool_], first: int, last: int) -> NDArray[np.int64]:
    """The lines of blocks [first, last) that have a row that may be found."""
    lines, count = np.empty(STRIPE_LINES * (last - first), np.int64), 0
    for block in range(first, last):
        mask = _mask_of(allowed, block * BLOCK_ROWS)
        for line in range(STRIPE_LINES):
            lines[count] = STRIPE_LINES * block + line
            count += (mask >> (LANES * line)) & (2**LANES - 1) != 0
    return lines[:count]


@inlined
def _masks_of(allowed: _Allowed, first_row: int, masks: NDArray[np.int64]) -> bool:
    """Write the mask of each query for a block; whether a row of it may be found."""
    may_be_found = False
    for query in range(len(allowed)):
        masks[query] = _mask_of(allowed[query], first_row)
        may_be_found |= masks[query] != 0
    return may_be_found


@compiled
def _bound_blocks(
    level: _Level, first: int, last: int, queries: _Queries, allowed: _Allowed, out: _Out
) -> None:
    """Bound the rows of blocks [first, last)."""
    (codes, bounds), (estimates, upper_bounds, block_maxima) = level, out
    digits, segments, scales, weights = queries
    words, count = bounds.shape[1], len(allowed)
    masks, largest = np.empty(count, np.int64), np.empty(count, np.float32)
    for block in range(first, last):
        first_row = block * BLOCK_ROWS
        if not _masks_of(allowed, first_row, masks):
            for query in range(count):
                estimates[query][first_row : first_row + BLOCK_ROWS] = -np.inf
                upper_bounds[query][first_row : first_row + BLOCK_ROWS] = -np.inf
                block_maxima[query][block] = -np.inf
            continue
        _block_bounds(
            address(codes) + block * codes.shape[1] * STRIPE,
            address(bounds) + block * words * STRIPE,
            words,
            addresses(digits),
            address(segments),
            addresses(scales),
            addresses(weights),
            address(masks),
            AHEAD,
            addresses(estimates),
            addresses(upper_bounds),
            first_row * FLOAT32_BYTES,
            address(largest),
        )
        for query in range(count):
            block_maxima[query][block] = largest[query]


@compiled
def _bound_lines(
    level: _Level,
    lines: NDArray[np.int64],
    queries: _Queries,
    allowed: _Allowed,
    out: _Out,
) -> None:
    """Bound the rows of some lines; the outputs are -inf before."""
    (codes, bounds), (estimates, upper_bounds, block_maxima) = level, out
    digits, segments, scales, weights = queries
    words, block_bytes = bounds.shape[1], codes.shape[1] * STRIPE
    masks, largest = np.empty(len(allowed), np.int64), np.empty(len(allowed), np.float32)
    for position in range(lines.size):
        block, line = divmod(lines[position], STRIPE_LINES)
        next_block, next_line = divmod(lines[min(position + 1, lines.size - 1)], STRIPE_LINES)
        _masks_of(allowed, block * BLOCK_ROWS, masks)
        masks >>= line * LANES
        _line_bounds(
            address(codes) + block * block_bytes + line * LINE,
            address(bounds) + block * words * STRIPE + line * LINE,
            words,
            addresses(digits),
            address(segments),
            addresses(scales),
            addresses(weights),
            address(masks),
            (next_block - block) * block_bytes + (next_line - line) * LINE,
            addresses(estimates),
            addresses(upper_bounds),
            (block * BLOCK_ROWS + line * LANES) * FLOAT32_BYTES,
            address(largest),
        )
        for query in range(len(allowed)):
            block_maxima[query][block] = max(block_maxima[query][block], largest[query])


@compiled
def coarse_bounds(
    codes: NDArray[np.uint8],
    bounds: NDArray[np.uint8],
    first: int,
    last: int,
    digits: _Bytes,
    segments: NDArray[np.int64],
    scales: _Floats,
    weights: _Bytes,
    allowed: _Allowed,
    estimates: _Floats,
    upper_bounds: _Floats,
    block_maxima: _Floats,
) -> None:
    """Estimate and bound L of the rows of blocks [first, last); see ``levels.coarse``.

    Several queries are one pass over the codes: a tuple has an array for each of them, and what is
    written for a query does not depend on the others. A row that may not be found has -inf for
    both. The codes of a block without a row that may be found are not read; where few lines have
    rows that one query may find, only these lines are read.

    Args:
        codes: (blocks, 33, 256).
        bounds: (blocks, W, 256).
        first: first block.
        last: one past the last block.
        digits: (32 + 384,) of each query: the low ones of the wide segment, then code by code.
        segments: ``SEGMENT_LENGTHS``.
        scales: (11,) S of the low digits, of the segments, the unit of the weights, the constant.
        weights: (W, 2, 4) of the bounds, in the estimate, and in what the upper bound adds to it.
        allowed: (N,) which rows may be found; empty where all may.
        estimates: (64 · blocks,) out.
        upper_bounds: (64 · blocks,) out.
        block_maxima: (blocks,) out, the largest upper bound of each block.
    """
    level, queries = (codes, bounds), (digits, segments, scales, weights)
    out = (estimates, upper_bounds, block_maxima)
    if len(allowed) > 1 or allowed[0].size == 0:
        _bound_blocks(level, first, last, queries, allowed, out)
        return
    lines = _lines_of(allowed[0], first, last)
    if lines.size > _FEW_LINES * STRIPE_LINES * (last - first):
        _bound_blocks(level, first, last, queries, allowed, out)
        return
    estimates[0][first * BLOCK_ROWS : last * BLOCK_ROWS] = -np.inf
    upper_bounds[0][first * BLOCK_ROWS : last * BLOCK_ROWS] = -np.inf
    block_maxima[0][first:last] = -np.inf
    _bound_lines(level, lines, queries, allowed, out)


def coarse_bounds_reference(
    codes: NDArray[np.uint8],
    bounds: NDArray[np.uint8],
    digits: NDArray[np.int8],
    starts: NDArray[np.int64],
    scales: NDArray[np.float32],
    weights: NDArray[np.int8],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What ``coarse_bounds`` computes of all blocks for one query, by numpy: bit for bit.

    Args:
        codes: (blocks, 33, 256).
        bounds: (blocks, W, 256).
        digits: (32 + 384,).
        starts: first code of each segment.
        scales: (11,).
        weights: (W, 2, 4).

    Returns:
        Estimates and upper bounds, (64 · blocks,) each.
    """
    by_row = COARSE_TABLE.unpacked(row_words(codes)).astype(np.int32)
    by_row = np.concatenate([by_row[:, :WIDE_CODES], by_row], axis=1)  # read twice
    starts = np.concatenate([[0], WIDE_CODES + starts])
    dots = np.add.reduceat(by_row * digits, starts, axis=1).astype(np.float32)
    total = np.zeros(len(dots), np.float32)
    for segment, scale in enumerate(scales[: len(starts)]):
        total += dots[:, segment] * scale
    of_estimate, of_upper_bound = weights.swapaxes(0, 1).reshape(OUTPUTS, -1).astype(np.int32)
    stored = row_words(bounds).astype(np.int32)
    estimates = total + scales[CONSTANT] + (stored @ of_estimate).astype(np.float32) * scales[UNIT]
    return estimates, estimates + (stored @ of_upper_bound).astype(np.float32) * scales[UNIT]
