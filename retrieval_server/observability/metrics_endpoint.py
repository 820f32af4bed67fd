"""Where Prometheus asks: HTTP on a port of its own, in the clear, for the cluster's inside."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, start_http_server

from retrieval_server.errors import RetrievalError


@dataclass(frozen=True)
class MetricsEndpoint:
    """An HTTP server that answers; every path but the icon's gives the metrics.

    Attributes:
        address: ``host:port``, with the port it really has.
    """

    address: str
    _server: WSGIServer
    _thread: threading.Thread

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def open_metrics_endpoint(registry: CollectorRegistry, host: str, port: int) -> MetricsEndpoint:
    """Start to answer, in a thread.

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
