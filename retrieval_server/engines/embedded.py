"""The engine in this process: onnxruntime runs the models of the repository, without a server.

Each run takes one image, on the next free worker. On a CPU this is faster than batches (in a batch
of 8, an image takes 13 to 18 % longer, because of the cache), and a descriptor cannot depend on its
batch.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from retrieval_server.engines.engine import check_request, further_model
from retrieval_server.errors import (
    EngineDeadlineError,
    EngineError,
    EngineUnavailableError,
    ModelRepositoryError,
)
from retrieval_server.models.image_model import FREE, ImageModel
from retrieval_server.models.model_repository import ModelRepository

PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")
GRAPH_TYPES = {"UINT8": "tensor(uint8)", "INT32": "tensor(int32)", "FP32": "tensor(float)"}
IMAGES_PER_WORKER = 2  # one image is decoded while another is described


class EmbeddedEngine:
    """Runs a profile's backbones with onnxruntime.

    Args:
        repository: the model repository.
        ensemble: the profile's ensemble in it; its models are loaded now.
        workers: number of models that run at the same time.
        threads_per_image: number of cores that one image may use; its backbones run at the same
            time and divide them.
        further_models: models beside the ensemble's, for ``run``; they are loaded now, too.

    Raises:
        EngineError: if a model cannot be loaded.
        ModelRepositoryError: if a model is missing, or its configuration differs from its graph.
    """

    name = "embedded"
    images_per_call = 1
    generation = 0  # never rises: the models are loaded once

    def __init__(
        self,
        repository: Path,
        ensemble: str,
        *,
        workers: int,
        threads_per_image: int,
        further_models: Collection[str] = (),
    ) -> None:
        models = ModelRepository(repository)
        self._ensemble = ensemble
        self._models = models.ensemble(ensemble)
        self._further = {name: models.image_model(name) for name in further_models}
        threads_per_backbone = math.ceil(threads_per_image / len(self._models))
        self._sessions = {
            **{model.name: _load(model, threads_per_backbone) for model in self._models},
            **{name: _load(model, threads_per_image) for name, model in self._further.items()},
        }
        self.in_flight = IMAGES_PER_WORKER * workers
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="onnxruntime")

    async def infer(
        self, ensemble: str, images: NDArray[np.uint8], timeout_s: float | None = None
    ) -> dict[str, NDArray[np.float32]]:
        """Describe images with every backbone; see ``Engine.infer``.

        onnxruntime cannot stop a run that has begun: ``timeout_s`` only keeps runs from beginning.
        """
        check_request(self._ensemble, self._models[0].side, ensemble, images)
        answers = await self._answers(self._models, images, timeout_s)
        return {
            model.name: arrays[model.output_name]
            for model, arrays in zip(self._models, answers, strict=True)
        }

    async def run(
        self, model: str, images: NDArray[np.uint8], timeout_s: float | None = None
    ) -> dict[str, NDArray[Any]]:
        """Run a further model; see ``Engine.run``, and ``infer`` for the timeout."""
        chosen = further_model(self._further, model, images)
        (arrays,) = await self._answers([chosen], images, timeout_s)
        return arrays

    async def check_served(self) -> None:
        """Do nothing: loaded models cannot change; see ``Engine.check_served``."""

    async def close(self) -> None:
        """Wait for the runs in progress and stop the workers."""
        await asyncio.to_thread(self._pool.shutdown)

    async def _answers(
        self, models: Sequence[ImageModel], images: NDArray[np.uint8], timeout_s: float | None
    ) -> list[dict[str, NDArray[Any]]]:
        """Run every model on every image, each run by itself; arrays by output, by model."""
        loop = asyncio.get_running_loop()
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        try:
            runs = [
                loop.run_in_executor(self._pool, self._run, model, image[None], deadline)
                for model in models
                for image in images
            ]
        except RuntimeError as error:  # the pool is shut down
            raise EngineUnavailableError("The engine is closed: the server stops.") from error
        rows = await asyncio.gather(*runs)
        return [
            _stacked(model, rows[index * len(images) : (index + 1) * len(images)])
            for index, model in enumerate(models)
        ]

    def _run(
        self, model: ImageModel, image: NDArray[np.uint8], deadline: float | None
    ) -> list[NDArray[Any]]:
        """Run one model on one image, (1, H, W, 3) uint8; one array for each of its answers."""
        if deadline is not None and time.monotonic() >= deadline:
            raise EngineDeadlineError("The deadline passed while the image waited for the models.")
        try:
            arrays: list[NDArray[Any]] = self._sessions[model.name].run(
                [output.name for output in model.answers], {model.image.name: image}
            )
        except Exception as error:  # onnxruntime's exceptions have no common base
            raise EngineError(f"Model {model.name} failed: {error}") from error
        return arrays


def _stacked(model: ImageModel, rows: Sequence[list[NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """The answers of a model to each image, as one array for each output."""
    return {
        output.name: np.concatenate([arrays[index] for arrays in rows])
        if rows
        else output.no_rows()
        for index, output in enumerate(model.answers)
    }


def _load(model: ImageModel, threads: int) -> onnxruntime.InferenceSession:
    if not model.onnx_path.is_file():
        _ = model.digest  # raises the error that tells how to export the model
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
        raise EngineError(
            f"Model {model.name} cannot be loaded from {model.onnx_path}: {error}. "
            "Export it again with: beauty-export onnx"
        ) from error
    _check_contract(model, session)
    return session


def _check_contract(model: ImageModel, session: onnxruntime.InferenceSession) -> None:
    """Refuse a graph that differs from its ``config.pbtxt``."""
    actual_inputs, actual_outputs = (
        {tensor.name: (tensor.type, *_dims(tensor)) for tensor in tensors}
        for tensors in (session.get_inputs(), session.get_outputs())
    )
    expected_inputs, expected_outputs = (
        {tensor.name: (GRAPH_TYPES.get(tensor.data_type), *tensor.dims) for tensor in tensors}
        for tensors in ((model.image,), model.outputs)
    )
    if actual_inputs != expected_inputs or actual_outputs != expected_outputs:
        raise ModelRepositoryError(
            f"Model {model.name} maps {actual_inputs} to {actual_outputs}, its config.pbtxt says "
            f"{expected_inputs} to {expected_outputs}. Export it again with: beauty-export onnx"
        )


def _dims(tensor: onnxruntime.NodeArg) -> Iterator[int]:
    """Lengths of the axes of a graph's tensor behind the batch; a free one has a name."""
    return (length if isinstance(length, int) else FREE for length in tensor.shape[1:])
