"""The codes of a level on the axes, in their order: what each codes, and where it lies in a row.

A code splits one axis. The first code of an axis divides its *range* into 2^bits steps, a later one
divides a step of the codes before. A table goes on where the table of the level before ends.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Place:
    """A code of a table before its depth is known.

    Attributes:
        axis: the axis that it codes.
        bits: its number of bits.
        byte: the byte of a row that it lies in.
        shift: the place of its lowest bit in this byte.
    """

    axis: int
    bits: int
    byte: int
    shift: int


class CodeTable:
    """The codes of one level.

    Args:
        places: the codes in their order.
        width: bytes of a row's codes.
        before: (A',) number of bits that earlier levels have on each axis; the others have none.
        axis_count: A, number of axes that this level and the earlier ones code.

    Attributes:
        axes: (n,) of each code.
        bits: (n,).
        byte_places: (n,) the byte of a row that it lies in.
        shifts: (n,) the place of its lowest bit in this byte.
        depths: (n,) number of bits on its axis so far, its own included.
        axis_bits: (A,) number of bits on each axis, those of earlier levels included.
        width: bytes of a row's codes.
    """

    def __init__(
        self, places: Iterable[Place], width: int, before: Integers, axis_count: int
    ) -> None:
        rows = [(place.axis, place.bits, place.byte, place.shift) for place in places]
        self.axes, self.bits, self.byte_places, self.shifts = (
            np.ascontiguousarray(column) for column in np.array(rows, np.int64).T
        )
        self.width = width
        self.axis_bits = np.zeros(axis_count, np.int64)
        self.axis_bits[: len(before)] = before
        self.depths = np.empty_like(self.axes)
        for code, (axis, bits) in enumerate(zip(self.axes, self.bits, strict=True)):
            self.axis_bits[axis] += bits
            self.depths[code] = self.axis_bits[axis]

    def __len__(self) -> int:
        return len(self.axes)

    def steps(self, ranges: NDArray[np.float32]) -> NDArray[np.float64]:
        """The step of each code, (n,).

        Args:
            ranges: (768,) range of each axis.
        """
        steps: NDArray[np.float64] = ranges[self.axes].astype(np.float64) / 2.0**self.depths
        return steps

    def unpacked(self, rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The codes of some rows by numpy, (m, n).

        Args:
            rows: (m, width) the bytes of each row.
        """
        shifted = rows[:, self.byte_places] >> self.shifts.astype(np.uint8)
        return shifted & (2**self.bits - 1).astype(np.uint8)
