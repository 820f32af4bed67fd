"""The engine in a Triton server: one gRPC request for each batch, to the profile's ensemble.

The ensemble answers with the descriptors of every backbone at once. Tensor names, dims and batch
size come from the local model repository. The engine compares the models that Triton serves with
this repository before the first batch, and again after each lost connection. Each answer contains
the fingerprint of the weights that computed it, see ``triton_answer``. The engine translates
Triton's errors by the table of ``triton_errors``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import (
    InferInput,
    InferRequestedOutput,
    InferResult,
    model_config_pb2,
    service_pb2,
)
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from retrieval_server.engines.engine import TritonConnection, check_request, further_model
from retrieval_server.engines.triton_answer import AnswerReader
from retrieval_server.engines.triton_calls import TritonCalls
from retrieval_server.engines.triton_contract import ensemble_tensors, require_same_model
from retrieval_server.engines.triton_errors import UNAVAILABLE
from retrieval_server.errors import ModelMismatchError
from retrieval_server.models.image_model import ImageModel
from retrieval_server.models.model_repository import ModelRepository
from retrieval_server.observability.tracing import trace_headers

POLL_TIMEOUT_S = 1.0  # a healthy server answers within milliseconds
READY_TIMEOUT_S = 10.0  # the comparison waits no longer for a server, even if the caller does
BATCHES_IN_FLIGHT = 8  # two instances, and for each: one batch running, one queued, two in transit

Read = TypeVar("Read")


class TritonEngine:
    """Sends batches to a Triton server; works in the event loop of its first call only.

    The engine connects in the first call, which also checks the models that Triton serves.

    Args:
        repository: the model repository that Triton serves, or a copy of it.
        ensemble: the profile's ensemble in the repository.
        connection: address, timeout and credentials of Triton.
        further_models: models beside the ensemble's, for ``run``. Whether Triton serves them is
            found out at the first ``run`` of each, so a Triton without them can describe images.

    Raises:
        EngineError: if the credentials of the connection are not valid.
        ModelRepositoryError: if a model is missing, or the ensemble takes no batches.
    """

    name = "triton"

    def __init__(
        self,
        repository: Path,
        ensemble: str,
        connection: TritonConnection,
        further_models: Collection[str] = (),
    ) -> None:
        models = ModelRepository(repository)
        self._ensemble = ensemble
        self._models = models.ensemble(ensemble)
        self._further = {name: models.image_model(name) for name in further_models}
        self._configs = {
            name: models.config(name)
            for name in (ensemble, *(model.name for model in self._models), *further_models)
        }
        self._tensors = ensemble_tensors(self._configs[ensemble], self._models)
        self._calls = TritonCalls(connection)
        self._answers = AnswerReader(connection.url)
        self._timeout_s = connection.timeout_s
        self.images_per_call = self._configs[ensemble].max_batch_size
        self.in_flight = BATCHES_IN_FLIGHT * self.images_per_call
        self._compared: dict[str, int] = {}  # generation by ensemble or further model

    @property
    def generation(self) -> int:
        """Rises with every transient error, and with every change of weights."""
        return self._calls.generation

    async def infer(
        self, ensemble: str, images: NDArray[np.uint8], timeout_s: float | None = None
    ) -> dict[str, NDArray[np.float32]]:
        """Describe images with every backbone; see ``Engine.infer``.

        A batch above the ensemble's ``max_batch_size`` is sent in several requests, one after the
        other, all within one deadline.
        """
        check_request(self._ensemble, self._models[0].side, ensemble, images)
        names = [
            self._tensors.outputs[model.name][output.name]
            for model in self._models
            for output in model.outputs
        ]

        def read(answer: InferResult, rows: int) -> list[dict[str, NDArray[Any]]]:
            return [
                self._answers.arrays(answer, model, self._tensors.outputs[model.name], rows)
                for model in self._models
            ]

        batches = await self._batches(ensemble, self._tensors.image, names, images, timeout_s, read)
        return {
            model.name: _concatenated(model, [batch[index] for batch in batches])[model.output_name]
            for index, model in enumerate(self._models)
        }

    async def run(
        self, model: str, images: NDArray[np.uint8], timeout_s: float | None = None
    ) -> dict[str, NDArray[Any]]:
        """Run a further model; see ``Engine.run``, and ``infer`` for large batches."""
        chosen = further_model(self._further, model, images)
        names = {output.name: output.name for output in chosen.outputs}

        def read(answer: InferResult, rows: int) -> dict[str, NDArray[Any]]:
            return self._answers.arrays(answer, chosen, names, rows)

        batches = await self._batches(model, chosen.image.name, names, images, timeout_s, read)
        return _concatenated(chosen, batches)

    async def check_served(self) -> None:
        """Compare Triton's models with the repository; see ``Engine.check_served``."""
        with self._calls.in_progress():
            deadline = asyncio.get_running_loop().time() + POLL_TIMEOUT_S
            await self._compare_served(self._ensemble, deadline)

    async def close(self) -> None:
        """Wait for the calls in progress and close the connection."""
        await self._calls.close()

    async def _batches(
        self,
        name: str,
        image: str,
        outputs: Iterable[str],
        images: NDArray[np.uint8],
        timeout_s: float | None,
        read: Callable[[InferResult, int], Read],
    ) -> list[Read]:
        """Send images to a model or an ensemble, in batches of at most its ``max_batch_size``."""
        self._calls.require_open()
        limit_s = self._timeout_s if timeout_s is None else min(timeout_s, self._timeout_s)
        deadline = asyncio.get_running_loop().time() + limit_s
        max_batch_size = self._configs[name].max_batch_size
        requested = [InferRequestedOutput(output) for output in outputs]
        results = []
        with self._calls.in_progress():
            if self._compared.get(name) != self._calls.generation:
                await self._compare_served(name, deadline)
            for first in range(0, len(images), max_batch_size):
                batch = images[first : first + max_batch_size]
                answer = await self._infer(name, image, requested, batch, deadline)
                try:
                    results.append(read(answer, len(batch)))
                except ModelMismatchError:
                    self._calls.generation += 1
                    raise
        return results

    async def _infer(
        self,
        name: str,
        image: str,
        outputs: list[InferRequestedOutput],
        images: NDArray[np.uint8],
        deadline: float,
    ) -> InferResult:
        """Send one batch of at most ``max_batch_size`` images."""
        tensor = InferInput(image, images.shape, "UINT8")
        tensor.set_data_from_numpy(images)

        async def infer(client: InferenceServerClient, remaining_s: float) -> InferResult:
            return await client.infer(
                name,
                [tensor],
                outputs=outputs,
                timeout=max(1, int(remaining_s * 1e6)),  # microseconds; 0 means no limit
                client_timeout=remaining_s,
                headers=self._calls.headers | trace_headers(),
            )

        return await self._calls.call(infer, deadline)

    async def _compare_served(self, name: str, deadline: float) -> None:
        """Refuse a Triton whose models are not ready, or not those of the repository.

        Args:
            name: the ensemble, which is compared with its members, or a further model.
            deadline: time of the event loop at which to give up.
        """

        async def check_live(client: InferenceServerClient, remaining_s: float) -> None:
            if not await client.is_server_live(
                headers=self._calls.headers, client_timeout=remaining_s
            ):
                raise InferenceServerException("the server is not live", UNAVAILABLE)

        models = self._models if name == self._ensemble else (self._further[name],)
        deadline = min(deadline, asyncio.get_running_loop().time() + READY_TIMEOUT_S)
        generation = None
        while generation != self._calls.generation:  # a lost connection starts the comparison again
            generation = self._calls.generation
            await self._calls.call(check_live, deadline)
            if name == self._ensemble:
                await self._check_model(self._configs[name], None, deadline)
            for model in models:
                version = model.onnx_path.parent.name
                await self._check_model(self._configs[model.name], version, deadline)
        self._compared[name] = generation

    async def _check_model(
        self, config: model_config_pb2.ModelConfig, version: str | None, deadline: float
    ) -> None:
        async def get_metadata(
            client: InferenceServerClient, remaining_s: float
        ) -> service_pb2.ModelMetadataResponse:
            return await client.get_model_metadata(
                config.name, headers=self._calls.headers, client_timeout=remaining_s
            )

        async def check_ready(client: InferenceServerClient, remaining_s: float) -> None:
            if not await client.is_model_ready(
                config.name, version or "", headers=self._calls.headers, client_timeout=remaining_s
            ):
                raise InferenceServerException(f"model {config.name} is not ready", UNAVAILABLE)

        require_same_model(
            config, version, await self._calls.call(get_metadata, deadline), self._calls.url
        )
        await self._calls.call(check_ready, deadline)


def _concatenated(
    model: ImageModel, batches: Sequence[dict[str, NDArray[Any]]]
) -> dict[str, NDArray[Any]]:
    """The answers of a model to each batch, as one array for each output."""
    return {
        output.name: np.concatenate([batch[output.name] for batch in batches])
        if batches
        else output.no_rows()
        for output in model.answers
    }
