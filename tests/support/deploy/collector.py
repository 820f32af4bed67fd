"""A collector of OpenTelemetry on this machine: OTLP over gRPC, and over HTTP in Triton's JSON."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from deploy.policies.rendering import Object
from tests.support.otlp_receiver import receiving

TRACES = "/v1/traces"
HERE = "127.0.0.1"


@dataclass(frozen=True)
class Span:
    """What a test wants to know of a span.

    Attributes:
        service: ``service.name`` of who sent it.
        name: of it.
        trace_id: 32 hexadecimal digits.
        span_id: 16 of them.
        parent_id: 16 of them; empty if it has no parent.
    """

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str


@dataclass
class Collector:
    """What came, and where it is taken.

    Attributes:
        spans: in the order in which they came.
        grpc_port: of loopback.
        http_port: of loopback.
    """

    spans: list[Span] = field(default_factory=list)
    grpc_port: int = 0
    http_port: int = 0

    def of_trace(self, trace_id: str, service: str) -> list[Span]:
        """The spans that a service has in a trace."""
        return [each for each in self.spans if (each.trace_id, each.service) == (trace_id, service)]

    def joined(self, trace_id: str, service: str, caller: str) -> list[Span]:
        """The spans of a service that are children of its caller's, in a trace."""
        callers = {each.span_id for each in self.of_trace(trace_id, caller)}
        return [each for each in self.of_trace(trace_id, service) if each.parent_id in callers]


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector, as long as the block."""
    collector = Collector()

    class OverHttp(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == TRACES:
                collector.spans += spans_of_json(json.loads(body))
            self.send_response(200 if self.path == TRACES else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    def over_grpc(request: ExportTraceServiceRequest) -> None:
        collector.spans += spans_of_message(request)

    with receiving(over_grpc) as port, HTTPServer((HERE, 0), OverHttp) as over_http:
        collector.grpc_port, collector.http_port = port, over_http.server_port
        serving = threading.Thread(target=over_http.serve_forever)
        serving.start()
        try:
            yield collector
        finally:
            over_http.shutdown()
            serving.join()


def spans_of_json(request: Object) -> list[Span]:
    """The spans of a request as Triton sends it."""
    return [
        Span(service, s["name"], s["traceId"], s["spanId"], s.get("parentSpanId", ""))
        for each in request["resourceSpans"]
        for service in [a["value"]["stringValue"] for a in each["resource"]["attributes"]
                        if a["key"] == "service.name"]
        for scope in each["scopeSpans"]
        for s in scope["spans"]
    ]  # fmt: skip


def spans_of_message(request: ExportTraceServiceRequest) -> list[Span]:
    """The spans of a request as the server sends it."""
    return [
        Span(service, s.name, s.trace_id.hex(), s.span_id.hex(), s.parent_span_id.hex())
        for each in request.resource_spans
        for service in [a.value.string_value for a in each.resource.attributes
                        if a.key == "service.name"]
        for scope in each.scope_spans
        for s in scope.spans
    ]  # fmt: skip
