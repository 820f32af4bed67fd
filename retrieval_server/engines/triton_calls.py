"""Calls of a Triton server: connection, credentials, retries, and an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import grpc
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from retrieval_server.command_line.proxies import proxy_options
from retrieval_server.engines.engine import TritonConnection
from retrieval_server.engines.triton_errors import is_deadline_exceeded, is_transient, translated
from retrieval_server.errors import EngineError, EngineUnavailableError

FIRST_BACKOFF_S = 0.05  # a retry waits a random time up to this limit, which doubles each time
MAX_BACKOFF_S = 1.0

CHANNEL_OPTIONS = (
    # A headless service of Kubernetes has several addresses behind one name: use all, in turn.
    ("grpc.service_config", json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 100),  # the default is 1 s, rising to 2 minutes
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # Triton treats more than one ping in 5 minutes as an attack. With keepalive, the kernel drops
    # a connection whose data stays unacknowledged for the timeout, as when the host vanishes.
    ("grpc.keepalive_time_ms", 310_000),
    ("grpc.keepalive_timeout_ms", 10_000),
)

Answer = TypeVar("Answer")


class TritonCalls:
    """Calls one Triton; connects in the first call, and works in the event loop of that call only.

    Args:
        connection: address, timeout and credentials of Triton.

    Attributes:
        url: Triton's address.
        headers: what each call must send.
        generation: number that rises with every transient error, see ``Engine``.

    Raises:
        EngineError: if the credentials of the connection are not valid.
    """

    def __init__(self, connection: TritonConnection) -> None:
        self.url = connection.url
        self.headers = _headers(connection)
        self.generation = 0
        self._credentials = _credentials(connection)
        self._client: InferenceServerClient | None = None
        self._is_closed = False
        self._calls_in_progress = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def close(self) -> None:
        """Wait for the calls in progress and close the connection."""
        self._is_closed = True
        await self._idle.wait()
        if self._client is not None:
            client, self._client = self._client, None
            await client.close()

    def require_open(self) -> None:
        """Refuse a call after ``close``.

        Raises:
            EngineUnavailableError: if the connection is closed.
        """
        if self._is_closed:
            raise EngineUnavailableError("The engine is closed: the server stops.")

    @contextlib.contextmanager
    def in_progress(self) -> Iterator[None]:
        """Let ``close`` wait for the block."""
        self._calls_in_progress += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._calls_in_progress -= 1
            if not self._calls_in_progress:
                self._idle.set()

    async def call(
        self,
        attempt: Callable[[InferenceServerClient, float], Awaitable[Answer]],
        deadline: float,
    ) -> Answer:
        """Call Triton, and retry transient errors until the deadline, with full jitter.

        Args:
            attempt: one try; given the client and the seconds that are left.
            deadline: time of the event loop at which to give up.

        Raises:
            RetrievalError: translation of the last error by the table of ``triton_errors``; at the
                deadline, of the last error before it, if there is one.
        """
        loop = asyncio.get_running_loop()
        last_error: InferenceServerException | None = None
        max_wait_s = FIRST_BACKOFF_S
        while (remaining_s := deadline - loop.time()) > 0:
            try:
                return await attempt(self._connected(), remaining_s)
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
        raise translated(last_error, self.url) from last_error

    def _connected(self) -> InferenceServerClient:
        if self._client is None:
            self._client = InferenceServerClient(
                self.url,
                creds=self._credentials,
                channel_args=(*CHANNEL_OPTIONS, *proxy_options(self.url)),
            )
        return self._client


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


def _credentials(connection: TritonConnection) -> grpc.ChannelCredentials | None:
    """Keys and certificates for TLS; None for a connection without TLS."""
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
