"""Traces of searches, for those who have OpenTelemetry: the extra ``tracing`` and an endpoint.

OpenTelemetry's own environment variables set everything. Where OTEL_EXPORTER_OTLP_ENDPOINT is not
set, nothing of it is imported. A search is one span, a child of its caller's, with one child for
each stage; Triton's spans join the same trace, as it is told which.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import grpc

from retrieval_server.errors import RetrievalError
from retrieval_server.version import VERSION

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
SERVICE_NAME = "beauty-server"  # unless OTEL_SERVICE_NAME says otherwise
LAST_SPANS_S = 2.0  # what a collector that is away may cost a server that stops


class Tracing:
    """What a server traces with; without a provider it does nothing.

    Args:
        provider: makes the spans; None for none.
    """

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self._provider = provider
        self._tracer = None if provider is None else provider.get_tracer("beauty", VERSION)

    @property
    def interceptors(self) -> list[grpc.aio.ServerInterceptor]:
        """What makes a span of every request but those for health; goes before all others."""
        if self._provider is None:
            return []
        from opentelemetry.instrumentation.grpc import aio_server_interceptor, filters

        is_no_probe = filters.negate(filters.health_check())
        return [
            aio_server_interceptor(  # type: ignore[no-untyped-call]
                tracer_provider=self._provider, filter_=is_no_probe
            )
        ]

    def span(self, name: str) -> AbstractContextManager[object]:
        """A span of the request in progress, as long as the block."""
        return nullcontext() if self._tracer is None else self._tracer.start_as_current_span(name)

    def note(self, **attributes: str | int) -> None:
        """Say something about the request in progress."""
        if self._tracer is not None:
            from opentelemetry.trace import get_current_span

            get_current_span().set_attributes(attributes)

    def close(self) -> None:
        """Send what is left, for two seconds at most."""
        if self._provider is not None:
            # It tries again and again, whatever time it is given.
            sending = threading.Thread(target=self._provider.shutdown, daemon=True)
            sending.start()
            sending.join(LAST_SPANS_S)


def start_tracing(environment: Mapping[str, str] = os.environ) -> Tracing:
    """Trace, if the environment names an endpoint.

    Args:
        environment: OpenTelemetry's variables, two of which are looked at here; the others it reads
            from the process itself.

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
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracing(provider)


def trace_headers() -> dict[str, str]:
    """Headers of a request that shall join the trace in progress, if one is kept.

    Triton has no sampler: it traces whatever names a trace.
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
