"""The codes of the coarse and the middle level on the axes, and the norm of what they lose.

Both levels bound the inner product of a query's coordinates p = Pg with what the codes lose of a
row's, e = Py - ĉ, by Cauchy-Schwarz with a *weight* c for each axis,

    ⟨p, e⟩ = Σ (p_j / c_j) (c_j e_j) ≤ |p / c| |c e|.

It holds for any positive c. With queries spread like rows it is tightest where c_j² is the ratio of
the lengths of p_j and e_j, which a quantiser of some bits determines: of a Gaussian, each bit makes
what is lost some 2^0.85 times as short.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from retrieval_server.exact_search.kernels.code_table import CodeTable
from retrieval_server.exact_search.kernels.encoders import encode_axes
from retrieval_server.exact_search.levels.rotation import (
    TINY,
    FloatArray,
    RotatedRows,
    SearchFit,
    tail_norms,
)

_SHORTER_BY_A_BIT = 2.0**0.85


class AxisCodes:
    """The codes of a level on the axes.

    Args:
        table: which codes there are.
    """

    def __init__(self, table: CodeTable) -> None:
        self.table = table
        self._squared_weights = _SHORTER_BY_A_BIT**table.axis_bits
        self._inverse_weights = 1 / self._squared_weights

    def encode(
        self,
        fit: SearchFit,
        rows: RotatedRows,
        decoded: FloatArray,
    ) -> tuple[NDArray[np.uint8], FloatArray, FloatArray]:
        """Encode rows.

        Args:
            fit: the ranges.
            rows: (m) rotated rows.
            decoded: (m, 768) what earlier levels stored of them; what this one stores is added.

        Returns:
            The codes, (m, W), at least |c e|, (m,), and at least |Ty| beside the axes, (m,).
        """
        table, count = self.table, len(decoded)
        codes = np.zeros((count, table.width), np.uint8)
        lost, squares = (np.empty(count) for _ in range(2))
        encode_axes(
            rows.coordinates,
            table.axes, table.bits, fit.steps(table), table.byte_places, table.shifts,
            self._squared_weights, codes, decoded, lost, squares,
        )  # fmt: skip
        weights = float(np.sqrt(self._squared_weights.sum())), float(self._squared_weights.max())
        norms = np.sqrt(lost) + rows.weighted_error(weights[0], math.sqrt(weights[1]))
        error = rows.error(len(table.axis_bits))
        return codes, norms, tail_norms(rows.norms, squares, error, fit.parameters.rotation_error)

    def coefficients(self, fit: SearchFit, coordinates: FloatArray) -> FloatArray:
        """What each code of a row is multiplied with, (n,).

        Args:
            fit: the ranges.
            coordinates: (A,) Pg.
        """
        found: FloatArray = coordinates[self.table.axes] * fit.steps(self.table)
        return found

    def query_norm(self, coordinates: FloatArray) -> float:
        """At least |p / c|.

        Args:
            coordinates: (A,) p.
        """
        return math.sqrt(float(coordinates**2 @ self._inverse_weights)) * (1 + TINY)
