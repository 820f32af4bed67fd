"""The gRPC servers of this process: their ports, and their limits for a client."""

from __future__ import annotations

from collections.abc import Sequence

import grpc

from retrieval_server.access.tls import server_credentials
from retrieval_server.errors import RetrievalError
from retrieval_server.serving.settings import Settings

OTHER_CALLS = 64  # health checks, watches and GetStatus, answered while the server is full
MAX_METADATA_BYTES = 16 * 2**10  # of a request; gRPC's own default
KEEPALIVE_MS = 60_000
KEEPALIVE_TIMEOUT_MS = 20_000
NEVER_MS = 2**31 - 1  # gRPC reads it as no limit
AGE_GRACE_S = 60  # for the calls of a connection that has reached its age


def create_grpc_server(
    settings: Settings, interceptors: Sequence[grpc.aio.ServerInterceptor]
) -> grpc.aio.Server:
    """Make the server of the search, with limits on messages, calls and connections.

    Args:
        settings: the server's.
        interceptors: see each request before the service does, the outermost first.
    """
    age_ms = settings.max_connection_age_s * 1000
    calls = settings.max_concurrent_requests + settings.max_streams + OTHER_CALLS
    return grpc.aio.server(
        interceptors=interceptors,
        maximum_concurrent_rpcs=calls,
        options=[
            ("grpc.max_receive_message_length", settings.max_request_bytes),
            # By default, gRPC refuses metadata above a half of the limit at random.
            ("grpc.max_metadata_size", MAX_METADATA_BYTES),
            ("grpc.absolute_max_metadata_size", MAX_METADATA_BYTES),
            # The server notices a client that vanished during a call, and cancels the call.
            ("grpc.keepalive_time_ms", KEEPALIVE_MS),
            ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
            ("grpc.http2.min_recv_ping_interval_without_data_ms", 30_000),  # clients ping at 60 s
            ("grpc.max_connection_age_ms", min(int(age_ms) or NEVER_MS, NEVER_MS)),
            ("grpc.max_connection_age_grace_ms", AGE_GRACE_S * 1000),
            # Calls that come faster than the event loop can refuse them would wait inside gRPC
            # until their deadlines have passed. HTTP/2 refuses them first; clients may try again.
            ("grpc.max_concurrent_streams", calls),
            ("grpc.so_reuseport", 0),  # so that a port in use is an error
        ],
    )


def listen(server: grpc.aio.Server, settings: Settings) -> str:
    """Open the port of the search, with TLS if the settings name certificates.

    Returns:
        ``host:port``; the port is the one that was taken if the settings say 0.

    Raises:
        RetrievalError: if the port is taken, or a certificate cannot be used.
    """
    credentials = None if settings.tls is None else server_credentials(settings.tls)
    return _bind(server, settings.host, settings.port, "--port", credentials)


def listen_in_the_clear(server: grpc.aio.Server, host: str, port: int) -> str:
    """Open the port for health checks only, always without TLS; see ``listen``.

    Args:
        server: has the health service.
        host: address to listen on.
        port: port to listen on; 0 takes a free one.
    """
    return _bind(server, host, port, "--health-port", None)


def _bind(
    server: grpc.aio.Server,
    host: str,
    port: int,
    option: str,
    credentials: grpc.ServerCredentials | None,
) -> str:
    is_bare_ipv6 = ":" in host and not host.startswith("[")
    host = f"[{host}]" if is_bare_ipv6 else host
    wanted = f"{host}:{port}"
    try:
        taken = (
            server.add_insecure_port(wanted)
            if credentials is None
            else server.add_secure_port(wanted, credentials)
        )
    except RuntimeError as error:
        raise RetrievalError(
            f"Cannot listen on {wanted}: the port is in use or not allowed, or the host is not of "
            f"this machine. Choose another {option} (0 takes a free one) or --host."
        ) from error
    return f"{host}:{taken}"
