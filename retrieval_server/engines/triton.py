"""The engine in a Triton server: one gRPC request for each batch, to the profile's ensemble.

The ensemble answers with the descriptors of every backbone at once. Tensor names, dims and batch
size come from the local model repository; before the first batch, and again whenever Triton was
away, what it serves is compared with it. Which weights computed an answer, the answer itself tells:
see ``triton_answer``. Triton's errors become ours here, by the table of ``triton_errors``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import grpc
import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import InferInput, InferResult, model_config_pb2, service_pb2
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from retrieval_server.engines.engine import TritonConnection, check_request
from retrieval_server.engines.triton_answer import AnswerReader
from retrieval_server.engines.triton_contract import ensemble_tensors, require_same_model
from retrieval_server.engines.triton_errors import UNAVAILABLE, is_late, may_pass, translated
from retrieval_server.errors import EngineError, EngineUnavailableError, ModelMismatchError
from retrieval_server.models.model_repository import ModelRepository
from retrieval_server.observability.tracing import trace_headers

FIRST_WAIT_S = 0.05  # a retry waits a random part of this, the next one of twice as much, ...
LONGEST_WAIT_S = 1.0
LOOK_S = 1.0  # a server that is well answers within milliseconds
READY_S = 10.0  # a server that is absent at the start is no reason to wait for longer
BATCHES_IN_FLIGHT = 8  # for each of two instances one being run, one waiting, two on their way

CHANNEL_OPTIONS = (
    # Where a name has several addresses, as a headless service of Kubernetes, all take turns.
    ("grpc.service_config", json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 100),  # the default is 1 s, rising to 2 minutes
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # Triton takes more than one ping in 5 minutes for an attack. With keepalive on, the kernel
    # drops a connection whose data is not acknowledged for the timeout: a host that vanished.
    ("grpc.keepalive_time_ms", 310_000),
    ("grpc.keepalive_timeout_ms", 10_000),
)

Answer = TypeVar("Answer")


class TritonEngine:
    """Sends batches to a Triton server; belongs to the event loop of its first call.

    Nothing is sent before the first call, which also checks what is served.

    Args:
        repository: the model repository that Triton serves, or a copy of it.
        ensemble: the profile's ensemble in it.
        connection: where Triton is, and how to reach it.

    Raises:
        EngineError: if the connection cannot be meant so.
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
        self._credentials = _credentials(connection)
        self.images_per_call = self._config.max_batch_size
        self.in_flight = BATCHES_IN_FLIGHT * self.images_per_call
        self._client: InferenceServerClient | None = None
        self.generation = 0
        self._compared_generation: int | None = None
        self._is_closed = False
        self._calls = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def infer(
        self, ensemble: str, images: NDArray[np.uint8], timeout_s: float | None = None
    ) -> dict[str, NDArray[np.float32]]:
        """Describe images with every backbone; see ``Engine.infer``.

        A batch above the ensemble's ``max_batch_size`` goes in parts, one after the other, all
        within the one deadline.
        """
        check_request(self._config.name, self._models[0].side, ensemble, images)
        if self._is_closed:
            raise EngineUnavailableError("The engine is closed: the server stops.")
        limit_s = self._timeout_s if timeout_s is None else min(timeout_s, self._timeout_s)
        deadline = asyncio.get_running_loop().time() + limit_s
        with self._call_in_progress():
            if self._compared_generation != self.generation:
                await self._compare_served(deadline)
            most = self._config.max_batch_size
            parts = [
                await self._describe(images[first : first + most], deadline)
                for first in range(0, len(images), most)
            ]
        return {
            model.name: np.concatenate(
                [np.empty((0, model.dimension), np.float32), *(part[model.name] for part in parts)]
            )
            for model in self._models
        }

    async def check_served(self) -> None:
        """Compare what Triton serves with the repository; see ``Engine.check_served``."""
        with self._call_in_progress():
            await self._compare_served(asyncio.get_running_loop().time() + LOOK_S)

    async def close(self) -> None:
        """Wait for the calls in progress and close the connection."""
        self._is_closed = True
        await self._idle.wait()
        if self._client is not None:
            client, self._client = self._client, None
            await client.close()

    @contextlib.contextmanager
    def _call_in_progress(self) -> Iterator[None]:
        self._calls += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._calls -= 1
            if not self._calls:
                self._idle.set()

    async def _describe(
        self, images: NDArray[np.uint8], deadline: float
    ) -> dict[str, NDArray[np.float32]]:
        """Send one batch that Triton takes as it is."""
        image = InferInput(self._tensors.image, images.shape, "UINT8")
        image.set_data_from_numpy(images)

        async def attempt(client: InferenceServerClient, left_s: float) -> InferResult:
            return await client.infer(
                self._config.name,
                [image],
                outputs=self._answers.outputs,
                timeout=max(1, int(left_s * 1e6)),  # microseconds; 0 would be no limit
                client_timeout=left_s,
                headers=self._headers | trace_headers(),
            )

        answer = await self._call(attempt, deadline)
        try:
            return self._answers.descriptors(answer, len(images))
        except ModelMismatchError:
            self.generation += 1
            raise

    async def _compare_served(self, deadline: float) -> None:
        """Refuse a Triton whose models are not ready, or not those of the repository."""

        async def live(client: InferenceServerClient, left_s: float) -> None:
            if not await client.is_server_live(headers=self._headers, client_timeout=left_s):
                raise InferenceServerException("the server is not live", UNAVAILABLE)

        deadline = min(deadline, asyncio.get_running_loop().time() + READY_S)
        generation = None
        while generation != self.generation:  # it may go away while it is asked
            generation = self.generation
            await self._call(live, deadline)
            await self._check_model(self._config, None, deadline)
            for config, model in zip(self._member_configs, self._models, strict=True):
                await self._check_model(config, model.onnx_path.parent.name, deadline)
        self._compared_generation = generation

    async def _check_model(
        self, config: model_config_pb2.ModelConfig, version: str | None, deadline: float
    ) -> None:
        async def metadata(
            client: InferenceServerClient, left_s: float
        ) -> service_pb2.ModelMetadataResponse:
            return await client.get_model_metadata(
                config.name, headers=self._headers, client_timeout=left_s
            )

        async def ready(client: InferenceServerClient, left_s: float) -> None:
            if not await client.is_model_ready(
                config.name, version or "", headers=self._headers, client_timeout=left_s
            ):
                raise InferenceServerException(f"model {config.name} is not ready", UNAVAILABLE)

        require_same_model(config, version, await self._call(metadata, deadline), self._url)
        await self._call(ready, deadline)

    async def _call(
        self,
        attempt: Callable[[InferenceServerClient, float], Awaitable[Answer]],
        deadline: float,
    ) -> Answer:
        """Try until the deadline, with full jitter between the attempts.

        Raises:
            RetrievalError: by the table of ``triton_errors``; at the deadline, what stood in the
                way of the attempts before.
        """
        loop = asyncio.get_running_loop()
        obstacle: InferenceServerException | None = None
        longest_wait_s = FIRST_WAIT_S
        while (left_s := deadline - loop.time()) > 0:
            try:
                return await attempt(self._connected(), left_s)
            except InferenceServerException as error:
                if is_late(error):
                    obstacle = obstacle or error
                    break
                obstacle = error
                if not may_pass(error):
                    break
                self.generation += 1
            wait_s = random.uniform(0, longest_wait_s)
            longest_wait_s = min(2 * longest_wait_s, LONGEST_WAIT_S)
            if loop.time() + wait_s >= deadline:
                break
            await asyncio.sleep(wait_s)
        raise translated(obstacle, self._url) from obstacle

    def _connected(self) -> InferenceServerClient:
        if self._client is None:
            self._client = InferenceServerClient(
                self._url, creds=self._credentials, channel_args=CHANNEL_OPTIONS
            )
        return self._client


