"""The engine in this process: onnxruntime runs the models of the repository, without a server.

Each run takes one image, on the next free worker. On a CPU this is faster than batches (in a batch
of 8, an image takes 13 to 18 % longer, because of the cache), and a descriptor cannot depend on its
batch.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from retrieval_server.engines.engine import check_request
from retrieval_server.errors import (
    EngineDeadlineError,
    EngineError,
    EngineUnavailableError,
    ModelRepositoryError,
)
from retrieval_server.models.model_repository import FINGERPRINT_WORDS, ModelFolder, ModelRepository

PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")
IMAGES_PER_WORKER = 2  # one image is decoded while another is described


class EmbeddedEngine:
    """Runs a profile's backbones with onnxruntime.

    Args:
        repository: the model repository.
        ensemble: the profile's ensemble in it; its models are loaded now.
        workers: number of models that run at the same time.
        threads_per_run: number of cores that one run may use.

    Raises:
        EngineError: if a model cannot be loaded.
        ModelRepositoryError: if a model is missing, or its configuration differs from its graph.
    """

    name = "embedded"
    images_per_call = 1
    generation = 0  # never rises: the models are loaded once

    def __init__(
        self, repository: Path, ensemble: str, *, workers: int, threads_per_run: int
    ) -> None:
        self._ensemble = ensemble
        self._models = ModelRepository(repository).ensemble(ensemble)
        self._sessions = [_load(model, threads_per_run) for model in self._models]
        self.in_flight = IMAGES_PER_WORKER * workers
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="onnxruntime")

    async def infer(
        self, ensemble: str, images: NDArray[np.uint8], timeout_s: float | None = None
    ) -> dict[str, NDArray[np.float32]]:
        """Describe images with every backbone; see ``Engine.infer``.

        onnxruntime cannot stop a run that has begun: ``timeout_s`` only keeps runs from beginning.
        """
        check_request(self._ensemble, self._models[0].side, ensemble, images)
        loop = asyncio.get_running_loop()
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        try:
            runs = [
                loop.run_in_executor(self._pool, self._run, index, image[None], deadline)
                for index in range(len(self._models))
                for image in images
            ]
        except RuntimeError as error:  # the pool is shut down
            raise EngineUnavailableError("The engine is closed: the server stops.") from error
        rows = await asyncio.gather(*runs)
        return {
            model.name: np.concatenate(
                [
                    np.empty((0, model.dimension), np.float32),
                    *rows[index * len(images) : (index + 1) * len(images)],
                ]
            )
            for index, model in enumerate(self._models)
        }

    async def check_served(self) -> None:
        """Do nothing: loaded models cannot change; see ``Engine.check_served``."""

    async def close(self) -> None:
        """Wait for the runs in progress and stop the workers."""
        await asyncio.to_thread(self._pool.shutdown)

    def _run(
        self, index: int, image: NDArray[np.uint8], deadline: float | None
    ) -> NDArray[np.float32]:
        """Run one model on one image, (1, S, S, 3) uint8; returns (1, C) float32."""
        model = self._models[index]
        if deadline is not None and time.monotonic() >= deadline:
            raise EngineDeadlineError("The deadline passed while the image waited for the models.")
        try:
            descriptor: NDArray[np.float32] = self._sessions[index].run(
                [model.output_name], {model.input_name: image}
            )[0]
        except Exception as error:  # onnxruntime's exceptions have no common base
            raise EngineError(f"Model {model.name} failed: {error}") from error
        return descriptor


def _load(model: ModelFolder, threads: int) -> onnxruntime.InferenceSession:
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


def _check_contract(model: ModelFolder, session: onnxruntime.InferenceSession) -> None:
    """Refuse a graph that differs from its ``config.pbtxt``."""
    inputs = {t.name: (t.type, *t.shape[1:]) for t in session.get_inputs()}
    outputs = {t.name: (t.type, *t.shape[1:]) for t in session.get_outputs()}
    expected_inputs = {model.input_name: ("tensor(uint8)", model.side, model.side, 3)}
    expected_outputs = {
        model.output_name: ("tensor(float)", model.dimension),
        model.fingerprint_name: ("tensor(int32)", FINGERPRINT_WORDS),
    }
    if inputs != expected_inputs or outputs != expected_outputs:
        raise ModelRepositoryError(
            f"Model {model.name} maps {inputs} to {outputs}, its config.pbtxt says "
            f"{expected_inputs} to {expected_outputs}. Export it again with: beauty-export onnx"
        )
