"""The search for the attention of eq. (1)-(2) in a graph that the export wrote.

The export writes eq. (1) as Greater(Sub(X̃, min X̃), t - min X̃) with X̃ = ReduceMean(map), and the
weights of eq. (2) as AveragePool(Cast(that)), followed by Gather at the offsets of the regions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import numpy_helper

from retrieval_server.errors import ModelRepositoryError


@dataclass(frozen=True)
class AttentionTensors:
    """The tensors and regions of the attention in a graph.

    Attributes:
        feature_map: name of the map, (B, C, h, w).
        minimum: name of min X̃, (B, 1, 1, 1).
        threshold: name of t - min X̃, (B, 1, 1, 1).
        mask: name of the mask, (B, 1, h, w) bool.
        regions: (side, offsets) of each level, in cells.
    """

    feature_map: str
    minimum: str
    threshold: str
    mask: str
    regions: tuple[tuple[int, tuple[int, ...]], ...]

    @property
    def names(self) -> tuple[str, str, str, str]:
        """All four tensors, in this order."""
        return self.feature_map, self.minimum, self.threshold, self.mask


def pooling_and_weights(model: onnx.ModelProto) -> tuple[str, str]:
    """The name of the pooling and the source of the weights, from the metadata of the export.

    Both are empty for a file that the export did not write.
    """
    properties = {entry.key: entry.value for entry in model.metadata_props}
    settings = json.loads(properties.get("settings", "{}"))
    pooling = settings.get("pooling", "") if isinstance(settings, dict) else ""
    return str(pooling), properties.get("weights", "")


def find_attention(path: Path, graph: onnx.GraphProto) -> AttentionTensors:
    """Find the tensors and the regions of the attention.

    Args:
        path: the file, for the message.
        graph: the graph, as the export writes it.

    Raises:
        ModelRepositoryError: if the graph has no such tensors.
    """
    producers = {name: node for node in graph.node for name in node.output}
    constants = {tensor.name: tensor for tensor in graph.initializer}
    averages = [
        node
        for node in graph.node
        if node.op_type == "AveragePool"
        and _ancestry(producers, node.input[0], "Cast", "Greater") is not None
    ]
    try:
        (mask_name,) = {producers[node.input[0]].input[0] for node in averages}
        greater = producers[mask_name]
        difference = _of_type(producers[greater.input[0]], "Sub")
        mean = _of_type(producers[difference.input[0]], "ReduceMean")
        regions = ((_kernel_side(node), _offsets(graph, constants, node)) for node in averages)
        return AttentionTensors(
            feature_map=mean.input[0],
            minimum=difference.input[1],
            threshold=greater.input[1],
            mask=mask_name,
            regions=tuple(regions),
        )
    except (KeyError, ValueError, StopIteration) as error:
        raise ModelRepositoryError(
            f"{path}: no attention is found in its graph. Export it again with: beauty-export onnx"
        ) from error


def _ancestry(
    producers: Mapping[str, onnx.NodeProto], name: str, *types: str
) -> onnx.NodeProto | None:
    """The node that lies upstream of a tensor through nodes of these types; None if none does."""
    node = None
    for kind in types:
        node = producers.get(name)
        if node is None or node.op_type != kind:
            return None
        name = node.input[0]
    return node


def _of_type(node: onnx.NodeProto, kind: str) -> onnx.NodeProto:
    if node.op_type != kind:
        raise ValueError(node.op_type)
    return node


def _kernel_side(node: onnx.NodeProto) -> int:
    (kernel,) = (a.ints for a in node.attribute if a.name == "kernel_shape")
    (side,) = set(kernel)
    return int(side)


def _offsets(
    graph: onnx.GraphProto, constants: Mapping[str, onnx.TensorProto], pool: onnx.NodeProto
) -> tuple[int, ...]:
    """Offsets of the regions of a level: the indices that the graph gathers from its windows."""
    gather = next(
        node for node in graph.node if node.op_type == "Gather" and node.input[0] == pool.output[0]
    )
    return tuple(int(index) for index in numpy_helper.to_array(constants[gather.input[1]]))
