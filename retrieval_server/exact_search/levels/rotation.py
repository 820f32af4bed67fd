"""One rotation for all backbones, and what its rounding costs.

The search bounds L(x) = Σ_n w_n ⟨q_n, x_n⟩ (see fused_bound), with weights w that depend on the α
of the query. With the fitted means μ_n and scalings β_n, neither of which knows α,

    y = [β_n (x_n - μ_n)]_n,     g = [w_n / β_n (q_n - μ_n)]_n,
    L(x) = ⟨g, y⟩ + Σ_n w_n b_n(x) + Σ_n w_n ⟨q_n, μ_n⟩,     b_n(x) = ⟨μ_n, x_n - μ_n⟩.

So the database is rotated and encoded once and serves every α; β only shapes which directions of y
are the leading ones (it is √w at the profile's α). Means are taken out because they dominate
rectified features: what is left of g is shorter, and with it every error bound below.

The rotation P, (K, D) float32, holds the leading principal axes of y. Nothing below needs them to
be principal, and only nearly orthonormal: ε = ‖P Pᵀ - I‖_F is measured. For any vector ĉ,
⟨g, y⟩ = ⟨Pg, ĉ⟩ + ⟨Pg, Py - ĉ⟩ + ⟨g, (I - PᵀP) y⟩ is an identity. The levels store ĉ, bits of Py,
and bound the second term by Cauchy-Schwarz, see axis_codes. For the
third, write P = (P Pᵀ)^½ Q with orthonormal rows Q, and T for the projection beside them:

    ⟨g, (I - PᵀP) y⟩ ≤ |Tg| |Ty| + ε |g| |y|,     |Tv|² ≤ |v|² - |Pv|² (1 - ε).

It holds for the first axes of P alone as well, ε being no smaller than the ε of a part.

Rounding. Py is a float32 product; summed in any order over D terms its error would be bounded by
γ_D only. ``product`` sums blocks of 256 terms and adds those up: at most γ_k |P_j| |y| a
coordinate, with k = 256 + ⌈D / 256⌉, γ_k = k u / (1 - k u), u = 2⁻²⁴ (Higham 2002, section 3.1),
and 3u |y| for the rounding of y itself. The encoder adds that to every residual it stores. Pg is
computed in float64; its error, like all float64 rounding here, is below 1e-11 |g| |y|.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from retrieval_server.exact_search.kernels.code_table import CodeTable
from retrieval_server.exact_search.kernels.inner_products import dots, square_sums
from retrieval_server.exact_search.kernels.layout import AXES, REGIONS, Shape
from retrieval_server.exact_search.kernels.product import BLOCK, Panels, product
from retrieval_server.exact_search.levels.fit_parameters import FitParameters
from retrieval_server.exact_search.similarity import NORM_TOLERANCE

LONGEST = 1 + 2 * NORM_TOLERANCE  # norm of a descriptor, with room for its rounding
UNIT = 2.0**-24  # float32's rounding unit
TINY = 1e-11  # float64 rounding, generously

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class SearchFit:
    """What a database is encoded with; frozen when rows are added.

    Attributes:
        parameters: its numbers.
        means: (D,) float32, μ of all backbones side by side.
        rotation: (K, D) float32 with K = min(D, 768), P.
        ranges: (768,) float32, what the codes on each axis divide; zero where there is no axis.
        residual_steps: (D,) float32, step of the residual level's codes on each dimension.
    """

    parameters: FitParameters
    means: NDArray[np.float32]
    rotation: NDArray[np.float32]
    ranges: NDArray[np.float32]
    residual_steps: NDArray[np.float32]

    @cached_property
    def to_axes(self) -> Panels:
        """Pᵀ, by which rows are multiplied."""
        return Panels.of(self.rotation.T)

    @cached_property
    def to_dimensions(self) -> Panels:
        """P, by which coordinates are multiplied."""
        return Panels.of(self.rotation)

    @cached_property
    def exact_means(self) -> FloatArray:
        """The means in float64."""
        return self.means.astype(np.float64)

    @cached_property
    def _steps(self) -> dict[CodeTable, FloatArray]:
        return {}

    def steps(self, table: CodeTable) -> FloatArray:
        """The step of each code of a level, (n,); computed once."""
        if table not in self._steps:
            self._steps[table] = table.steps(self.ranges)
        return self._steps[table]

    @staticmethod
    def shapes(dimension: int) -> dict[str, Shape]:
        """Shapes of the arrays, by attribute.

        Args:
            dimension: D.
        """
        return {
            "means": (dimension,),
            "rotation": (axis_count(dimension), dimension),
            "ranges": (AXES,),
            "residual_steps": (dimension,),
        }

    def columns(self, dimensions: Sequence[int]) -> list[slice]:
        """The columns of each backbone in the D dimensions.

        Args:
            dimensions: C by backbone.
        """
        ends = np.cumsum(dimensions).tolist()
        return [slice(end - size, end) for end, size in zip(ends, dimensions, strict=True)]


def axis_count(dimension: int) -> int:
    """K: number of axes of a rotation of D dimensions."""
    return min(dimension, AXES)


@dataclass(frozen=True)
class RotatedRows:
    """Some rows of the database on the fitted axes.

    Attributes:
        scaled: (m, D) float32, y up to rounding.
        coordinates: (m, 768) float32, Py up to rounding; zero where there is no axis.
        norms: (m,) float64, at least |y|.
        means: (m, N) float64, b.
        axis_error: the error of one coordinate is at most this times the norm.
        whole_error: the error of all coordinates together, from the rounding of y, is at most this
            times the norm.
    """

    scaled: NDArray[np.float32]
    coordinates: NDArray[np.float32]
    norms: FloatArray
    means: FloatArray
    axis_error: float
    whole_error: float

    def error(self, axes: int) -> FloatArray:
        """(m,) upper bounds of the coordinates' error over so many axes, in the 2-norm."""
        return self.weighted_error(math.sqrt(axes), 1.0)

    def weighted_error(self, weight_norm: float, largest_weight: float) -> FloatArray:
        """(m,) upper bounds of the coordinates' error, times a weight for each axis, in the 2-norm.

        Args:
            weight_norm: norm of the weights.
            largest_weight: the largest of them.
        """
        return (self.axis_error * weight_norm + self.whole_error * largest_weight) * self.norms


