"""The connection of a client: retries, sizes, and how it notices a server that is away."""

import json

import grpc

from client.access import Access
from retrieval_server.command_line.proxies import proxy_options
from retrieval_server.v1 import retrieval_pb2 as pb

DEFAULT_SERVER = "localhost:50051"
DEFAULT_TIMEOUT_S = 10.0

_NO_LIMIT = -1  # the server has one, and tells it: ServerStatus.limits

_SERVICE = pb.DESCRIPTOR.services_by_name["RetrievalService"].full_name

# About 0.1 + 0.2 + 0.4 s of waiting in all, within the deadline.
_SERVICE_CONFIG = {
    "loadBalancingConfig": [{"round_robin": {}}],  # where a name has several addresses
    "methodConfig": [
        {
            "name": [{"service": _SERVICE}],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.1s",
                "maxBackoff": "1s",
                "backoffMultiplier": 2,
                # A server that stops at that moment reports CANCELLED. gRPC does not retry a call
                # that the caller itself has cancelled.
                "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
            },
        },
        # What a stream leaves unanswered becomes calls of its own, or goes into another stream.
        {"name": [{"service": _SERVICE, "method": name} for name in ("SearchStream", "Upsert")]},
    ],
}

_CHANNEL_OPTIONS: tuple[tuple[str, str | int], ...] = (
    ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
    # gRPC silently gives up retrying a request larger than this buffer, 256 KiB by default.
    ("grpc.per_rpc_retry_buffer_size", 2**31 - 1),
    ("grpc.max_send_message_length", _NO_LIMIT),
    ("grpc.max_receive_message_length", _NO_LIMIT),
    # Pings run during a call only. An idle connection is dropped before a firewall forgets it.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.client_idle_timeout_ms", 60_000),
    # A server that is starting is noticed within two seconds; gRPC's default grows to 120.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
)


def open_channel(server: str, access: Access) -> grpc.Channel:
    """Prepare a connection, which opens with the first call.

    Args:
        server: host:port.
        access: certificates and token.
    """
    credentials = access.credentials()
    if credentials is None:
        return grpc.insecure_channel(server, options=_options(server))
    return grpc.secure_channel(server, credentials, options=_options(server))


def open_async_channel(server: str, access: Access) -> grpc.aio.Channel:
    """Prepare a connection for the event loop that runs; see ``open_channel``.

    Args:
        server: host:port.
        access: certificates and token.
    """
    credentials = access.credentials()
    if credentials is None:
        return grpc.aio.insecure_channel(server, options=_options(server))
    return grpc.aio.secure_channel(server, credentials, options=_options(server))


def _options(server: str) -> tuple[tuple[str, str | int], ...]:
    return (*_CHANNEL_OPTIONS, *proxy_options(server))
