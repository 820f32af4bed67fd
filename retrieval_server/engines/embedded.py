"""The engine ``embedded``: onnxruntime runs the models of the repository in this process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from retrieval_server.engines.in_process import (
    InProcessEngine,
    Run,
    cannot_load,
    require_configured,
)
from retrieval_server.models.image_model import FREE, ImageModel

PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")
GRAPH_TYPES = {"tensor(uint8)": "UINT8", "tensor(int32)": "INT32", "tensor(float)": "FP32"}


class EmbeddedEngine(InProcessEngine):
    """Runs a profile's backbones with onnxruntime, see ``InProcessEngine``."""

    name = "embedded"

    def _load_backbone(self, model: ImageModel, threads: int) -> Run:
        return load_in_onnxruntime(model, threads)

    def _load_further(self, model: ImageModel, threads: int) -> Run:
        return load_in_onnxruntime(model, threads)


def load_in_onnxruntime(model: ImageModel, threads: int) -> Run:
    """Load a model into onnxruntime.

    Args:
        model: the model; its ONNX file exists.
        threads: number of cores that a run may use.

    Raises:
        EngineError: if onnxruntime refuses the file.
        ModelRepositoryError: if the graph differs from the model's configuration.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Threads that spin while they wait take cores from other processes.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    available = onnxruntime.get_available_providers()
    providers = [provider for provider in PROVIDERS if provider in available]
    try:
        session = onnxruntime.InferenceSession(model.onnx_path, options, providers=providers)
    except Exception as error:  # onnxruntime's exceptions have no common base
        raise cannot_load(model, error) from error
    require_configured(model, _tensors(session.get_inputs()), _tensors(session.get_outputs()))
    answers = [output.name for output in model.answers]

    def run(image: NDArray[np.uint8]) -> list[NDArray[Any]]:
        arrays: list[NDArray[Any]] = session.run(answers, {model.image.name: image})
        return arrays

    return run


def _tensors(tensors: Iterable[onnxruntime.NodeArg]) -> dict[str, tuple[Any, ...]]:
    return {
        tensor.name: (GRAPH_TYPES.get(tensor.type, tensor.type), *_dims(tensor))
        for tensor in tensors
    }


def _dims(tensor: onnxruntime.NodeArg) -> Iterator[int]:
    """Lengths of the axes of a graph's tensor behind the batch; a free one has a name."""
    return (length if isinstance(length, int) else FREE for length in tensor.shape[1:])
