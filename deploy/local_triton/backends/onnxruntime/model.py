"""Triton's ``onnxruntime`` backend in Python, for a Triton that has only the ``python`` backend.

Triton searches for ``libtriton_onnxruntime.so`` first and for ``onnxruntime/model.py`` next. So the
container's C++ backend and this one both serve a repository with ``backend: "onnxruntime"``,
unchanged. Of the C++ backend's settings, this one reads ``default_model_filename``,
``intra_op_thread_count``, ``inter_op_thread_count`` and ``session.*``. Triton itself does batching,
instances and warm-up. This backend computes on the CPU only, and supports neither ``reshape`` nor
strings.

Triton passes a batch in one call. This backend runs its rows one after the other, as the engine in
the server's process does. On a CPU this is faster than a batch (EfficientNet-Lite at 320 pixels: 4
to 8 % for each image, because the activations of one image stay in the cache), and a row's result
depends on that row alone, bit for bit.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils

DATA_TYPES = {
    "tensor(bool)": "TYPE_BOOL",
    "tensor(uint8)": "TYPE_UINT8",
    "tensor(int8)": "TYPE_INT8",
    "tensor(int32)": "TYPE_INT32",
    "tensor(int64)": "TYPE_INT64",
    "tensor(float16)": "TYPE_FP16",
    "tensor(float)": "TYPE_FP32",
    "tensor(double)": "TYPE_FP64",
}
DEFAULT_BATCH_SIZE = 4  # as in the C++ backend, for a graph with a free batch axis
ERRORS_AND_WORSE = 3  # ONNX Runtime's log severity

Config = dict[str, Any]
Tensors = list[onnxruntime.NodeArg]


class TritonPythonModel:
    """One instance of a model; Triton's stub requires this name of the class."""

    @staticmethod
    def auto_complete_config(auto_complete_model_config: Any) -> Any:
        """Complete a configuration with the inputs, outputs and batch size of the graph.

        Args:
            auto_complete_model_config: Triton's configuration, changed in place.

        Returns:
            The same configuration.
        """
        target = auto_complete_model_config
        config = target.as_dict()
        if config["input"] and config["output"]:
            return target
        session = load_session(config)
        inputs, outputs = session.get_inputs(), session.get_outputs()
        if not config["max_batch_size"] and all(has_batch_axis(t) for t in inputs + outputs):
            target.set_max_batch_size(DEFAULT_BATCH_SIZE)
            target.set_dynamic_batching()
        has_batches = target.as_dict()["max_batch_size"] > 0
        for key, tensors, add in (
            ("input", inputs, target.add_input),
            ("output", outputs, target.add_output),
        ):
            for tensor in () if config[key] else tensors:
                dims = free_dims(tensor)[1 if has_batches else 0 :]
                data_type = DATA_TYPES[tensor.type]
                add({"name": tensor.name, "data_type": data_type, "dims": dims})
        return target

    def initialize(self, args: dict[str, str]) -> None:
        """Load the graph, and compare the configuration with it.

        Args:
            args: the configuration as JSON, and the name of the instance.
        """
        refuse_numpy_2()
        config = json.loads(args["model_config"])
        self.session = load_session(config)
        self.has_batches = config["max_batch_size"] > 0
        for key, tensors in (
            ("input", self.session.get_inputs()),
            ("output", self.session.get_outputs()),
        ):
            check_tensors(config, key, tensors)
        self.inputs = [tensor["name"] for tensor in config["input"]]
        self.outputs = [tensor["name"] for tensor in config["output"]]

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer requests; a failed request does not affect the others.

        Args:
            requests: the requests that Triton's batcher combined.

        Returns:
            One response per request, in order.
        """
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        input_tensor = pb_utils.get_input_tensor_by_name
        requested = set(request.requested_output_names())
        names = [name for name in self.outputs if name in requested]
        try:
            feed = {name: input_tensor(request, name).as_numpy() for name in self.inputs}
            run = self._run_rows if self.has_batches else self.session.run
            results = run(names, feed)
        except Exception as error:  # ONNX Runtime's exceptions have no common base
            message = f"ONNX Runtime: {error}"
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(message))
        return response_of(dict(zip(names, results, strict=True)))

    def _run_rows(self, names: list[str], feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        """Run the rows of a batch one by one."""
        count = len(feed[self.inputs[0]])
        rows = [
            self.session.run(names, {name: array[row : row + 1] for name, array in feed.items()})
            for row in range(count)
        ]
        return [np.concatenate(output) for output in zip(*rows, strict=True)]


def load_session(config: Config) -> onnxruntime.InferenceSession:
    """Open the graph of the version that Triton is loading.

    Args:
        config: the model's configuration.

    Returns:
        A session on the CPU.

    Raises:
        TritonModelException: if the file does not exist or is not a graph.
    """
    name = config["name"]
    path = Path(pb_utils.get_model_dir()) / (config["default_model_filename"] or "model.onnx")
    if not path.exists():
        raise pb_utils.TritonModelException(f"model '{name}': no file {path}")
    parameters = {
        key: parameter["string_value"] for key, parameter in config.get("parameters", {}).items()
    }
    options = onnxruntime.SessionOptions()
    options.log_severity_level = ERRORS_AND_WORSE
    options.intra_op_num_threads = int(parameters.get("intra_op_thread_count", 0))
    options.inter_op_num_threads = int(parameters.get("inter_op_thread_count", 0))
    for key, value in parameters.items():
        if key.startswith("session."):
            options.add_session_config_entry(key, value)
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions have no common base
        raise pb_utils.TritonModelException(
            f"model '{name}': ONNX Runtime cannot load {path}: {error}"
        ) from error


def refuse_numpy_2() -> None:
    """Refuse NumPy 2, with which Triton 24.10 gives wrong answers.

    The stub of Triton 24.10 was built with pybind11 2.10. With NumPy 2, its tensors have the right
    shape and random contents, and there is no error.

    Raises:
        TritonModelException: if NumPy is 2 or later.
    """
    if int(np.__version__.split(".")[0]) >= 2:
        raise pb_utils.TritonModelException(
            f"NumPy {np.__version__} gives wrong tensors in Triton 24.10's stub; install NumPy 1"
        )


def check_tensors(config: Config, key: str, tensors: Tensors) -> None:
    """Compare the configured inputs or outputs with those of the graph.

    Args:
        config: the model's configuration.
        key: ``input`` or ``output``.
        tensors: the inputs or outputs of the graph.

    Raises:
        TritonModelException: at the first name, type or shape that differs.
    """
    name, graph_tensors = config["name"], {tensor.name: tensor for tensor in tensors}
    if key == "input" and len(config[key]) != len(tensors):
        raise pb_utils.TritonModelException(
            f"model '{name}': {len(config[key])} inputs in the configuration, "
            f"{len(tensors)} in the graph"
        )
    for configured in config[key]:
        tensor = graph_tensors.get(configured["name"])
        if tensor is None:
            raise pb_utils.TritonModelException(
                f"model '{name}': no {key} '{configured['name']}' in the graph, which has "
                f"{', '.join(graph_tensors)}"
            )
        dims = [int(length) for length in configured["dims"]]
        batch = [-1] if config["max_batch_size"] else []
        declared = (configured["data_type"], [*batch, *dims])
        actual = (DATA_TYPES.get(tensor.type, tensor.type), free_dims(tensor))
        if declared[0] != actual[0] or not fits(declared[1], actual[1]):
            raise pb_utils.TritonModelException(
                f"model '{name}': {key} '{tensor.name}' is {declared[0]} {declared[1]} in the "
                f"configuration and {actual[0]} {actual[1]} in the graph (-1 is free)"
            )


def fits(declared: list[int], actual: list[int]) -> bool:
    """Whether the graph takes every tensor of a declared shape.

    Args:
        declared: lengths in the configuration, -1 for a free axis.
        actual: lengths in the graph, -1 for a free axis.

    Returns:
        Whether every length is equal or free in the graph.
    """
    return len(declared) == len(actual) and all(
        graph_length in {-1, length} for length, graph_length in zip(declared, actual, strict=True)
    )


def free_dims(tensor: onnxruntime.NodeArg) -> list[int]:
    """The shape of a graph's tensor, in Triton's form.

    Args:
        tensor: an input or output of the graph.

    Returns:
        Lengths of the axes; -1 for an axis whose length is a name or unknown.
    """
    return [length if isinstance(length, int) else -1 for length in tensor.shape]


def has_batch_axis(tensor: onnxruntime.NodeArg) -> bool:
    """Whether the first axis of a tensor is free.

    Args:
        tensor: an input or output of the graph.

    Returns:
        Whether there is a first axis, and it is free.
    """
    return free_dims(tensor)[:1] == [-1]


def response_of(results: dict[str, np.ndarray]) -> Any:
    """Make the response of a request.

    Args:
        results: arrays by output name.

    Returns:
        Triton's response.
    """
    tensors = [
        pb_utils.Tensor(name, np.ascontiguousarray(array)) for name, array in results.items()
    ]
    return pb_utils.InferenceResponse(tensors)
