"""Counts and times gRPC requests, whichever service answers them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any, TypeVar

import grpc

from retrieval_server.method_handlers import Handler, WrappedMethods
from retrieval_server.observability.metrics import ServerMetrics
from retrieval_server.observability.released_requests import released
from retrieval_server.observability.tracing import Tracing

Response = TypeVar("Response")

LATE_SHARE = 0.05
"""Largest share of a request's time that may remain where its cancellation means a deadline.

The caller's deadline passes before the server's: gRPC rounds a deadline up by as much as 1 % on the
wire, and the server's time starts when the request arrives. So the cancellation may come first.
"""


class RequestMetrics(WrappedMethods):
    """Measures unary requests; of streams, the service has each search and each upsert measured.

    A method's label is its own name: those of our service, of health and of reflection differ.
    A method that does not exist has no handler and is not measured: labels stay bounded.

    Args:
        metrics: counts and times the requests.
        tracing: names the trace of a request, as the exemplar of its time.
    """

    def __init__(self, metrics: ServerMetrics, tracing: Tracing) -> None:
        super().__init__()
        self._metrics = metrics
        self._tracing = tracing

    def wrapped(self, method: str, handler: Handler) -> Handler:
        """Measure a unary method."""
        if handler.unary_unary is None:
            return handler
        answer: Any = handler.unary_unary
        return grpc.unary_unary_rpc_method_handler(
            self.measured(method, answer),
            handler.request_deserializer,
            handler.response_serializer,
        )

    def measured(
        self, method: str, answer: Callable[[Any, Any], Awaitable[Response]]
    ) -> Callable[[Any, Any], Awaitable[Response]]:
        """Make a function that answers requests like another one, and measures each.

        Args:
            method: the name that the requests are counted under.
            answer: takes a request and the context of its call.
        """
        in_flight = self._metrics.in_flight.labels(method)
        duration = self._metrics.durations.labels(method)
        ended_with = cache(lambda status: self._metrics.requests.labels(method, status.name))

        async def measured(request: Any, context: Any) -> Response:
            started = time.perf_counter()
            allowed_s = context.time_remaining()
            in_flight.inc()
            status = grpc.StatusCode.OK
            try:
                return await answer(request, context)
            except asyncio.CancelledError:
                status = _status_of_cancelled(context.time_remaining(), allowed_s)
                raise
            except grpc.aio.AbortError as error:
                status = context.code()
                del request, context
                raise released(error) from None
            except Exception:
                status = context.code() or grpc.StatusCode.UNKNOWN
                raise
            finally:
                duration.observe(time.perf_counter() - started, self._tracing.exemplar())
                ended_with(status).inc()
                in_flight.dec()

        return measured


def _status_of_cancelled(remaining_s: float | None, allowed_s: float | None) -> grpc.StatusCode:
    """The status that the caller of a cancelled request saw: late, or cancelled by itself."""
    if remaining_s is None or allowed_s is None:  # it set no deadline
        return grpc.StatusCode.CANCELLED
    is_late = remaining_s <= LATE_SHARE * allowed_s
    return grpc.StatusCode.DEADLINE_EXCEEDED if is_late else grpc.StatusCode.CANCELLED
