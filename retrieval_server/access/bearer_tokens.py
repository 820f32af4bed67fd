"""Bearer tokens: a request must carry one of the tokens of a file; a health check needs none.

The file holds one token a line, and two while one replaces the other. It is read again when it has
changed.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

import grpc
from grpc_health.v1 import health

from retrieval_server.access.watched_files import WatchedFiles, file_content
from retrieval_server.errors import RetrievalError

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
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
        self._refused = cache(_refusing)  # once for each method, not for each call

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Pass the request on if its token is known, and refuse it otherwise."""
        handler = await continuation(handler_call_details)
        if handler is None or handler_call_details.method.startswith(_OPEN):
            return handler
        if self._is_known(shown_token(handler_call_details.invocation_metadata)):
            return handler
        return self._refused(handler)

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


def shown_token(metadata: Any) -> bytes:
    """Return the token that a request shows; empty without one.

    Args:
        metadata: pairs of name and value, as a call has them.
    """
    for name, value in metadata or ():
        if name == "authorization":
            scheme, _, token = value.partition(" ")
            return token.strip().encode() if scheme.lower() == "bearer" else b""
    return b""


def _refusing(handler: Handler) -> Handler:
    """Make a handler of the same kind that refuses every request."""

    async def refuse(request: object, context: grpc.aio.ServicerContext[Any, Any]) -> NoReturn:
        await context.abort(
            grpc.StatusCode.UNAUTHENTICATED,
            "it needs a known token, as authorization: Bearer TOKEN.",
        )
        raise AssertionError("abort raises")

    if handler.unary_unary is not None:
        return grpc.unary_unary_rpc_method_handler(refuse, handler.request_deserializer)
    return grpc.stream_stream_rpc_method_handler(refuse, handler.request_deserializer)
