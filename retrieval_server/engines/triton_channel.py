"""The connection to Triton: a gRPC channel, which is opened anew when its certificates change."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import grpc
from tritonclient.grpc.aio import InferenceServerClient

from retrieval_server.access.tls import channel_credentials
from retrieval_server.access.watched_files import WatchedFiles
from retrieval_server.command_line.proxies import proxy_options
from retrieval_server.engines.engine import TritonConnection
from retrieval_server.errors import EngineError, RetrievalError

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


@dataclass
class _Open:
    """An open channel.

    Attributes:
        client: of Triton, on the channel.
        credentials: what the channel shows; None without TLS.
        calls: how many are in progress.
    """

    client: InferenceServerClient
    credentials: grpc.ChannelCredentials | None
    calls: int = 0


class TritonChannel:
    """Gives each call a client whose certificates are those of the files.

    gRPC reads the certificates of a channel once. So when the files have been replaced, the next
    call opens another channel; the old one is closed when its last call has ended. Belongs to one
    event loop.

    Args:
        connection: address and credentials of Triton.

    Raises:
        EngineError: if the certificates cannot be used.
    """

    def __init__(self, connection: TritonConnection) -> None:
        self._url = connection.url
        self._credentials = _watched_credentials(connection)
        self._open: _Open | None = None

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[InferenceServerClient]:
        """The client for one call."""
        used, replaced = self._current()
        used.calls += 1
        try:
            if replaced is not None and not replaced.calls:
                await replaced.client.close()
            yield used.client
        finally:
            used.calls -= 1
            if used is not self._open and not used.calls:
                await used.client.close()

    async def close(self) -> None:
        """Close the channel; no call may be in progress."""
        if self._open is not None:
            old, self._open = self._open, None
            await old.client.close()

    def _current(self) -> tuple[_Open, _Open | None]:
        """The channel of the next call, and the one that it replaces, if it is a new one."""
        credentials = None if self._credentials is None else self._credentials.content()
        old = self._open
        if old is not None and old.credentials is credentials:
            return old, None
        client = InferenceServerClient(
            self._url,
            creds=credentials,
            channel_args=(*CHANNEL_OPTIONS, *proxy_options(self._url)),
        )
        self._open = _Open(client, credentials)
        return self._open, old


def _watched_credentials(
    connection: TritonConnection,
) -> WatchedFiles[grpc.ChannelCredentials] | None:
    """What a channel shows now; None for a connection without TLS."""
    if (connection.tls_cert is None) != (connection.tls_key is None):
        raise EngineError(
            "--triton-tls-cert and --triton-tls-key go together: set both or neither."
        )
    if connection.tls_ca is None and connection.tls_cert is None:
        return None
    try:
        return channel_credentials(
            connection.tls_ca, connection.tls_cert, connection.tls_key, option="--triton-tls"
        )
    except RetrievalError as error:
        raise EngineError(str(error)) from error
