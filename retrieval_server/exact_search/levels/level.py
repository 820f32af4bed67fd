"""What every level has: a name, the shapes of its arrays, and how rows are encoded into them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval_server.exact_search.kernels.layout import Shape
from retrieval_server.exact_search.levels.rotation import FloatArray, RotatedRows, SearchFit
from retrieval_server.exact_search.row_file import RowFile

ArrayForm = tuple[Shape, type[np.generic]]  # shape and dtype


@dataclass(frozen=True)
class LevelArrays:
    """The arrays of a level; layout says what lies where.

    Attributes:
        codes: uint8.
        bounds: uint8 or float32.
        file: the file that rows of the codes are read from; None for codes in memory.
    """

    codes: NDArray[np.uint8]
    bounds: NDArray[Any]
    file: RowFile | None = None

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return self.codes.nbytes + self.bounds.nbytes


@dataclass(frozen=True)
class NewRows:
    """Rows on their way into the levels, which encode them in their order.

    Attributes:
        first: row of the database that the first of them is.
        descriptors: (m, C_n) float32 by backbone.
        rotated: the rows on the fitted axes.
        decoded: (m, 768) float64, ĉ of rotation: what the levels so far stored, at first zero.
        is_outlier: (m,) which rows the levels on the axes cannot bound; the coarse level writes it.
    """

    first: int
    descriptors: Sequence[NDArray[np.float32]]
    rotated: RotatedRows
    decoded: FloatArray
    is_outlier: NDArray[np.bool_]

    @property
    def own(self) -> slice:
        """The rows in the database."""
        return slice(self.first, self.first + len(self.decoded))


class Level(Protocol):
    """A level of every database; its arrays are ``LevelArrays``.

    Attributes:
        name: of the level, in the names of its files too.
        is_resident: whether the codes are copied to memory instead of read from disk.
    """

    name: str
    is_resident: bool

    def shapes(self, dimensions: Sequence[int], rows: int) -> tuple[ArrayForm, ArrayForm]:
        """Shape and dtype of the codes and of the bounds.

        Args:
            dimensions: C by backbone.
            rows: N.
        """

    def encode_rows(self, fit: SearchFit, rows: NewRows, arrays: LevelArrays) -> None:
        """Write the codes and bounds of rows.

        Args:
            fit: the axes, steps and ranges.
            rows: the rows, as the levels before left them.
            arrays: have room for the rows, zero or what the same fit encoded.
        """


def rounded_up(exact: FloatArray) -> NDArray[np.float32]:
    """The float32 at or above each float64."""
    return np.nextafter(exact.astype(np.float32), np.float32(np.inf))