def rotate_rows(fit: SearchFit, descriptors: Sequence[NDArray[np.float32]]) -> RotatedRows:
    """Rotate rows of the database.

    Args:
        fit: the axes.
        descriptors: (m, C_n) float32 by backbone.
    """
    rows = len(descriptors[0])
    columns = fit.columns([matrix.shape[1] for matrix in descriptors])
    scaled = np.empty((rows, len(fit.means)), np.float32)
    means = np.empty((rows, len(descriptors)))
    for backbone, (matrix, own) in enumerate(zip(descriptors, columns, strict=True)):
        mean = fit.means[own]
        np.subtract(matrix, mean, out=scaled[:, own])
        scaled[:, own] *= np.float32(fit.parameters.scalings[backbone])
        products = np.empty(rows)
        dots(matrix, mean.astype(np.float64), products)
        means[:, backbone] = products - np.dot(mean.astype(np.float64), mean.astype(np.float64))
    norms = row_norms(scaled) * (1 + 4 * UNIT)
    axes, dimension = fit.rotation.shape
    coordinates = np.zeros((rows, AXES), np.float32)
    coordinates[:, :axes] = product(scaled, fit.to_axes)
    length = 1 + fit.parameters.rotation_error  # of a row of P, or more
    axis_error = product_error(dimension) * length
    return RotatedRows(scaled, coordinates, norms, means, axis_error, 4 * UNIT * length)


def row_norms(matrix: NDArray[np.float32]) -> FloatArray:
    """The norms of the rows of a matrix (m, n), (m,), up to float64 rounding."""
    squares = np.empty(len(matrix))
    square_sums(matrix, squares)
    return np.sqrt(squares)


