"""Bearer tokens: a request must carry one of the tokens of a file; a health check needs none.

The file holds one token a line, and two while one replaces the other. It is read again when it has
changed.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

import grpc
from grpc_health.v1 import health

from retrieval_server.access.callers import note_accepted
from retrieval_server.access.watched_files import WatchedFiles, file_content
from retrieval_server.errors import RetrievalError

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]
_OPEN = f"/{health.SERVICE_NAME}/"
_TOKEN = re.compile(rb"[!-~]{16,}")  # visible ASCII, as a header may hold; too long to guess


class BearerTokens(grpc.aio.ServerInterceptor):
    """Refuses requests without ``authorization: Bearer TOKEN``, as UNAUTHENTICATED.

    Args:
        path: file with the tokens.

    Raises:
        RetrievalError: if the file cannot be read, is empty, or has a line that is not a token.
    """

    def __init__(self, path: Path) -> None:
        self._tokens = WatchedFiles((path,), lambda: _read(path))
        # Once for each method, not for each call:
        self._refused = cache(_refusing)
        self._watched = cache(self._watching)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Pass the request on if its token is known, and refuse it otherwise."""
        handler = await continuation(handler_call_details)
        if handler is None or handler_call_details.method.startswith(_OPEN):
            return handler
        shown = _shown(handler_call_details.invocation_metadata)
        if not self._is_known(shown):
            return self._refused(handler)
        note_accepted(shown)
        return handler if handler.stream_stream is None else self._watched(handler)

    def _watching(self, handler: Handler) -> Handler:
        """Make a handler of streams that ends a stream when its token is no longer known."""
        answer: Any = handler.stream_stream  # the stubs describe handlers of synchronous servers

        async def known(requests: AsyncIterator[Any], context: Context) -> AsyncIterator[Any]:
            shown = _shown(context.invocation_metadata())
            async for request in requests:
                if not self._is_known(shown):
                    await _refuse(request, context)
                yield request

        async def watched(requests: AsyncIterator[Any], context: Context) -> AsyncIterator[Any]:
            async for response in answer(known(requests, context), context):
                yield response

        return grpc.stream_stream_rpc_method_handler(
            watched,
            handler.request_deserializer,
            handler.response_serializer,
        )

    def _is_known(self, shown: bytes) -> bool:
        # Every token is compared, each in constant time: the time taken reveals nothing.
        known = [hmac.compare_digest(shown, token) for token in self._tokens.content()]
        return any(known)


def _read(path: Path) -> tuple[bytes, ...]:
    tokens = tuple(line.strip() for line in file_content(path, "--token-file").splitlines())
    tokens = tuple(token for token in tokens if token)
    if not all(_TOKEN.fullmatch(token) for token in tokens):
        raise RetrievalError(
            f"{path} (--token-file) must hold one token a line, each of at least 16 visible ASCII "
            "characters. Make one with: openssl rand -hex 32"
        )
    return tokens


def _shown(metadata: Any) -> bytes:
    for name, value in metadata or ():
        if name == "authorization":
            scheme, _, token = value.partition(" ")
            return token.strip().encode() if scheme.lower() == "bearer" else b""
    return b""


def _refusing(handler: Handler) -> Handler:
    """Make a handler of the same kind that refuses every request."""
    if handler.unary_unary is not None:
        return grpc.unary_unary_rpc_method_handler(_refuse, handler.request_deserializer)
    return grpc.stream_stream_rpc_method_handler(_refuse, handler.request_deserializer)


async def _refuse(request: object, context: Context) -> NoReturn:
    await context.abort(
        grpc.StatusCode.UNAUTHENTICATED,
        "it needs a known token, as authorization: Bearer TOKEN.",
    )
    raise AssertionError("abort raises")
