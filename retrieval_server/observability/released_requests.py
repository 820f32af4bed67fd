"""Releases the requests that are refused, whatever the interceptors below keep of them."""

from __future__ import annotations

from typing import Any

import grpc

from retrieval_server.method_handlers import Handler, WrappedMethods


def released(error: grpc.aio.AbortError) -> grpc.aio.AbortError:
    """Let the error of a call refer to nothing, and return it.

    The call's state keeps the error. The error's traceback would keep the state, and the request,
    which may have megabytes, until garbage is collected. Whoever raises the error again also
    deletes its own names for both.
    """
    error.__context__ = None
    return error.with_traceback(None)


class ReleasedRequests(WrappedMethods):
    """Goes before an interceptor that raises the error of a call with a traceback."""

    def wrapped(self, method: str, handler: Handler) -> Handler:
        """Let the errors of a unary method refer to nothing."""
        if handler.unary_unary is None:
            return handler
        answer: Any = handler.unary_unary

        async def release(request: Any, context: Any) -> Any:
            try:
                return await answer(request, context)
            except grpc.aio.AbortError as error:
                del request, context
                raise released(error) from None

        return grpc.unary_unary_rpc_method_handler(
            release, handler.request_deserializer, handler.response_serializer
        )
