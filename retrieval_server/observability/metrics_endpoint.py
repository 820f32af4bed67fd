"""The HTTP endpoint that Prometheus scrapes: a port of its own, without TLS."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, start_http_server

from retrieval_server.errors import RetrievalError


@dataclass(frozen=True)
class MetricsEndpoint:
    """A running HTTP server; every path but ``/favicon.ico`` returns the metrics.

    Attributes:
        address: ``host:port``; the port is the one that was taken if 0 was asked for.
    """

    address: str
    _server: WSGIServer
    _thread: threading.Thread

    def close(self) -> None:
        """Stop the HTTP server."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def open_metrics_endpoint(registry: CollectorRegistry, host: str, port: int) -> MetricsEndpoint:
    """Start the HTTP server in a thread.

    Args:
        registry: the metrics.
        host: address to listen on.
        port: port to listen on; 0 takes a free one.

    Raises:
        RetrievalError: if the port is taken.
    """
    bare = host.removeprefix("[").removesuffix("]")
    try:
        server, thread = start_http_server(port, bare, registry)
    except OSError as error:
        raise RetrievalError(
            f"Cannot listen on {host}:{port} for metrics: {error.strerror or error}. Choose "
            "another --metrics-port (0 takes a free one)."
        ) from error
    shown = f"[{bare}]" if ":" in bare else bare
    return MetricsEndpoint(f"{shown}:{server.server_port}", server, thread)