def product_error(terms: int) -> float:
    """γ of a ``product`` over so many terms.

    The error of an entry is at most γ times the norms of its row of the left side and its column of
    the right side.
    """
    units = (BLOCK + math.ceil(terms / BLOCK) + 1) * UNIT
    return units / (1 - units)


def tail_norms(
    norms: FloatArray, squares: FloatArray, errors: FloatArray, rotation_error: float
) -> FloatArray:
    """Upper bounds of |Ty|, (m,).

    Args:
        norms: (m,) at least |y|.
        squares: (m,) squared norm of the computed coordinates.
        errors: (m,) bounds of the error of the coordinates.
        rotation_error: ε.
    """
    on_axes = np.maximum(0, np.sqrt(squares) - errors) ** 2 * (1 - rotation_error)
    return np.sqrt(np.maximum(0, norms**2 * (1 + TINY) - on_axes * (1 - TINY)))


class RotatedQuery:
    """A query on the fitted axes, rotated as far as it is needed.

    Args:
        fit: the axes.
        query: (C_n,) float32 by backbone, norms at most ``LONGEST``.
        weights: (N,) w.
    """

    def __init__(
        self, fit: SearchFit, query: Sequence[NDArray[np.float32]], weights: FloatArray
    ) -> None:
        self._fit, self.weights = fit, weights
        columns = fit.columns([len(descriptor) for descriptor in query])
        g = np.empty(len(fit.means))
        constant = longest = 0.0
        for backbone, (descriptor, own) in enumerate(zip(query, columns, strict=True)):
            mean = fit.exact_means[own]
            scaling = float(np.float32(fit.parameters.scalings[backbone]))
            exact = descriptor.astype(np.float64)
            g[own] = (exact - mean) * (weights[backbone] / scaling)
            constant += weights[backbone] * float(exact @ mean)
            longest += (scaling * (LONGEST + math.sqrt(float(mean @ mean)))) ** 2
        self._g = g
        self._square = float(g @ g)
        self.constant = constant
        """Σ w_n ⟨q_n, μ_n⟩, with what belongs to no other term: ε |g| |y|, float64 rounding."""
        self.constant += (fit.parameters.rotation_error + TINY) * math.sqrt(
            self._square * longest
        ) + TINY * float(weights.sum())
        self._regions: list[FloatArray] = []

    @property
    def vector(self) -> FloatArray:
        """g, (D,)."""
        return self._g

    @property
    def norm(self) -> float:
        """At least |g|."""
        return math.sqrt(self._square) * (1 + TINY)

    def region(self, index: int) -> FloatArray:
        """Pg on a region's axes, zero where there is no axis.

        Args:
            index: 0 for the axes of the coarse level, 1 for those that the middle level adds.
        """
        while len(self._regions) <= index:
            first = sum(REGIONS[: len(self._regions)])
            size = REGIONS[len(self._regions)]
            last = max(first, min(first + size, len(self._fit.rotation)))
            coordinates = np.zeros(size)
            dots(self._fit.rotation[first:last], self._g, coordinates[: last - first])
            self._regions.append(coordinates)
        return self._regions[index]

    def region_norm(self, index: int) -> float:
        """At least |Pg| on the axes of ``region(index)``."""
        coordinates = self.region(index)
        return math.sqrt(float(coordinates @ coordinates)) * (1 + TINY)

    def tail_norm(self, regions: int) -> float:
        """At least |Tg|, beside the axes of the first ``regions`` regions."""
        on_axes = sum(float(each @ each) for each in map(self.region, range(regions)))
        kept = on_axes * (1 - self._fit.parameters.rotation_error - TINY)
        return math.sqrt(max(0.0, self._square * (1 + TINY) - kept))


def rounding(*magnitudes: float, operations: int = 32) -> float:
    """Bound of float32 rounding in a level's kernel.

    Args:
        magnitudes: largest absolute value of each term of the kernel's sum.
        operations: how many operations a term goes through, or more.
    """
    return operations * UNIT * sum(magnitudes)