def _headers(connection: TritonConnection) -> dict[str, str]:
    """The header that opens a restricted protocol."""
    if connection.access_key is None:
        return {}
    name, _, value = connection.access_key.partition("=")
    if not re.fullmatch(r"[0-9a-z_.-]+", name) or not re.fullmatch(r"[!-~]+", value):
        raise EngineError(
            "RETRIEVAL_TRITON_ACCESS_KEY must be NAME=VALUE, as in --grpc-restricted-protocol of "
            "Triton, with a name in lower case; its value is not shown here."
        )
    return {f"triton-grpc-protocol-{name}": value}


def _credentials(connection: TritonConnection) -> grpc.ChannelCredentials | None:
    """Keys and certificates for TLS; None for a connection in the clear."""
    if (connection.tls_cert is None) != (connection.tls_key is None):
        raise EngineError(
            "--triton-tls-cert and --triton-tls-key go together: set both or neither."
        )
    files = (connection.tls_ca, connection.tls_key, connection.tls_cert)
    if files == (None, None, None):
        return None
    try:
        ca, key, certificate = (None if file is None else file.read_bytes() for file in files)
    except OSError as error:
        raise EngineError(f"Cannot read {error.filename}: {error.strerror}.") from error
    return grpc.ssl_channel_credentials(ca, key, certificate)
