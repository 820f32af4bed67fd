"""Refuses requests that are not well-formed messages, as INVALID_ARGUMENT.

gRPC itself would answer UNKNOWN, and log a traceback, because it takes what a deserialiser raises
for a defect of the server.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from retrieval_server.method_handlers import Context, Handler, WrappedMethods

_MALFORMED = object()  # in the place of a request that cannot be read


class WellFormedRequests(WrappedMethods):
    """Reads the requests of every method, and refuses those that cannot be read."""

    def wrapped(self, method: str, handler: Handler) -> Handler:
        """Check each request before a handler gets it."""
        read = handler.request_deserializer
        return handler if read is None else _checking(handler, _lenient(read))


def _lenient(deserialise: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def read(message: bytes) -> Any:
        try:
            return deserialise(message)
        except DecodeError:
            return _MALFORMED

    return read


def _checking(handler: Handler, read: Callable[[bytes], Any]) -> Handler:
    """Make a handler of the same kind that checks each request before it passes it on."""
    write = handler.response_serializer
    answer: Any = handler.unary_unary
    stream: Any = handler.unary_stream or handler.stream_stream
    if answer is not None:

        async def unary_unary(request: object, context: Context) -> Any:
            if request is _MALFORMED:
                await _refuse_malformed(context)
            return await answer(request, context)

        return grpc.unary_unary_rpc_method_handler(unary_unary, read, write)
    if handler.unary_stream is not None:

        async def unary_stream(request: object, context: Context) -> AsyncIterator[Any]:
            if request is _MALFORMED:
                await _refuse_malformed(context)
            async for response in _responses(stream(request, context)):
                yield response

        return grpc.unary_stream_rpc_method_handler(unary_stream, read, write)
    if handler.stream_stream is not None:

        async def stream_stream(
            requests: AsyncIterator[Any], context: Context
        ) -> AsyncIterator[Any]:
            async for response in _responses(stream(_checked(requests, context), context)):
                yield response

        return grpc.stream_stream_rpc_method_handler(stream_stream, read, write)
    return handler  # no service here has methods of the fourth kind


async def _responses(responses: Any) -> AsyncIterator[Any]:
    """What a streaming method yields; nothing of one that writes its responses itself."""
    if inspect.isasyncgen(responses):
        async for response in responses:
            yield response
    else:
        await responses


async def _checked(requests: AsyncIterator[Any], context: Context) -> AsyncIterator[Any]:
    async for request in requests:
        if request is _MALFORMED:
            await _refuse_malformed(context)
        yield request


async def _refuse_malformed(context: Context) -> None:
    await context.abort(
        grpc.StatusCode.INVALID_ARGUMENT,
        "The request is not a message of this method. Make it with the stubs of the .proto.",
    )
