"""What fitting the parameters of an index needs to know of the levels.

``export.index.fit_search`` chooses the parameters; see ``rotation`` for what they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval_server.exact_search.kernels.encoders import SIGNED_OFFSET, encode_residuals
from retrieval_server.exact_search.kernels.layout import AXES, residual_bytes
from retrieval_server.exact_search.levels import coarse, middle, residual
from retrieval_server.exact_search.levels.fit_parameters import FitParameters
from retrieval_server.exact_search.levels.rotation import FloatArray, RotatedRows, SearchFit


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
        fit: the axes, and the steps on them.
        rows: (m) rotated rows.
    """
    count = len(rows.norms)
    coarse_codes, middle_codes = (
        np.zeros(level.shapes((), count)[0][0], np.uint8)
        for level in (coarse.CoarseLevel(), middle.MiddleLevel())
    )
    residual_norms, tails = coarse.write_codes(fit, rows, 0, coarse_codes)
    decoded = np.empty_like(rows.coordinates)
    middle.write_codes(fit, rows, middle_codes, decoded)
    return AxesLoss(residual_norms, tails, residual.residuals(fit, rows, decoded))


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
    """A fit that rows can be rotated with; its steps are zero so far.

    Args:
        parameters: its numbers.
        means: (D,), μ.
        rotation: (K, D), P.
    """
    steps, residual_steps = np.zeros(AXES, np.float32), np.zeros(len(means), np.float32)
    return SearchFit(parameters, means, rotation, steps, residual_steps)
