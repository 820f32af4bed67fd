"""Takes what is sent by OTLP over gRPC, as a collector of OpenTelemetry does."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)


@contextmanager
def receiving(take: Callable[[ExportTraceServiceRequest], None]) -> Iterator[int]:
    """Hand on each request, one after the other, as long as the block; yields the port."""

    class Receiver(TraceServiceServicer):
        def Export(self, request, _):  # noqa: N802, the proto's name
            take(request)
            return ExportTraceServiceResponse()

    server = grpc.server(ThreadPoolExecutor(1))
    add_TraceServiceServicer_to_server(Receiver(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port
    finally:
        server.stop(None).wait()
