"""What fitting the parameters of an index needs to know of the levels.

``export.index.fit_search`` chooses the parameters; see ``rotation`` for what they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval_server.exact_search.kernels.encoders import (
    SIGNED_OFFSET,
    codes_reference,
    encode_residuals,
)
from retrieval_server.exact_search.kernels.layout import (
    AXES,
    COARSE_AXES,
    COARSE_TABLE,
    MIDDLE_TABLE,
    residual_bytes,
)
from retrieval_server.exact_search.levels import residual
from retrieval_server.exact_search.levels.axis_codes import AxisCodes
from retrieval_server.exact_search.levels.fit_parameters import FitParameters
from retrieval_server.exact_search.levels.rotation import FloatArray, RotatedRows, SearchFit

_FIRST_BITS = np.concatenate([COARSE_TABLE.axis_bits, MIDDLE_TABLE.axis_bits[COARSE_AXES:]])
# on each axis, by the first level that codes it


@dataclass(frozen=True)
class AxesLoss:
    """What the codes on the axes leave of some rows.

    Attributes:
        residual_norms: (m,) ρ of the coarse level.
        tail_norms: (m,) t of the coarse level.
        remainder: (m, D) float32, r of the residual level.
    """

    residual_norms: FloatArray
    tail_norms: FloatArray
    remainder: NDArray[np.float32]


def axes_loss(fit: SearchFit, rows: RotatedRows) -> AxesLoss:
    """Encode rows on the axes, to see what is lost.

    Args:
        fit: the axes, and the ranges on them.
        rows: (m) rotated rows.
    """
    decoded = np.zeros(rows.coordinates.shape)
    _, residual_norms, tails = AxisCodes(COARSE_TABLE).encode(fit, rows, decoded)
    AxisCodes(MIDDLE_TABLE).encode(fit, rows, decoded)
    return AxesLoss(residual_norms, tails, residual.residuals(fit, rows, decoded))


def range_losses(coordinates: NDArray[np.float32], ranges: NDArray[np.float32]) -> FloatArray:
    """Mean square of what the first level that codes an axis loses on each axis, (768,).

    Args:
        coordinates: (m, 768) of some rows.
        ranges: (768,) the range of each axis.
    """
    losses = np.empty(AXES)
    for bits in np.unique(_FIRST_BITS).tolist():
        own = _FIRST_BITS == bits
        values = coordinates[:, own]
        _, stored = codes_reference(values, ranges[own] / 2.0**bits, bits)
        losses[own] = np.mean((values - stored) ** 2, axis=0)
    return losses


def residual_losses(remainder: NDArray[np.float32], steps: NDArray[np.float32]) -> FloatArray:
    """Mean square of what the codes of the residual level lose in each dimension, (D,).

    Args:
        remainder: (m, D) r of some rows.
        steps: (D,) the step of each dimension.
    """
    lost = remainder.copy()
    codes = np.zeros((len(lost), residual_bytes(lost.shape[1])), np.uint8)
    encode_residuals(lost, steps, codes)  # leaves what is lost in place of the rows
    losses: FloatArray = np.mean(lost**2, axis=0, dtype=np.float64)
    return losses


def code_offset(descriptors: NDArray[Any]) -> int:
    """The code of zero at the byte level for a backbone with such descriptors."""
    return 0 if bool((descriptors >= 0).all()) else SIGNED_OFFSET


def unfitted(
    parameters: FitParameters, means: NDArray[np.float32], rotation: NDArray[np.float32]
) -> SearchFit:
    """A fit that rows can be rotated with; its ranges and steps are zero so far.

    Args:
        parameters: its numbers.
        means: (D,), μ.
        rotation: (K, D), P.
    """
    ranges, steps = np.zeros(AXES, np.float32), np.zeros(len(means), np.float32)
    return SearchFit(parameters, means, rotation, ranges, steps)
