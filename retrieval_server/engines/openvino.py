"""The engine ``openvino``: OpenVINO runs the backbones in this process, in bfloat16.

It takes the same ONNX files as ``embedded``, and describes about twice as many images a second on a
processor with bfloat16 arithmetic (``make bench-serving``). Its descriptors are not those of
float32 (cosines of 0.99 and more), so an index belongs to one of the two engines.

Each model is compiled for one image. So an image has the same descriptor, bit for bit, with any
number of threads and workers. Compiled for any batch, the models are slower and round in other
places.

The further models, which read text, run in onnxruntime as in ``embedded``, so that an index's words
do not depend on the engine: in bfloat16, the recogniser gave other symbols for 38 of 60 lines.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval_server.engines.embedded import load_in_onnxruntime
from retrieval_server.engines.in_process import (
    InProcessEngine,
    Run,
    cannot_load,
    require_configured,
)
from retrieval_server.errors import EngineError
from retrieval_server.models.image_model import FREE, ImageModel

# With this package, the import of OpenVINO writes to the home folder and calls Google Analytics.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
import openvino  # noqa: E402

DEVICE = "CPU"
BFLOAT16 = "BF16"  # the capability of processors with instructions for bfloat16
GRAPH_TYPES = {"u8": "UINT8", "i32": "INT32", "f32": "FP32"}

# Two threads that call OpenVINO's Python bindings for the first time may wait for each other for
# ever: one initialises a variable of theirs and wants the GIL, the other holds it and wants the
# variable. So a thread that has this lock runs each model once before the workers do.
_FIRST_RUN = threading.Lock()


class OpenvinoEngine(InProcessEngine):
    """Runs a profile's backbones with OpenVINO in bfloat16, see ``InProcessEngine``."""

    name = "openvino"

    def _load_backbone(self, model: ImageModel, threads: int) -> Run:
        return _load(model, threads, self._workers)

    def _load_further(self, model: ImageModel, threads: int) -> Run:
        return load_in_onnxruntime(model, threads)


def require_bfloat16(core: openvino.Core) -> None:
    """Refuse a processor that would emulate bfloat16, which takes longer than float32.

    Args:
        core: OpenVINO, which knows the processor.

    Raises:
        EngineError: if the processor has no instructions for bfloat16.
    """
    if BFLOAT16 not in core.get_property(DEVICE, "OPTIMIZATION_CAPABILITIES"):
        raise EngineError(
            "The engine openvino computes in bfloat16, and this processor "
            f"({core.get_property(DEVICE, 'FULL_DEVICE_NAME')}) has no instructions for it, such "
            "as AVX512_BF16. Use the engine embedded, with an index that was built with it."
        )


def _load(model: ImageModel, threads: int, workers: int) -> Run:
    """Compile a backbone for one image, in as many copies as there are workers."""
    core = openvino.Core()
    require_bfloat16(core)
    try:
        graph = core.read_model(model.onnx_path)
        require_configured(model, _tensors(graph.inputs), _tensors(graph.outputs))
        graph.reshape({model.image.name: [1, *model.image.dims]})
        compiled = core.compile_model(
            graph,
            DEVICE,
            {
                "INFERENCE_PRECISION_HINT": "bf16",
                "NUM_STREAMS": workers,
                "INFERENCE_NUM_THREADS": workers * threads,
                "ENABLE_CPU_PINNING": False,  # the models would wait for the same cores
            },
        )
        run = _Runs(model, compiled)
        with _FIRST_RUN:
            run(model.image.zeros())
    except RuntimeError as error:  # what OpenVINO raises
        raise cannot_load(model, error) from error
    return run


class _Runs:
    """Runs a compiled model in several threads, each with memory of its own."""

    def __init__(self, model: ImageModel, compiled: openvino.CompiledModel) -> None:
        self._image = model.image.name
        self._answers = [output.name for output in model.answers]
        self._compiled = compiled
        self._of_thread = threading.local()

    def __call__(self, image: NDArray[np.uint8]) -> list[NDArray[Any]]:
        """Run the model on one image, see ``Run``."""
        if not hasattr(self._of_thread, "request"):
            self._of_thread.request = self._compiled.create_infer_request()
        request: openvino.InferRequest = self._of_thread.request
        request.infer({self._image: image})
        return [request.get_tensor(name).data.copy() for name in self._answers]


def _tensors(tensors: Iterable[Any]) -> dict[str, tuple[Any, ...]]:
    """The tensors of a graph: by name the type, as Triton names it, and the dims of an image."""
    return {
        tensor.any_name: (
            GRAPH_TYPES.get(tensor.element_type.get_type_name(), str(tensor.element_type)),
            *(FREE if dim.is_dynamic else dim.get_length() for dim in tensor.partial_shape[1:]),
        )
        for tensor in tensors
    }
