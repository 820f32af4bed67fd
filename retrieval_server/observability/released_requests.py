"""Releases the requests that are refused, whatever the interceptors below keep of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import grpc

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


def released(error: grpc.aio.AbortError) -> grpc.aio.AbortError:
    """Let the error of a call refer to nothing, and return it.

    The call's state keeps the error. The error's traceback would keep the state, and the request,
    which may have megabytes, until garbage is collected. Whoever raises the error again also
    deletes its own names for both.
    """
    error.__context__ = None
    return error.with_traceback(None)


class ReleasedRequests(grpc.aio.ServerInterceptor):
    """Goes before an interceptor that raises the error of a call with a traceback."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Wrap the handler of a unary method."""
        handler = await continuation(handler_call_details)
        if handler is None or handler.unary_unary is None:
            return handler
        return _releasing(handler)


def _releasing(handler: Handler) -> Handler:
    answer: Any = handler.unary_unary  # the stubs describe the handlers of synchronous servers

    async def release(request: Any, context: Any) -> Any:
        try:
            return await answer(request, context)
        except grpc.aio.AbortError as error:
            del request, context
            raise released(error) from None

    return grpc.unary_unary_rpc_method_handler(
        release, handler.request_deserializer, handler.response_serializer
    )
