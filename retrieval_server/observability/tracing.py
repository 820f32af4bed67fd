"""Traces of searches through OpenTelemetry; they need the extra ``tracing`` and an endpoint.

OpenTelemetry's own environment variables configure it. Without OTEL_EXPORTER_OTLP_ENDPOINT it is
not imported. A search is one span, a child of its caller's span, with a child for each stage. The
request to Triton names the trace, so that Triton's spans join it.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import grpc

from retrieval_server.command_line.proxies import proxy_options
from retrieval_server.errors import RetrievalError
from retrieval_server.observability.released_requests import ReleasedRequests
from retrieval_server.version import VERSION

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
SERVICE_NAME = "beauty-server"  # unless OTEL_SERVICE_NAME says otherwise
LAST_SPANS_S = 2.0  # longest that an unreachable collector may delay a stop


class Tracing:
    """Makes the spans of a server; without a provider it does nothing.

    Args:
        provider: of OpenTelemetry; None makes no spans.
    """

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self._provider = provider
        self._tracer = None if provider is None else provider.get_tracer("beauty", VERSION)

    @property
    def interceptors(self) -> list[grpc.aio.ServerInterceptor]:
        """Interceptors that make a span of each request but health checks; they go first."""
        if self._provider is None:
            return []
        from opentelemetry.instrumentation.grpc import aio_server_interceptor, filters

        is_no_probe = filters.negate(filters.health_check())
        return [
            ReleasedRequests(),
            aio_server_interceptor(  # type: ignore[no-untyped-call]
                tracer_provider=self._provider, filter_=is_no_probe
            ),
        ]

    def span(self, name: str) -> AbstractContextManager[object]:
        """Open a span in that of the request in progress, for the length of the block."""
        return nullcontext() if self._tracer is None else self._tracer.start_as_current_span(name)

    def note(self, **attributes: str | int) -> None:
        """Set attributes on the span of the request in progress."""
        if self._tracer is not None:
            from opentelemetry.trace import get_current_span

            get_current_span().set_attributes(attributes)

    def close(self) -> None:
        """Send the last spans, for ``LAST_SPANS_S`` at most."""
        if self._provider is not None:
            # The exporter retries for longer than any time limit it is given.
            sending = threading.Thread(target=self._provider.shutdown, daemon=True)
            sending.start()
            sending.join(LAST_SPANS_S)


def start_tracing(environment: Mapping[str, str] = os.environ) -> Tracing:
    """Start to trace if the environment names an endpoint.

    Args:
        environment: OpenTelemetry's variables. Only the endpoints and OTEL_SDK_DISABLED are read
            here; OpenTelemetry reads the others from the process.

    Raises:
        RetrievalError: if there is an endpoint, but no OpenTelemetry.
    """
    named = [name for name in ENDPOINTS if environment.get(name)]
    if not named or environment.get("OTEL_SDK_DISABLED", "").casefold() == "true":
        return Tracing()
    try:
        import opentelemetry.instrumentation.grpc  # noqa: F401 - the interceptor wants it
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError as error:
        raise RetrievalError(
            f"{named[0]} is set, but there is no {error.name}. Install it with: "
            "pip install '.[server,tracing]', or unset the variable."
        ) from error
    name = environment.get("OTEL_SERVICE_NAME", SERVICE_NAME)
    resource = Resource.create({"service.name": name, "service.version": VERSION})
    endpoint = urlsplit(environment[named[-1]]).netloc or environment[named[-1]]
    options: Any = proxy_options(endpoint)  # the exporter's annotation knows no numbers
    exporter = OTLPSpanExporter(channel_options=options)
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return Tracing(provider)


def trace_headers() -> dict[str, str]:
    """Make the headers of a request that joins the trace in progress, if that is sampled.

    Triton has no sampler: it traces every request that names a trace.
    """
    if "opentelemetry.instrumentation.grpc" not in sys.modules:
        return {}
    from opentelemetry.propagate import inject
    from opentelemetry.trace import get_current_span

    headers: dict[str, str] = {}
    if not get_current_span().get_span_context().trace_flags.sampled:
        return headers
    inject(headers)
    return headers
