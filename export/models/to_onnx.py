"""Export: normalisation, backbone, pooling and L2 norm in one ONNX graph, checked against PyTorch.

The graph takes uint8 NHWC images, so that the wire carries a quarter of float32's bytes, and
returns unit descriptors and the fingerprint of its weights. Opset 18 and IR version 10 with the
weights inside the file: onnxruntime 1.18 and Triton 24.08 still load it.

Every export compares itself with PyTorch before it takes its place in the repository. One hazard
is known: a cell of the feature map so close to the threshold of eq. (1) that rounding decides
about it moves a whole region's weight. Images with such a cell are held to a looser bound.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from export.models.backbones import LoadedBackbone
from export.models.fingerprint import add_fingerprint
from export.models.pooling import (
    GeneralizedAttentionRmac,
    attention_mask,
    build_pooling,
    l2_normalise,
    threshold_margin,
)
from export.models.pooling_choice import PoolingChoice
from export.models.probe_images import probe_images
from retrieval_server.errors import ModelRepositoryError
from retrieval_server.model_repository import DESCRIPTOR_OUTPUT, IMAGE_INPUT
from retrieval_server.profile import Backbone

OPSET = 18
MAX_IR_VERSION = 10
PARITY_IMAGES = 6
PARITY_MIN_COSINE = 0.99999
PARITY_MAX_DIFFERENCE = 1e-4
HAZARD_MARGIN = 1e-3  # of the activation's deviation; rounding moved cells by up to 2.4e-5
HAZARD_MIN_COSINE = 0.9999  # one flipped cell cost at most 5.4e-5 of cosine


class Encoder(nn.Module):
    """uint8 images (B, S, S, 3) → descriptors (B, C) float32 of unit L2 norm, or all zero."""

    scale: Tensor
    shift: Tensor

    def __init__(self, backbone: LoadedBackbone, pooling: nn.Module) -> None:
        super().__init__()
        self.features = backbone.features
        self.pooling = pooling
        mean = torch.tensor(backbone.mean).view(1, 3, 1, 1)
        std = torch.tensor(backbone.std).view(1, 3, 1, 1)
        self.register_buffer("scale", 1 / (255 * std))
        self.register_buffer("shift", -mean / std)

    def feature_map(self, images: Tensor) -> Tensor:
        """Map uint8 images (B, S, S, 3) to (B, C, h, w) float32."""
        feature_map: Tensor = self.features(
            images.permute(0, 3, 1, 2).float() * self.scale + self.shift
        )
        return feature_map

    def forward(self, images: Tensor) -> Tensor:
        """Describe uint8 images (B, S, S, 3) as (B, C) float32."""
        return l2_normalise(self.pooling(self.feature_map(images)))


class SweepEncoder(Encoder):
    """uint8 images (B, S, S, 3) → descriptors by several poolings side by side, (B, P · C).

    The backbone runs once for all of them; each is what an ``Encoder`` with that pooling gives.

    Args:
        backbone: the backbone's layers and normalisation.
        poolings: P of them.
        white_out_p: paint white first what the attention mask of eq. (1) with this p leaves out
            (see ``white_out``), which runs the backbone a second time; None for the image as it is.
    """

    def __init__(
        self, backbone: LoadedBackbone, poolings: Sequence[nn.Module], white_out_p: float | None
    ) -> None:
        super().__init__(backbone, nn.ModuleList(poolings))
        self.white_out_p = white_out_p

    def forward(self, images: Tensor) -> Tensor:
        """Describe uint8 images (B, S, S, 3) as (B, P · C) float32."""
        if self.white_out_p is not None:
            images = white_out(images, attention_mask(self.feature_map(images), self.white_out_p))
        feature_map = self.feature_map(images)
        assert isinstance(self.pooling, nn.ModuleList)
        return torch.cat([l2_normalise(pool(feature_map)) for pool in self.pooling], dim=1)


def white_out(images: Tensor, mask: Tensor) -> Tensor:
    """Paint white what a mask leaves out; an image whose mask is empty stays as it is.

    Args:
        images: (B, S, S, 3) uint8.
        mask: (B, 1, h, w) float, 1 for what stays; a cell stands for its S/h × S/w pixels.

    Returns:
        (B, S, S, 3) uint8.
    """
    stays = mask + (1 - mask.amax(dim=(2, 3), keepdim=True))
    pixels = functional.interpolate(stays, size=images.shape[1:3], mode="nearest")
    return torch.where(pixels.permute(0, 2, 3, 1) > 0, images, torch.full_like(images, 255))


@dataclass(frozen=True)
class Parity:
    """How far onnxruntime is from PyTorch on the worst of the probe images.

    Attributes:
        min_cosine: smallest cosine between the two descriptors.
        max_difference: largest absolute difference of a component.
    """

    min_cosine: float
    max_difference: float


def build_encoder(backbone: Backbone, side: int, loaded: LoadedBackbone) -> Encoder:
    """Put a backbone and its pooling together.

    Args:
        backbone: names the pooling and its exponent.
        side: height and width in pixels of the images.
        loaded: the backbone's layers and normalisation.

    Raises:
        ModelRepositoryError: if the backbone's feature map is not (B, C, n, n).
        ProfileError: if the pooling is unknown or its parameters do not fit.
    """
    cells = _cells(backbone, side, loaded)
    return Encoder(loaded, build_pooling(backbone.pooling, cells, backbone.p)).eval()


def build_sweep_encoder(
    backbone: Backbone,
    side: int,
    loaded: LoadedBackbone,
    poolings: Sequence[PoolingChoice],
    white_out_p: float | None = None,
) -> SweepEncoder:
    """Put a backbone and several poolings together; arguments and errors as for the two classes."""
    cells = _cells(backbone, side, loaded)
    built = [build_pooling(pooling.name, cells, pooling.p) for pooling in poolings]
    return SweepEncoder(loaded, built, white_out_p).eval()


def _cells(backbone: Backbone, side: int, loaded: LoadedBackbone) -> int:
    """Side of the square feature map of images of a side."""
    with torch.no_grad():
        feature_map = loaded.features(torch.zeros(1, 3, side, side))
    if feature_map.ndim != 4 or feature_map.shape[2] != feature_map.shape[3]:
        raise ModelRepositoryError(
            f"{backbone.timm_name} has no square feature map (B, C, n, n) at side {side}: "
            f"got {tuple(feature_map.shape)}. Choose a convolutional backbone."
        )
    cells: int = feature_map.shape[2]
    return cells


def write_onnx(encoder: Encoder, side: int, path: Path, metadata: Mapping[str, str]) -> int:
    """Write the encoder as one ONNX file; the batch is its only free dimension.

    Args:
        encoder: what to export.
        side: height and width in pixels of the images.
        path: file to write; overwritten.
        metadata: texts to keep in the file, such as the source of the weights.

    Returns:
        C, the length of a descriptor.
    """
    example = torch.zeros(2, side, side, 3, dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations and hints
        torch.onnx.export(
            encoder,
            (example,),
            path,
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            input_names=[IMAGE_INPUT],
            output_names=[DESCRIPTOR_OUTPUT],
            dynamic_shapes={"images": {0: torch.export.Dim("batch", min=1, max=1024)}},
            external_data=False,
        )
    model = onnx.load(path)
    model.ir_version = min(model.ir_version, MAX_IR_VERSION)
    onnx.helper.set_model_props(model, dict(sorted(metadata.items())))
    for node in [*model.graph.node, *(node for f in model.functions for node in f.node)]:
        del node.metadata_props[:]  # stack traces with this machine's paths
    add_fingerprint(model)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString(deterministic=True))
    dimension: int = model.graph.output[0].type.tensor_type.shape.dim[1].dim_value
    return dimension


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
    """Tell for which images rounding may decide about a cell of the attention mask.

    Args:
        encoder: any; only poolings with attention have such images.
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
