"""The engine in a Triton server: one gRPC request for each batch, to the profile's ensemble.

The ensemble answers with the descriptors of every backbone at once. Tensor names, dims and batch
size come from the local model repository. The engine compares the models that Triton serves with
this repository before the first batch, and again after each lost connection. Each answer contains
the fingerprint of the weights that computed it, see ``triton_answer``. The engine translates
Triton's errors by the table of ``triton_errors``.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import InferInput, InferResult, model_config_pb2, service_pb2
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from retrieval_server.engines.engine import TritonConnection, check_request
from retrieval_server.engines.triton_answer import AnswerReader
from retrieval_server.engines.triton_channel import TritonChannel
from retrieval_server.engines.triton_contract import ensemble_tensors, require_same_model
from retrieval_server.engines.triton_errors import (
    UNAVAILABLE,
    is_deadline_exceeded,
    is_transient,
    translated,
)
from retrieval_server.errors import EngineError, EngineUnavailableError, ModelMismatchError
from retrieval_server.models.model_repository import ModelRepository
from retrieval_server.observability.tracing import trace_headers

FIRST_BACKOFF_S = 0.05  # a retry waits a random time up to this limit, which doubles each time
MAX_BACKOFF_S = 1.0
POLL_TIMEOUT_S = 1.0  # a healthy server answers within milliseconds
READY_TIMEOUT_S = 10.0  # the comparison waits no longer for a server, even if the caller does
BATCHES_IN_FLIGHT = 8  # two instances, and for each: one batch running, one queued, two in transit

Answer = TypeVar("Answer")


class TritonEngine:
    """Sends batches to a Triton server; works in the event loop of its first call only.

    The engine connects in the first call, which also checks the models that Triton serves.

    Args:
        repository: the model repository that Triton serves, or a copy of it.
        ensemble: the profile's ensemble in the repository.
        connection: address, timeout and credentials of Triton.

    Raises:
        EngineError: if the credentials of the connection are not valid.
        ModelRepositoryError: if a model is missing, or the ensemble takes no batches.
    """

    name = "triton"

    def __init__(self, repository: Path, ensemble: str, connection: TritonConnection) -> None:
        models = ModelRepository(repository)
        self._models = models.ensemble(ensemble)
        self._config = models.config(ensemble)
        self._member_configs = [models.config(model.name) for model in self._models]
        self._tensors = ensemble_tensors(self._config, self._models)
        self._url = connection.url
        self._answers = AnswerReader(self._models, self._tensors, self._url)
        self._timeout_s = connection.timeout_s
        self._headers = _headers(connection)
        self._channel = TritonChannel(connection)
        self.images_per_call = self._config.max_batch_size
        self.in_flight = BATCHES_IN_FLIGHT * self.images_per_call
        self.generation = 0
        self._compared_generation: int | None = None
        self._is_closed = False
        self._calls_in_progress = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def infer(
        self, ensemble: str, images: NDArray[np.uint8], timeout_s: float | None = None
    ) -> dict[str, NDArray[np.float32]]:
        """Describe images with every backbone; see ``Engine.infer``.

        A batch above the ensemble's ``max_batch_size`` is sent in several requests, one after the
        other, all within one deadline.
        """
        check_request(self._config.name, self._models[0].side, ensemble, images)
        if self._is_closed:
            raise EngineUnavailableError("The engine is closed: the server stops.")
        limit_s = self._timeout_s if timeout_s is None else min(timeout_s, self._timeout_s)
        deadline = asyncio.get_running_loop().time() + limit_s
        with self._call_in_progress():
            if self._compared_generation != self.generation:
                await self._compare_served(deadline)
            max_batch_size = self._config.max_batch_size
            batches = [
                await self._describe(images[first : first + max_batch_size], deadline)
                for first in range(0, len(images), max_batch_size)
            ]
        return {
            model.name: np.concatenate(
                [
                    np.empty((0, model.dimension), np.float32),
                    *(descriptors[model.name] for descriptors in batches),
                ]
            )
            for model in self._models
        }

    async def check_served(self) -> None:
        """Compare Triton's models with the repository; see ``Engine.check_served``."""
        with self._call_in_progress():
            await self._compare_served(asyncio.get_running_loop().time() + POLL_TIMEOUT_S)

    async def close(self) -> None:
        """Wait for the calls in progress and close the connection."""
        self._is_closed = True
        await self._idle.wait()
        await self._channel.close()

    @contextlib.contextmanager
    def _call_in_progress(self) -> Iterator[None]:
        self._calls_in_progress += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._calls_in_progress -= 1
            if not self._calls_in_progress:
                self._idle.set()

    async def _describe(
        self, images: NDArray[np.uint8], deadline: float
    ) -> dict[str, NDArray[np.float32]]:
        """Send one batch of at most ``max_batch_size`` images."""
        image = InferInput(self._tensors.image, images.shape, "UINT8")
        image.set_data_from_numpy(images)

        async def infer(client: InferenceServerClient, remaining_s: float) -> InferResult:
            return await client.infer(
                self._config.name,
                [image],
                outputs=self._answers.outputs,
                timeout=max(1, int(remaining_s * 1e6)),  # microseconds; 0 means no limit
                client_timeout=remaining_s,
                headers=self._headers | trace_headers(),
            )

        answer = await self._call(infer, deadline)
        try:
            return self._answers.descriptors(answer, len(images))
        except ModelMismatchError:
            self.generation += 1
            raise

    async def _compare_served(self, deadline: float) -> None:
        """Refuse a Triton whose models are not ready, or not those of the repository."""

        async def check_live(client: InferenceServerClient, remaining_s: float) -> None:
            if not await client.is_server_live(headers=self._headers, client_timeout=remaining_s):
                raise InferenceServerException("the server is not live", UNAVAILABLE)

        deadline = min(deadline, asyncio.get_running_loop().time() + READY_TIMEOUT_S)
        generation = None
        while generation != self.generation:  # a lost connection starts the comparison again
            generation = self.generation
            await self._call(check_live, deadline)
            await self._check_model(self._config, None, deadline)
            for config, model in zip(self._member_configs, self._models, strict=True):
                await self._check_model(config, model.onnx_path.parent.name, deadline)
        self._compared_generation = generation

    async def _check_model(
        self, config: model_config_pb2.ModelConfig, version: str | None, deadline: float
    ) -> None:
        async def get_metadata(
            client: InferenceServerClient, remaining_s: float
        ) -> service_pb2.ModelMetadataResponse:
            return await client.get_model_metadata(
                config.name, headers=self._headers, client_timeout=remaining_s
            )

        async def check_ready(client: InferenceServerClient, remaining_s: float) -> None:
            if not await client.is_model_ready(
                config.name, version or "", headers=self._headers, client_timeout=remaining_s
            ):
                raise InferenceServerException(f"model {config.name} is not ready", UNAVAILABLE)

        require_same_model(config, version, await self._call(get_metadata, deadline), self._url)
        await self._call(check_ready, deadline)

    async def _call(
        self,
        attempt: Callable[[InferenceServerClient, float], Awaitable[Answer]],
        deadline: float,
    ) -> Answer:
        """Call Triton, and retry transient errors until the deadline, with full jitter.

        Raises:
            RetrievalError: translation of the last error by the table of ``triton_errors``; at the
                deadline, of the last error before it, if there is one.
        """
        loop = asyncio.get_running_loop()
        last_error: InferenceServerException | None = None
        max_wait_s = FIRST_BACKOFF_S
        while (remaining_s := deadline - loop.time()) > 0:
            try:
                async with self._channel.client() as client:
                    return await attempt(client, remaining_s)
            except InferenceServerException as error:
                if is_deadline_exceeded(error):
                    last_error = last_error or error
                    break
                last_error = error
                if not is_transient(error):
                    break
                self.generation += 1
            wait_s = random.uniform(0, max_wait_s)
            max_wait_s = min(2 * max_wait_s, MAX_BACKOFF_S)
            if loop.time() + wait_s >= deadline:
                break
            await asyncio.sleep(wait_s)
        raise translated(last_error, self._url) from last_error


def _headers(connection: TritonConnection) -> dict[str, str]:
    """The request header that gives access to a restricted protocol."""
    if connection.access_key is None:
        return {}
    name, _, value = connection.access_key.partition("=")
    if not re.fullmatch(r"[0-9a-z_.-]+", name) or not re.fullmatch(r"[!-~]+", value):
        raise EngineError(
            "RETRIEVAL_TRITON_ACCESS_KEY must be NAME=VALUE, as in --grpc-restricted-protocol of "
            "Triton, with a name in lower case; its value is not shown here."
        )
    return {f"triton-grpc-protocol-{name}": value}
