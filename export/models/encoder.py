"""A backbone with its pooling as one PyTorch module: uint8 images in, unit descriptors out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from export.models.backbones import LoadedBackbone
from export.models.pooling import build_pooling, l2_normalise
from retrieval_server.errors import ModelRepositoryError
from retrieval_server.models.profile import Backbone


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
    cells = feature_map_side(backbone, side, loaded)
    return Encoder(loaded, build_pooling(backbone.pooling, cells, backbone.p)).eval()


def feature_map_side(backbone: Backbone, side: int, loaded: LoadedBackbone) -> int:
    """Find the number n of cells along a side of a backbone's feature map.

    Args:
        backbone: named in the error.
        side: height and width in pixels of the images.
        loaded: the backbone's layers.

    Raises:
        ModelRepositoryError: if the feature map is not (B, C, n, n).
    """
    with torch.no_grad():
        feature_map = loaded.features(torch.zeros(1, 3, side, side))
    if feature_map.ndim != 4 or feature_map.shape[2] != feature_map.shape[3]:
        raise ModelRepositoryError(
            f"{backbone.timm_name} has no square feature map (B, C, n, n) at side {side}: "
            f"got {tuple(feature_map.shape)}. Choose a convolutional backbone."
        )
    cells: int = feature_map.shape[2]
    return cells
