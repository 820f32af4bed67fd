"""Fewer passes over the feature maps of a graph, for the same results up to rounding.

PP-OCR's graphs scale and shift the output of most convolutions by one number each, and spell out
the hard swish x · clip(x + 3, 0, 6) / 6 in four nodes. Each such node reads and writes a whole map.
Numbers go into the weights of convolutions, and a hard swish becomes x · HardSigmoid(x). A map that
is added to itself times a gate, x + x · g, becomes x · (g + 1), and what follows a transposed
convolution goes into its weights; onnxruntime does this for the other convolutions only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

HARD_SWISH_SHIFT, HARD_SWISH_RANGE = 3.0, 6.0

Numbers = NDArray[np.float64]


class _Graph:
    """The nodes of a graph and its constants by name; a constant may be changed for one user only.

    Args:
        graph: the graph; ``write_back`` changes it.
    """

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph = graph
        self.nodes = [node for node in graph.node if node.op_type != "Constant"]
        self.constants = {
            tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer
        } | {
            node.output[0]: numpy_helper.to_array(node.attribute[0].t)
            for node in graph.node
            if node.op_type == "Constant"
        }

    def producer(self, name: str, operator: str) -> onnx.NodeProto | None:
        """The node that computes a value, if it is of this operator."""
        found = (node for node in self.nodes if name in node.output)
        return next((node for node in found if node.op_type == operator), None)

    def users(self, name: str) -> list[onnx.NodeProto]:
        """The nodes that take a value; none if it is an output of the graph, which must stay."""
        if any(output.name == name for output in self._graph.output):
            return []
        return [node for node in self.nodes if name in node.input]

    def with_number(self, node: onnx.NodeProto, operator: str) -> tuple[float, str] | None:
        """The number and the other input of a node such as ``Mul(x, 3)``; None for any other."""
        if node.op_type == operator and len(node.input) == 2:
            for number, other in (node.input, reversed(node.input)):
                constant = self.constants.get(number)
                if constant is not None and constant.size == 1 and other not in self.constants:
                    return float(constant.reshape(-1)[0]), other
        return None

    def change_convolution(
        self, node: onnx.NodeProto, change: Callable[[Numbers, Numbers], tuple[Numbers, Numbers]]
    ) -> None:
        """Give a convolution, which may be a transposed one, other weights and another bias."""
        weights = self.constants[node.input[1]].astype(np.float64)
        bias = np.zeros(weights.shape[1 if node.op_type == "ConvTranspose" else 0])
        if len(node.input) > 2:
            bias = self.constants[node.input[2]].astype(np.float64)
        names = [f"{node.output[0]}/{name}" for name in ("weights", "bias")]
        self.constants.update(zip(names, change(weights, bias), strict=True))
        node.input[:] = [node.input[0], *names]

    def remove(self, node: onnx.NodeProto, value: str) -> None:
        """Remove a node; its users take ``value`` instead."""
        self.nodes.remove(node)
        for user in self.users(node.output[0]):
            user.input[:] = [value if name == node.output[0] else name for name in user.input]

    def write_back(self) -> None:
        """Replace the nodes and the constants of the graph; constants become float32 again."""
        used = {name for node in self.nodes for name in node.input}
        del self._graph.node[:], self._graph.initializer[:]
        self._graph.node.extend(self.nodes)
        self._graph.initializer.extend(
            numpy_helper.from_array(
                array.astype(np.float32) if array.dtype == np.float64 else array, name
            )
            for name, array in self.constants.items()
            if name in used
        )


def simplify(model: onnx.ModelProto) -> None:
    """Simplify a graph in place."""
    graph = _Graph(model.graph)
    for step in (
        _fold_into_convolution,
        _fuse_hard_swish,
        _fold_scale,
        _fold_shift,
        _add_to_gate,
        _fold_into_transposed,
    ):
        while any(step(graph, node) for node in list(graph.nodes)):
            pass
    graph.write_back()


def _fold_into_convolution(graph: _Graph, node: onnx.NodeProto) -> bool:
    """``Conv(x) · s`` and ``Conv(x) + s`` → ``Conv(x)``."""
    for operator in ("Mul", "Add"):
        if (found := graph.with_number(node, operator)) and graph.users(node.output[0]):
            number, value = found
            convolution = graph.producer(value, "Conv")
            if convolution is not None and len(graph.users(value)) == 1:
                graph.change_convolution(convolution, _affine(operator, number))
                graph.remove(node, value)
                return True
    return False


def _fuse_hard_swish(graph: _Graph, node: onnx.NodeProto) -> bool:
    """``x · clip(x + 3, 0, 6) / 6`` → ``x · HardSigmoid(x)``."""
    divided = graph.with_number(node, "Div")
    product = graph.producer(divided[1], "Mul") if divided else None
    if divided is None or divided[0] != HARD_SWISH_RANGE or product is None:
        return False
    for value, clipped in (product.input, reversed(product.input)):
        clip = graph.producer(clipped, "Clip")
        added = graph.producer(clip.input[0], "Add") if clip is not None else None
        if (
            clip is not None
            and added is not None
            and [graph.constants.get(name) for name in clip.input[1:]] == [0, HARD_SWISH_RANGE]
            and graph.with_number(added, "Add") == (HARD_SWISH_SHIFT, value)
            and all(len(graph.users(part.output[0])) == 1 for part in (added, clip, product))
            and graph.users(node.output[0])
        ):
            gate = helper.make_node(
                "HardSigmoid",
                [value],
                [clipped],
                alpha=1 / HARD_SWISH_RANGE,
                beta=HARD_SWISH_SHIFT / HARD_SWISH_RANGE,
            )
            graph.nodes[graph.nodes.index(added)] = gate
            graph.nodes.remove(clip)
            graph.remove(node, product.output[0])
            return True
    return False


def _fold_scale(graph: _Graph, node: onnx.NodeProto) -> bool:
    """``s · x · HardSigmoid(x)`` → the same without s, for x = Conv(…) scaled by s."""
    found = graph.with_number(node, "Mul")
    product = graph.producer(found[1], "Mul") if found else None
    if not found or not found[0] or product is None or not graph.users(node.output[0]):
        return False
    for value, gated in (product.input, reversed(product.input)):
        gate, convolution = graph.producer(gated, "HardSigmoid"), graph.producer(value, "Conv")
        if (
            gate is not None
            and convolution is not None
            and gate.input[0] == value
            and len(graph.users(value)) == 2
            and len(graph.users(product.output[0])) == 1
        ):
            graph.change_convolution(convolution, _affine("Mul", found[0]))
            alpha = next(attribute for attribute in gate.attribute if attribute.name == "alpha")
            alpha.f /= found[0]
            graph.remove(node, product.output[0])
            return True
    return False


def _fold_shift(graph: _Graph, node: onnx.NodeProto) -> bool:
    """``Conv(x + s)`` → ``Conv(x)``, for convolutions that do not pad x with zeros."""
    found = graph.with_number(node, "Add")
    users = graph.users(node.output[0])
    if not found or not users or any(user.op_type != "Conv" or any(_pads(user)) for user in users):
        return False
    shift, value = found
    for user in users:
        graph.change_convolution(
            user, lambda weights, bias: (weights, bias + shift * weights.sum(axis=(1, 2, 3)))
        )
    graph.remove(node, value)
    return True


def _add_to_gate(graph: _Graph, node: onnx.NodeProto) -> bool:
    """``x + x · HardSigmoid(…)`` → ``x · (HardSigmoid(…) + 1)``."""
    if node.op_type != "Add":
        return False
    for value, other in (node.input, reversed(node.input)):
        product = graph.producer(other, "Mul")
        if product is None or value not in product.input or len(graph.users(other)) != 1:
            continue
        gate = product.input[1 - list(product.input).index(value)]
        if graph.producer(gate, "HardSigmoid") is None:
            continue
        raised, one = f"{node.output[0]}/gate", f"{node.output[0]}/one"
        graph.constants[one] = np.array(1, np.float32)
        position = graph.nodes.index(product)
        graph.nodes[position] = helper.make_node("Add", [gate, one], [raised])
        graph.nodes[graph.nodes.index(node)] = helper.make_node(
            "Mul", [value, raised], [node.output[0]]
        )
        return True
    return False


def _fold_into_transposed(graph: _Graph, node: onnx.NodeProto) -> bool:
    """``ConvTranspose(x) · s + b`` → ``ConvTranspose(x)``, for s and b by channel."""
    convolution = graph.producer(node.input[0], "ConvTranspose") if node.input else None
    affine = _of_channels(graph, node)
    if convolution is None or affine is None or not graph.users(node.output[0]):
        return False
    scale, shift = affine
    if len(graph.users(node.input[0])) != 1 or _groups(convolution) != 1:
        return False
    graph.change_convolution(
        convolution,
        lambda weights, bias: (weights * scale[:, None, None], bias * scale + shift),
    )
    graph.remove(node, node.input[0])
    return True


def _of_channels(graph: _Graph, node: onnx.NodeProto) -> tuple[Numbers, Numbers] | None:
    """Scale and shift of each channel by an addition or a batch normalisation; None for others."""
    constants = [graph.constants.get(name) for name in node.input[1:]]
    if any(constant is None for constant in constants):
        return None
    numbers = [np.asarray(constant, np.float64) for constant in constants]
    if node.op_type == "Add" and numbers[0].ndim == 4 and numbers[0].size == numbers[0].shape[1]:
        shift = numbers[0].reshape(-1)
        return np.ones_like(shift), shift
    if node.op_type == "BatchNormalization":
        gain, offset, mean, variance = numbers
        epsilon = next(part.f for part in node.attribute if part.name == "epsilon")
        scale = gain / np.sqrt(variance + epsilon)
        return scale, offset - mean * scale
    return None


def _groups(node: onnx.NodeProto) -> int:
    return next((part.i for part in node.attribute if part.name == "group"), 1)


def _affine(operator: str, number: float) -> Callable[[Numbers, Numbers], tuple[Numbers, Numbers]]:
    """Scale or shift what a convolution computes."""
    if operator == "Mul":
        return lambda weights, bias: (weights * number, bias * number)
    return lambda weights, bias: (weights, bias + number)


def _pads(node: onnx.NodeProto) -> Iterator[int]:
    for attribute in node.attribute:
        if attribute.name == "pads":
            yield from attribute.ints
        elif attribute.name == "auto_pad" and attribute.s not in {b"NOTSET", b"VALID"}:
            yield 1
