"""PP-OCR's three graphs with normalisation and decoding inside: uint8 RGB in, small outputs.

The graphs of the wheel take float32 BGR in NCHW, and answer with a probability for each pixel, for
each of 6,625 symbols, or for each of two orientations. What is added here takes uint8 RGB in NHWC
and keeps the most likely symbol only, so a line of text costs a few hundred bytes on the wire.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from retrieval_server.models.image_model import FREE, IMAGE_INPUT, Tensor
from retrieval_server.models.reader import (
    CONFIDENCES_OUTPUT,
    SYMBOLS_OUTPUT,
    TEXT_DETECTOR,
    TEXT_MAP_OUTPUT,
    TEXT_ORIENTATION,
    TEXT_RECOGNISER,
    UPSIDE_DOWN_OUTPUT,
)

HALF_RANGE = 127.5  # PP-OCR's normalisation: x / 127.5 - 1
ONNX_TYPES = {
    "UINT8": TensorProto.UINT8,
    "INT32": TensorProto.INT32,
    "FP32": TensorProto.FLOAT,
}

Arrays = dict[str, NDArray[np.generic]]


@dataclass(frozen=True)
class TextGraph:
    """One model of the reader.

    Attributes:
        model: its folder in the model repository.
        source: its ONNX file in the wheel.
        dims: of its images, (H, W, 3).
        warm_up_dims: size of the images to warm up with.
        outputs: what it answers for each image.
        decode: adds the nodes from the source's output to ``outputs``.
        decoded: the same by numpy: from the source's output to arrays by output name.
    """

    model: str
    source: str
    dims: tuple[int, int, int]
    warm_up_dims: tuple[int, int, int]
    outputs: tuple[Tensor, ...]
    decode: Callable[[onnx.GraphProto, str], None]
    decoded: Callable[[NDArray[np.float32]], Arrays]


def graft(source: onnx.ModelProto, text_graph: TextGraph) -> onnx.ModelProto:
    """Put normalisation before a graph of the wheel, and decoding behind it.

    Args:
        source: the graph of the wheel; changed in place.
        text_graph: which one it is.

    Returns:
        The same model, without a fingerprint yet.
    """
    graph = source.graph
    inner_input, inner_output = graph.input[0].name, graph.output[0].name
    inner_nodes = list(graph.node)
    for field in (graph.node, graph.input, graph.output, graph.value_info):
        del field[:]
    _normalise(graph, inner_input)
    graph.node.extend(inner_nodes)
    text_graph.decode(graph, inner_output)
    graph.input.append(_value_info(Tensor(IMAGE_INPUT, "UINT8", text_graph.dims)))
    graph.output.extend(map(_value_info, text_graph.outputs))
    return source


def normalised(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What the graphs of the wheel take: RGB (B, H, W, 3) uint8 → BGR (B, 3, H, W) float32."""
    planes = images[..., ::-1].transpose(0, 3, 1, 2).astype(np.float32)
    return planes * np.float32(1 / HALF_RANGE) - np.float32(1)


def _normalise(graph: onnx.GraphProto, output: str) -> None:
    _add_constants(
        graph,
        bgr=np.array([2, 1, 0], np.int64),
        scale=np.array(1 / HALF_RANGE, np.float32),
        one=np.array(1, np.float32),
    )
    _add_node(graph, "Transpose", [IMAGE_INPUT], "reader/rgb_planes", perm=[0, 3, 1, 2])
    # whole planes are copied, which is faster than an exchange of bytes before the transposition
    _add_node(graph, "Gather", ["reader/rgb_planes", "reader/bgr"], "reader/planes", axis=1)
    _add_node(graph, "Cast", ["reader/planes"], "reader/levels", to=TensorProto.FLOAT)
    _add_node(graph, "Mul", ["reader/levels", "reader/scale"], "reader/scaled")
    _add_node(graph, "Sub", ["reader/scaled", "reader/one"], output)


