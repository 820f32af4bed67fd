"""What the engines in this process have in common: workers that run models, one image at a time.

Each run takes one image, on the next free worker. On a CPU this is faster than batches (in a batch
of 8, an image takes 13 to 18 % longer, because of the cache), and a descriptor cannot depend on its
batch.
"""

from __future__ import annotations

import asyncio
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval_server.engines.engine import check_request, further_model
from retrieval_server.errors import (
    EngineDeadlineError,
    EngineError,
    EngineUnavailableError,
    ModelRepositoryError,
)
from retrieval_server.models.image_model import ImageModel
from retrieval_server.models.model_repository import ModelRepository

IMAGES_PER_WORKER = 2  # one image is decoded while another is described

# Runs a loaded model on an image, (1, H, W, 3) uint8; one array for each of its answers. Several
# workers call it at the same time.
Run = Callable[[NDArray[np.uint8]], list[NDArray[Any]]]


class InProcessEngine(ABC):
    """Runs a profile's backbones in this process.

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

    name: str
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
        self._workers = workers
        threads_per_backbone = math.ceil(threads_per_image / len(self._models))
        self._backbone_runs = {
            model.name: self._load_backbone(_exported(model), threads_per_backbone)
            for model in self._models
        }
        self._further_runs = {
            name: self._load_further(_exported(model), threads_per_image)
            for name, model in self._further.items()
        }
        self.in_flight = IMAGES_PER_WORKER * workers
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix=self.name)

    @abstractmethod
    def _load_backbone(self, model: ImageModel, threads: int) -> Run:
        """Load a model of the ensemble; ``threads`` is the number of cores that a run may use."""

    @abstractmethod
    def _load_further(self, model: ImageModel, threads: int) -> Run:
        """Load a further model; ``threads`` is the number of cores that a run may use."""

    async def infer(
        self, ensemble: str, images: NDArray[np.uint8], timeout_s: float | None = None
    ) -> dict[str, NDArray[np.float32]]:
        """Describe images with every backbone; see ``Engine.infer``.

        A run that has begun is not stopped: ``timeout_s`` only keeps runs from beginning.
        """
        check_request(self._ensemble, self._models[0].side, ensemble, images)
        runs = [(model, self._backbone_runs[model.name]) for model in self._models]
        answers = await self._answers(runs, images, timeout_s)
        return {
            model.name: arrays[model.output_name]
            for model, arrays in zip(self._models, answers, strict=True)
        }

    async def run(
        self, model: str, images: NDArray[np.uint8], timeout_s: float | None = None
    ) -> dict[str, NDArray[Any]]:
        """Run a further model; see ``Engine.run``, and ``infer`` for the timeout."""
        chosen = further_model(self._further, model, images)
        (arrays,) = await self._answers([(chosen, self._further_runs[model])], images, timeout_s)
        return arrays

    async def check_served(self) -> None:  # noqa: B027
        """Do nothing: loaded models cannot change; see ``Engine.check_served``."""

    async def close(self) -> None:
        """Wait for the runs in progress and stop the workers."""
        await asyncio.to_thread(self._pool.shutdown)

    async def _answers(
        self,
        loaded: Sequence[tuple[ImageModel, Run]],
        images: NDArray[np.uint8],
        timeout_s: float | None,
    ) -> list[dict[str, NDArray[Any]]]:
        """Run every model on every image, each run by itself; arrays by output, by model."""
        loop = asyncio.get_running_loop()
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        try:
            runs = [
                loop.run_in_executor(self._pool, _answer, model, run, image[None], deadline)
                for model, run in loaded
                for image in images
            ]
        except RuntimeError as error:  # the pool is shut down
            raise EngineUnavailableError("The engine is closed: the server stops.") from error
        rows = await asyncio.gather(*runs)
        return [
            _stacked(model, rows[index * len(images) : (index + 1) * len(images)])
            for index, (model, _) in enumerate(loaded)
        ]


def cannot_load(model: ImageModel, error: Exception) -> EngineError:
    """The error for a model that a runtime refuses to load."""
    return EngineError(
        f"Model {model.name} cannot be loaded from {model.onnx_path}: {_in_one_line(error)}. "
        "Export it again with: beauty-export onnx"
    )


def require_configured(
    model: ImageModel, inputs: dict[str, tuple[Any, ...]], outputs: dict[str, tuple[Any, ...]]
) -> None:
    """Refuse a graph that differs from its ``config.pbtxt``.

    Args:
        model: the model, as it is configured.
        inputs: of the graph; by name the type, as Triton names it, and the dims of an image.
        outputs: of the graph, in the same way.

    Raises:
        ModelRepositoryError: naming what the graph maps and what its configuration says.
    """
    expected_inputs, expected_outputs = (
        {tensor.name: (tensor.data_type, *tensor.dims) for tensor in tensors}
        for tensors in ((model.image,), model.outputs)
    )
    if inputs != expected_inputs or outputs != expected_outputs:
        raise ModelRepositoryError(
            f"Model {model.name} maps {inputs} to {outputs}, its config.pbtxt says "
            f"{expected_inputs} to {expected_outputs}. Export it again with: beauty-export onnx"
        )


def _exported(model: ImageModel) -> ImageModel:
    if not model.onnx_path.is_file():
        _ = model.digest  # raises the error that tells how to export the model
    return model


def _answer(
    model: ImageModel, run: Run, image: NDArray[np.uint8], deadline: float | None
) -> list[NDArray[Any]]:
    """Run one model on one image, (1, H, W, 3) uint8; one array for each of its answers."""
    if deadline is not None and time.monotonic() >= deadline:
        raise EngineDeadlineError("The deadline passed while the image waited for the models.")
    try:
        return run(image)
    except Exception as error:  # the exceptions of the runtimes have no common base
        raise EngineError(f"Model {model.name} failed: {_in_one_line(error)}") from error


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _stacked(model: ImageModel, rows: Sequence[list[NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """The answers of a model to each image, as one array for each output."""
    return {
        output.name: np.concatenate([arrays[index] for arrays in rows])
        if rows
        else output.no_rows()
        for index, output in enumerate(model.answers)
    }
