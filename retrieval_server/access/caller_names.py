"""Who calls which method, as the log names them: a caller by no secret.

A caller is named by the token that it has shown (the beginning of the token's SHA-256), else by the
name in its certificate, else by its address. Only a token that was accepted names anybody.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, NamedTuple

import grpc

from retrieval_server.method_handlers import Context, Handler, WrappedMethods

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


class CallerNames(WrappedMethods):
    """Notes who makes a call; goes behind the interceptor that accepts tokens."""

    def wrapped(self, method: str, handler: Handler) -> Handler:
        """Note the caller before a handler answers."""
        read, write = handler.request_deserializer, handler.response_serializer
        if handler.unary_unary is not None:
            return grpc.unary_unary_rpc_method_handler(
                _noting(method, handler.unary_unary), read, write
            )
        if handler.stream_stream is not None:
            return grpc.stream_stream_rpc_method_handler(
                _noting(method, handler.stream_stream), read, write
            )
        return handler  # a watch of the health, which leaves no line in the log


def _noting(method: str, answer: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Make a function that notes the caller, and then answers like another one."""

    def noting(request: object, context: Context) -> Any:
        _CURRENT.set(NamedCall(_name_of(context), method))
        return answer(request, context)

    return noting


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
