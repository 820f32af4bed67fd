"""The fingerprint of a model: an output that proves in every response which weights computed it.

A server can be restarted, or load a model again, with other weights under the same name, version
and shapes. So the graph itself holds the SHA-256 of the graph before this addition, weights
included, and returns it beside each descriptor. A caller compares the fingerprint, not the name.
"""

from __future__ import annotations

import hashlib

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from retrieval_server.models.image_model import FINGERPRINT_OUTPUT, FINGERPRINT_WORDS


def add_fingerprint(model: onnx.ModelProto) -> None:
    """Give a graph one more output, ``fingerprint`` (B, 8) int32, the same row for each image.

    Args:
        model: image (B, S, S, 3) → descriptor (B, C), the batch having a name where it is free;
            changed in place.
    """
    digest = hashlib.sha256(model.graph.SerializeToString(deterministic=True)).digest()
    words = np.frombuffer(digest, dtype="<i4").astype(np.int32)[None]  # (1, 8)
    graph, prefix = model.graph, FINGERPRINT_OUTPUT
    constants: dict[str, NDArray[np.generic]] = {
        f"{prefix}_words": words,
        f"{prefix}_first_axis": np.array([0], np.int64),
        f"{prefix}_length": np.array([FINGERPRINT_WORDS], np.int64),
    }
    graph.initializer.extend(numpy_helper.from_array(a, name) for name, a in constants.items())
    words_name, axis_name, length_name = constants
    graph.node.extend(
        [
            helper.make_node("Shape", [graph.input[0].name], [f"{prefix}_image_shape"]),
            helper.make_node(
                "Gather", [f"{prefix}_image_shape", axis_name], [f"{prefix}_batch_size"]
            ),
            helper.make_node(
                "Concat", [f"{prefix}_batch_size", length_name], [f"{prefix}_shape"], axis=0
            ),
            helper.make_node("Expand", [words_name, f"{prefix}_shape"], [FINGERPRINT_OUTPUT]),
        ]
    )
    graph.output.append(
        helper.make_tensor_value_info(
            FINGERPRINT_OUTPUT, TensorProto.INT32, [_batch_axis(graph), FINGERPRINT_WORDS]
        )
    )


def _batch_axis(graph: onnx.GraphProto) -> str | int:
    """The first axis of the image: its name where it is free, else its length."""
    axis = graph.input[0].type.tensor_type.shape.dim[0]
    return axis.dim_value or axis.dim_param
