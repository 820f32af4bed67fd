"""The attention of an exported model: the mask of eq. (1) and the region weights of eq. (2).

The exported graph has the mask as one of its own tensors. This module makes that tensor, the
feature map and the threshold outputs beside the descriptor, and reads the regions from the pooling
layers of the graph. Then it pools a descriptor from these parts, and refuses to show an attention
that does not give the descriptor of the graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from export.pictures.attention_graph import find_attention, pooling_and_weights
from retrieval_server.errors import EngineError, ModelRepositoryError
from retrieval_server.models.image_model import ModelFolder

ATTENTIVE = ("grmac", "grmac-released")  # the poolings that have a mask
RELEASED_MIN_WEIGHT = 1 / 3  # as in export.models.pooling, which needs torch
RELEASED_EPS = 1e-6
MIN_COSINE = 0.9999  # as for the export itself: between two ways to add in float32


class NoAttentionError(ModelRepositoryError):
    """The model's pooling has no mask."""


@dataclass(frozen=True)
class RegionLevel:
    """One level of R-MAC's regions with their weights in eq. (2).

    Attributes:
        side: side of each square, in cells.
        offsets: rows at which squares begin, and likewise columns.
        weights: (l, l) float32 in [0, 1], the share of each square that the mask covers; for
            ``grmac-released`` 0 where it is at most 1/3.
    """

    side: int
    offsets: tuple[int, ...]
    weights: NDArray[np.float32]


@dataclass(frozen=True)
class Attention:
    """The attention of one model to one image.

    Attributes:
        model: its name.
        pooling: ``grmac`` or ``grmac-released``.
        mask: (h, w) bool, the indicator of eq. (2): where X̃ > t.
        threshold: t of eq. (1).
        levels: the regions; for ``grmac-released`` the whole map counts twice.
        descriptor: (C,) float32, as the model gives it.
    """

    model: str
    pooling: str
    mask: NDArray[np.bool_]
    threshold: float
    levels: tuple[RegionLevel, ...]
    descriptor: NDArray[np.float32]

    @cached_property
    def cell_weights(self) -> NDArray[np.float64]:
        """(h, w): the sum of the weights of the regions that contain each cell."""
        total = np.zeros(self.mask.shape)
        for level in self.levels:
            for row, top in enumerate(level.offsets):
                for column, left in enumerate(level.offsets):
                    area = np.s_[top : top + level.side, left : left + level.side]
                    total[area] += level.weights[row, column]
        return total


class AttentionModel:
    """An exported model that also returns its attention.

    Args:
        folder: the model, as the repository describes it.

    Raises:
        NoAttentionError: if its pooling has no mask.
        ModelRepositoryError: if it is missing, or its graph is not one of ours.
    """

    def __init__(self, folder: ModelFolder) -> None:
        self._folder = folder
        self.side = folder.side
        _ = folder.digest  # raises the error that says how to export it
        model = _read(folder)
        self.pooling, self.weights = pooling_and_weights(model)
        if self.pooling not in ATTENTIVE:
            raise NoAttentionError(
                f"Model {folder.name} has no attention mask: its pooling is "
                f"{self.pooling or 'not known'}. These have one: {', '.join(ATTENTIVE)}."
            )
        tensors = find_attention(folder.onnx_path, model.graph)
        self._regions = _regions(self.pooling, tensors.regions)
        self._outputs = [folder.output_name, *tensors.names]
        for name in tensors.names:
            model.graph.output.append(onnx.ValueInfoProto(name=name))
        self._session = _session(folder, model)

    def attention(self, image: NDArray[np.uint8]) -> Attention:
        """Describe one image and return the attention to it.

        Args:
            image: (S, S, 3) uint8 RGB, as ``read_image`` gives it.

        Raises:
            ModelRepositoryError: if the attention does not give the descriptor of the graph.
        """
        descriptor, feature_map, minimum, above, mask = (
            tensor[0]
            for tensor in self._session.run(self._outputs, {self._folder.input_name: image[None]})
        )
        levels = tuple(
            self._weighed(side, offsets, mask[0].astype(np.float32))
            for side, offsets in self._regions
        )
        attention = Attention(
            model=self._folder.name,
            pooling=self.pooling,
            mask=mask[0],
            threshold=float(above.item() + minimum.item()),
            levels=levels,
            descriptor=descriptor,
        )
        self._check(attention, feature_map)
        return attention

    def _weighed(
        self, side: int, offsets: tuple[int, ...], mask: NDArray[np.float32]
    ) -> RegionLevel:
        weights = np.array(
            [
                [mask[top : top + side, left : left + side].mean() for left in offsets]
                for top in offsets
            ],
            dtype=np.float32,
        )
        if self.pooling == "grmac-released":
            weights[weights <= np.float32(RELEASED_MIN_WEIGHT)] = 0
        return RegionLevel(side, offsets, weights)

    def _check(self, attention: Attention, feature_map: NDArray[np.float32]) -> None:
        """Refuse an attention that does not give the descriptor."""
        pooled = pool(attention, feature_map)
        norms = np.linalg.norm(pooled) * np.linalg.norm(attention.descriptor)
        if norms == 0:
            explained = not pooled.any() and not attention.descriptor.any()
        else:
            explained = bool(pooled @ attention.descriptor >= MIN_COSINE * norms)
        if not explained:
            raise ModelRepositoryError(
                f"Model {attention.model}: the attention found in its graph does not give its "
                "descriptor. Export it again with: beauty-export onnx"
            )


def pool(attention: Attention, feature_map: NDArray[np.float32]) -> NDArray[np.float64]:
    """Pool a feature map by eq. (2) with a given mask, in float64.

    Args:
        attention: gives the regions and their weights.
        feature_map: (C, h, w).

    Returns:
        (C,), not normalised.
    """
    maps = feature_map.astype(np.float64)
    pooled = np.zeros(len(maps))
    released = attention.pooling == "grmac-released"
    for level in attention.levels:
        for row, top in enumerate(level.offsets):
            for column, left in enumerate(level.offsets):
                area = maps[:, top : top + level.side, left : left + level.side]
                maxima = area.max(axis=(1, 2))
                if released:
                    maxima = maxima / (np.linalg.norm(maxima) + RELEASED_EPS)
                pooled += level.weights[row, column] * maxima
    return pooled


def _regions(
    pooling: str, levels: tuple[tuple[int, tuple[int, ...]], ...]
) -> tuple[tuple[int, tuple[int, ...]], ...]:
    """The levels as eq. (2) adds them; the exporter merges terms that are the same."""
    whole_map = max(levels)
    if pooling == "grmac-released" and levels.count(whole_map) == 1:  # it counts twice
        return (whole_map, *levels)
    return levels


def _read(folder: ModelFolder) -> onnx.ModelProto:
    try:
        return onnx.load(folder.onnx_path)
    except Exception as error:  # protobuf's DecodeError or OSError
        raise ModelRepositoryError(f"{folder.onnx_path} is no ONNX file: {error}.") from error


def _session(folder: ModelFolder, model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime's exceptions share no base of their own
        raise EngineError(f"Model {folder.name} cannot be loaded: {error}.") from error
