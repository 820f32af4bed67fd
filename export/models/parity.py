"""The comparison of an exported graph with PyTorch on probe images, before it replaces a model.

One hazard is known: if a cell of the feature map is so close to the threshold of eq. (1) that
rounding decides on which side it is, the weights of its regions change. Images with such a cell
have a looser bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor

from export.models.encoder import Encoder
from export.models.pooling import GeneralizedAttentionRmac, threshold_margin
from export.models.probe_images import probe_images
from retrieval_server.errors import ModelRepositoryError
from retrieval_server.models.image_model import IMAGE_INPUT

PARITY_IMAGES = 6
PARITY_MIN_COSINE = 0.99999
PARITY_MAX_DIFFERENCE = 1e-4
HAZARD_MARGIN = 1e-3  # of the activation's deviation; rounding moved cells by up to 2.4e-5
HAZARD_MIN_COSINE = 0.9999  # one flipped cell cost at most 5.4e-5 of cosine


@dataclass(frozen=True)
class Parity:
    """The difference between onnxruntime and PyTorch on the worst of the probe images.

    Attributes:
        min_cosine: smallest cosine between the two descriptors.
        max_difference: largest absolute difference of a component.
    """

    min_cosine: float
    max_difference: float


def check_parity(encoder: Encoder, side: int, path: Path) -> Parity:
    """Compare the exported file with PyTorch on probe images, singly and as a batch.

    Raises:
        ModelRepositoryError: if the two differ by more than the tolerances of this module.
    """
    images = probe_images(side, PARITY_IMAGES, seed=1)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    batch = session.run(None, {IMAGE_INPUT: images})[0]
    single = np.concatenate([session.run(None, {IMAGE_INPUT: image[None]})[0] for image in images])
    with torch.no_grad():
        tensor = torch.from_numpy(images)
        expected = encoder(tensor).numpy()
        hazardous = near_threshold(encoder, tensor)
    parities = [_compare(path, actual, expected, hazardous) for actual in (batch, single)]
    return min(parities, key=lambda parity: parity.min_cosine)


def near_threshold(encoder: Encoder, images: Tensor) -> NDArray[np.bool_]:
    """Tell for which images rounding may change a cell of the attention mask.

    Args:
        encoder: any encoder; only poolings with attention have such images.
        images: (B, S, S, 3) uint8.

    Returns:
        (B,) bool.
    """
    if not isinstance(encoder.pooling, GeneralizedAttentionRmac):
        return np.zeros(len(images), dtype=bool)
    margin = threshold_margin(encoder.feature_map(images).double(), encoder.pooling.p)
    return (margin <= HAZARD_MARGIN).numpy()


def _compare(
    path: Path,
    actual: NDArray[np.float32],
    expected: NDArray[np.float32],
    hazardous: NDArray[np.bool_],
) -> Parity:
    cosines = (actual.astype(np.float64) * expected).sum(axis=1)
    differences = np.abs(actual - expected).max(axis=1)
    strict = (cosines >= PARITY_MIN_COSINE) & (differences <= PARITY_MAX_DIFFERENCE)
    good = strict | (hazardous & (cosines >= HAZARD_MIN_COSINE))
    if actual.shape != expected.shape or not good.all():
        worst = int(np.argmin(np.where(good, np.inf, cosines)))
        raise ModelRepositoryError(
            f"{path.parent.parent.name}: the exported graph differs from PyTorch: probe image "
            f"{worst} has cosine {cosines[worst]:.7f} and difference {differences[worst]:.1e}, "
            f"allowed are {PARITY_MIN_COSINE} and {PARITY_MAX_DIFFERENCE:.0e}. Nothing was written."
        )
    return Parity(float(cosines.min()), float(differences.max()))
