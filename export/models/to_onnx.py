"""The ONNX export: normalisation, backbone, pooling and L2 norm in one graph.

The graph takes uint8 NHWC images, so that the wire carries a quarter of float32's bytes, and
returns unit descriptors and the fingerprint of its weights. Opset 18 and IR version 10 with the
weights inside the file: onnxruntime 1.18 and Triton 24.08 still load it.

``parity`` compares every file with PyTorch before it gets its name in the repository.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import onnx
import torch

from export.models.encoder import Encoder
from export.models.fingerprint import add_fingerprint
from retrieval_server.models.image_model import DESCRIPTOR_OUTPUT, IMAGE_INPUT

OPSET = 18
MAX_IR_VERSION = 10


def write_onnx(encoder: Encoder, side: int, path: Path, metadata: Mapping[str, str]) -> int:
    """Write the encoder as one ONNX file; the batch is its only free dimension.

    Args:
        encoder: what to export.
        side: height and width in pixels of the images.
        path: file to write; overwritten.
        metadata: texts to write into the file, such as the source of the weights.

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
