"""Calls of a Triton server: retries, and an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from retrieval_server.engines.engine import TritonConnection
from retrieval_server.engines.triton_channel import TritonChannel
from retrieval_server.engines.triton_errors import is_deadline_exceeded, is_transient, translated
from retrieval_server.errors import EngineError, EngineUnavailableError

FIRST_BACKOFF_S = 0.05  # a retry waits a random time up to this limit, which doubles each time
MAX_BACKOFF_S = 1.0

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
        self._channel = TritonChannel(connection)
        self._is_closed = False
        self._calls_in_progress = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def close(self) -> None:
        """Wait for the calls in progress and close the connection."""
        self._is_closed = True
        await self._idle.wait()
        await self._channel.close()

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
        raise translated(last_error, self.url) from last_error


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