def _decode_map(graph: onnx.GraphProto, probabilities: str) -> None:
    """(B, 1, H, W) probabilities → 0 to 255, rounded."""
    _add_constants(graph, full=np.array(255, np.float32), half=np.array(0.5, np.float32))
    _add_node(graph, "Mul", [probabilities, "reader/full"], "reader/exact")
    _add_node(graph, "Add", ["reader/exact", "reader/half"], "reader/raised")
    _add_node(graph, "Cast", ["reader/raised"], "reader/map", to=TensorProto.UINT8)
    _add_node(graph, "Squeeze", ["reader/map"], TEXT_MAP_OUTPUT, axes=[1])


def _decoded_map(probabilities: NDArray[np.float32]) -> Arrays:
    raised = probabilities[:, 0] * np.float32(255) + np.float32(0.5)
    return {TEXT_MAP_OUTPUT: raised.astype(np.uint8)}


def _decode_symbols(graph: onnx.GraphProto, probabilities: str) -> None:
    """(B, T, 6625) → the most likely symbol of each step, and its probability."""
    _add_node(graph, "ArgMax", [probabilities], "reader/most_likely", axis=2, keepdims=0)
    _add_node(graph, "Cast", ["reader/most_likely"], SYMBOLS_OUTPUT, to=TensorProto.INT32)
    _add_node(graph, "ReduceMax", [probabilities], CONFIDENCES_OUTPUT, axes=[2], keepdims=0)


def _decoded_symbols(probabilities: NDArray[np.float32]) -> Arrays:
    return {
        SYMBOLS_OUTPUT: probabilities.argmax(axis=2).astype(np.int32),
        CONFIDENCES_OUTPUT: probabilities.max(axis=2),
    }


def _decode_orientation(graph: onnx.GraphProto, probabilities: str) -> None:
    """(B, 2) probabilities of 0° and 180° → (B, 1) that of 180°."""
    _add_constants(graph, turned=np.array([1], np.int64))
    _add_node(graph, "Gather", [probabilities, "reader/turned"], UPSIDE_DOWN_OUTPUT, axis=1)


def _decoded_orientation(probabilities: NDArray[np.float32]) -> Arrays:
    return {UPSIDE_DOWN_OUTPUT: probabilities[:, 1:]}


def _add_node(
    graph: onnx.GraphProto, operator: str, inputs: list[str], output: str, **attributes: Any
) -> None:
    graph.node.append(helper.make_node(operator, inputs, [output], **attributes))


def _add_constants(graph: onnx.GraphProto, **constants: NDArray[np.generic]) -> None:
    """Add constants; ``reader/`` before a name keeps it apart from those of the graph."""
    graph.initializer.extend(
        numpy_helper.from_array(array, f"reader/{name}") for name, array in constants.items()
    )


def _value_info(tensor: Tensor) -> onnx.ValueInfoProto:
    dims = [f"{tensor.name}_{i}" if dim == FREE else dim for i, dim in enumerate(tensor.dims)]
    return helper.make_tensor_value_info(
        tensor.name, ONNX_TYPES[tensor.data_type], ["batch", *dims]
    )


PP_OCR = (
    TextGraph(
        model=TEXT_DETECTOR,
        source="ch_PP-OCRv4_det_infer.onnx",
        dims=(FREE, FREE, 3),
        warm_up_dims=(640, 640, 3),
        outputs=(Tensor(TEXT_MAP_OUTPUT, "UINT8", (FREE, FREE)),),
        decode=_decode_map,
        decoded=_decoded_map,
    ),
    TextGraph(
        model=TEXT_ORIENTATION,
        source="ch_ppocr_mobile_v2.0_cls_infer.onnx",
        dims=(48, 192, 3),
        warm_up_dims=(48, 192, 3),
        outputs=(Tensor(UPSIDE_DOWN_OUTPUT, "FP32", (1,)),),
        decode=_decode_orientation,
        decoded=_decoded_orientation,
    ),
    TextGraph(
        model=TEXT_RECOGNISER,
        source="ch_PP-OCRv4_rec_infer.onnx",
        dims=(48, FREE, 3),
        warm_up_dims=(48, 320, 3),
        outputs=(
            Tensor(SYMBOLS_OUTPUT, "INT32", (FREE,)),
            Tensor(CONFIDENCES_OUTPUT, "FP32", (FREE,)),
        ),
        decode=_decode_symbols,
        decoded=_decoded_symbols,
    ),
)
