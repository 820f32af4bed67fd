"""The status of a call, as gRPC over HTTP/2 says it."""

from __future__ import annotations

import grpc

from benchmarks.http2_frames import Frame, Kind, named_fields

REFUSED_STREAM, CANCEL = 7, 8  # of the reasons for which a stream is reset
STATUSES = {str(status.value[0]).encode(): status for status in grpc.StatusCode}
STATUS_OF_RESET = {  # gRPC over HTTP/2, "Errors"; all others are INTERNAL
    REFUSED_STREAM: grpc.StatusCode.UNAVAILABLE,
    CANCEL: grpc.StatusCode.CANCELLED,
    11: grpc.StatusCode.RESOURCE_EXHAUSTED,  # ENHANCE_YOUR_CALM
}


def status_in(last: Frame) -> grpc.StatusCode:
    """The status in the last frame of an answer; UNKNOWN if it has none."""
    fields = dict(named_fields(last.payload)) if last.kind == Kind.HEADERS else {}
    return STATUSES.get(fields.get(b"grpc-status", b""), grpc.StatusCode.UNKNOWN)


def status_of_reset(code: int) -> grpc.StatusCode:
    """The status of a call whose stream was reset for a reason."""
    return STATUS_OF_RESET.get(code, grpc.StatusCode.INTERNAL)
