"""Who calls which method, as the log names them: a caller by no secret.

A caller is named by the token that it has shown (the beginning of the token's SHA-256), else by the
name in its certificate, else by its address. Only a token that was accepted names anybody.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from functools import cache, lru_cache
from typing import Any, NamedTuple, TypeAlias

import grpc

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Context = grpc.aio.ServicerContext[Any, Any]

DIGITS = 8  # of the token's digest
_COMMON_NAME = "x509_common_name"  # as gRPC calls it
_ACCEPTED: ContextVar[str] = ContextVar("accepted token", default="")


class NamedCall(NamedTuple):
    """A call, as the log names it.

    Attributes:
        name: of who makes it.
        method: its name, without the service.
    """

    name: str
    method: str


_NOBODY = NamedCall("", "")  # outside a call
_CURRENT: ContextVar[NamedCall] = ContextVar("caller", default=_NOBODY)


def current_caller() -> NamedCall:
    """The caller of the request in progress; also in tasks that work on it."""
    return _CURRENT.get()


def address_of(peer: str) -> str:
    """The address of the other end of a connection, as gRPC names it, without the port."""
    return peer.rpartition(":")[0] if peer.startswith(("ipv4:", "ipv6:")) else peer


def note_accepted(token: bytes) -> None:
    """Let the token of the call in progress name its caller."""
    _ACCEPTED.set(_token_name(token))


class CallerNames(grpc.aio.ServerInterceptor):
    """Notes who makes a call; goes behind the interceptor that accepts tokens."""

    def __init__(self) -> None:
        self._noting = cache(_noting)  # once for each method, not for each call

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Wrap the handler of a method."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        return self._noting(handler_call_details.method.rpartition("/")[2], handler)


def _noting(method: str, handler: Handler) -> Handler:
    """Make a handler of the same kind that notes the caller first."""
    read, write = handler.request_deserializer, handler.response_serializer
    answer: Any = handler.unary_unary  # the stubs describe the handlers of synchronous servers
    stream: Any = handler.stream_stream

    def answering(request: object, context: Context) -> Any:
        _CURRENT.set(NamedCall(_name_of(context), method))
        return answer(request, context)

    def streaming(requests: object, context: Context) -> Any:
        _CURRENT.set(NamedCall(_name_of(context), method))
        return stream(requests, context)

    if answer is not None:
        return grpc.unary_unary_rpc_method_handler(answering, read, write)
    if stream is not None:
        return grpc.stream_stream_rpc_method_handler(streaming, read, write)
    return handler  # a watch of the health, which leaves no line in the log


@lru_cache(maxsize=64)
def _token_name(token: bytes) -> str:
    return f"token {hashlib.sha256(token).hexdigest()[:DIGITS]}"


def _name_of(context: Context) -> str:
    if token := _ACCEPTED.get():
        return token
    names = list(context.auth_context().get(_COMMON_NAME, ()))
    if names:
        return f"certificate {names[0].decode(errors='replace')}"
    return address_of(context.peer())
