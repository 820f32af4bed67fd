"""The product of float32 matrices with which rows are encoded: the same bits on every machine.

Why not BLAS: which of its kernels a machine gets, and so the last bits, depends on the machine, its
version, and the number of rows and threads. The one in numpy's wheels knows few processors by name
and takes a kernel without AVX-512 for all others, which takes twice as long.

Each entry is the sum of blocks of ``BLOCK`` terms, added up in order; in a block, each term is
multiplied and added with one rounding (``fma``), in order. A row's product does not depend on the
other rows. Tiles of 6 rows and 64 columns stay in registers: 24 accumulators of 16 lanes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numpy.typing import NDArray

from retrieval_server.exact_search.kernels.compilation import compiled
from retrieval_server.exact_search.kernels.layout import LANES, LINE
from retrieval_server.exact_search.kernels.vector_instructions import (
    FLOATS,
    I64,
    accumulators,
    address,
    broadcast,
    intrinsic,
    load,
    offset_by,
    pointer_to,
    store,
)

BLOCK = 256  # terms that are summed at once
_TILE_ROWS, _TILE_LINES = 6, 4
_PANEL = _TILE_LINES * LANES  # columns
# What stays in the processor's cache: so many terms of so many rows, a multiple of the tile's, with
# a panel of as many terms.
_DEPTH_AT_ONCE, _ROWS_AT_ONCE = 3 * BLOCK, 252
_FLOAT_BYTES = 4


@dataclass(frozen=True)
class Panels:
    """The right side of a product, in the order in which the tiles read it.

    Attributes:
        values: (⌈n / 64⌉, k, 64) float32; zero where there is no column.
        columns: n.
    """

    values: NDArray[np.float32]
    columns: int

    @classmethod
    def of(cls, right: NDArray[np.float32]) -> Panels:
        """Copy a matrix (k, n) in any order to panels."""
        depth, columns = right.shape
        values = np.zeros((-(-columns // _PANEL), depth, _PANEL), np.float32)
        for panel, first in zip(values, range(0, columns, _PANEL), strict=True):
            chosen = right[:, first : first + _PANEL]
            panel[:, : chosen.shape[1]] = chosen
        return cls(values, columns)

    def first(self, columns: int) -> Panels:
        """The panels of the first columns, which share the memory; a multiple of 64, or all."""
        return Panels(self.values[: -(-columns // _PANEL)], min(columns, self.columns))


def product(left: NDArray[np.float32], right: Panels) -> NDArray[np.float32]:
    """The product of a matrix (m, k) with panels, (m, n)."""
    panels = len(right.values)
    result = np.zeros((len(left), panels * _PANEL), np.float32)
    _add_product(np.ascontiguousarray(left), right.values, result)
    return result if result.shape[1] == right.columns else result[:, : right.columns].copy()


def _tile(rows: int) -> Any:
    """Make the instruction that adds a block of terms to a tile of so many rows."""

    @intrinsic
    def add_tile(
        typing_context: Any,
        left: Any,
        left_bytes: Any,
        right: Any,
        terms: Any,
        result: Any,
        result_bytes: Any,
    ) -> Any:
        def generate(context: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
            left, left_bytes, right, terms, result, result_bytes = arguments
            sums = accumulators(b, FLOATS, rows * _TILE_LINES)
            kind = ir.FunctionType(FLOATS, [FLOATS] * 3)
            fma = cgutils.get_or_insert_function(b.module, kind, f"llvm.fma.v{LANES}f32")
            row_numbers = [ir.Constant(I64, row) for row in range(rows)]
            lefts = [pointer_to(b, b.add(left, b.mul(n, left_bytes))) for n in row_numbers]
            panel = pointer_to(b, right)
            with cgutils.for_range(b, terms) as loop:
                line = offset_by(
                    b, panel, b.mul(loop.index, ir.Constant(I64, _FLOAT_BYTES * _PANEL))
                )
                lanes = [load(b, offset_by(b, line, LINE * n), FLOATS) for n in range(_TILE_LINES)]
                place = b.mul(loop.index, ir.Constant(I64, _FLOAT_BYTES))
                for row in range(rows):
                    value = broadcast(b, offset_by(b, lefts[row], place), FLOATS)
                    for number, columns in enumerate(lanes):
                        total = sums[row * _TILE_LINES + number]
                        b.store(b.call(fma, [value, columns, b.load(total)]), total)
            for row in range(rows):
                target = pointer_to(b, b.add(result, b.mul(row_numbers[row], result_bytes)))
                for number in range(_TILE_LINES):
                    place = offset_by(b, target, LINE * number)
                    total = b.load(sums[row * _TILE_LINES + number])
                    store(b, b.fadd(load(b, place, FLOATS), total), place)
            return context.get_dummy_value()

        return types.void(*[types.intp] * 6), generate

    return add_tile


_add_tile, _add_row = _tile(_TILE_ROWS), _tile(1)


@compiled
def _add_product(
    left: NDArray[np.float32], right: NDArray[np.float32], result: NDArray[np.float32]
) -> None:
    rows, depth = left.shape
    row_bytes, result_bytes = _FLOAT_BYTES * depth, _FLOAT_BYTES * result.shape[1]
    panel_bytes = _FLOAT_BYTES * _PANEL
    for deep in range(0, depth, _DEPTH_AT_ONCE):
        for top in range(0, rows, _ROWS_AT_ONCE):
            end = min(top + _ROWS_AT_ONCE, rows)
            for panel in range(right.shape[0]):
                sums = address(result) + panel * panel_bytes
                for first in range(deep, min(deep + _DEPTH_AT_ONCE, depth), BLOCK):
                    terms = min(BLOCK, depth - first)
                    lines = address(right) + (panel * depth + first) * panel_bytes
                    own = address(left) + _FLOAT_BYTES * first
                    row = top
                    while row + _TILE_ROWS <= end:
                        _add_tile(
                            own + row * row_bytes, row_bytes, lines, terms,
                            sums + row * result_bytes, result_bytes,
                        )  # fmt: skip
                        row += _TILE_ROWS
                    while row < end:
                        _add_row(
                            own + row * row_bytes, row_bytes, lines, terms,
                            sums + row * result_bytes, result_bytes,
                        )  # fmt: skip
                        row += 1
