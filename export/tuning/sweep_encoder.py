"""A backbone with several poolings, which one run of the backbone compares."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from export.models.backbones import LoadedBackbone
from export.models.encoder import Encoder, feature_map_side
from export.models.pooling import attention_mask, build_pooling, l2_normalise
from export.models.pooling_choice import PoolingChoice
from retrieval_server.models.profile import Backbone


class SweepEncoder(Encoder):
    """uint8 images (B, S, S, 3) → descriptors by P poolings, concatenated to (B, P · C).

    The backbone runs once. A descriptor equals that of an ``Encoder`` with the same pooling.

    Args:
        backbone: the backbone's layers and normalisation.
        poolings: P poolings.
        white_out_p: p of an attention mask, eq. (1); cells outside it are first painted white (see
            ``white_out``), for which the backbone runs twice. None leaves the image unchanged.
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
    """Paint the cells outside a mask white; an image with an empty mask is not changed.

    Args:
        images: (B, S, S, 3) uint8.
        mask: (B, 1, h, w) float, 1 for a cell that stays; a cell stands for its S/h × S/w pixels.

    Returns:
        (B, S, S, 3) uint8.
    """
    stays = mask + (1 - mask.amax(dim=(2, 3), keepdim=True))
    pixels = functional.interpolate(stays, size=images.shape[1:3], mode="nearest")
    return torch.where(pixels.permute(0, 2, 3, 1) > 0, images, torch.full_like(images, 255))


def build_sweep_encoder(
    backbone: Backbone,
    side: int,
    loaded: LoadedBackbone,
    poolings: Sequence[PoolingChoice],
    white_out_p: float | None = None,
) -> SweepEncoder:
    """Put a backbone and several poolings together; arguments and errors as for the two classes."""
    cells = feature_map_side(backbone, side, loaded)
    built = [build_pooling(pooling.name, cells, pooling.p) for pooling in poolings]
    return SweepEncoder(loaded, built, white_out_p).eval()
