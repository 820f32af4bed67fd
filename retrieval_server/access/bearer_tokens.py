"""Bearer tokens: a request must carry one of the tokens of a file; a health check needs none.

The file holds one token a line, and two while one replaces the other. Behind a token may be what it
is good for, ``search``, ``change`` or ``search,change``; a token alone is good for searches. The
file is read again when it has changed.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import grpc
from grpc_health.v1 import health

from retrieval_server.access.caller_names import note_accepted
from retrieval_server.access.watched_files import WatchedFiles, file_content
from retrieval_server.errors import RetrievalError
from retrieval_server.method_handlers import Context, Handler

_OPEN = f"/{health.SERVICE_NAME}/"
SEARCH, CHANGE = "search", "change"  # the rights that a token may have
_TOKEN = re.compile(rb"[!-~]{16,}")  # visible ASCII, as a header may hold; too long to guess


class Refusal(NamedTuple):
    """Why a request is refused."""

    status: grpc.StatusCode
    message: str


UNKNOWN_TOKEN = Refusal(
    grpc.StatusCode.UNAUTHENTICATED, "it needs a known token, as authorization: Bearer TOKEN."
)


def lacking(right: str) -> Refusal:
    """The refusal of a token without a right."""
    return Refusal(
        grpc.StatusCode.PERMISSION_DENIED,
        f"the token has not the right {right!r}. Rights are written behind a token in the server's "
        "--token-file.",
    )


class BearerTokens(grpc.aio.ServerInterceptor):
    """Refuses requests without ``authorization: Bearer TOKEN``, as UNAUTHENTICATED.

    A token without the right that a method needs is refused as PERMISSION_DENIED.

    Args:
        path: file with the tokens.
        needed: the right that a method needs, by its full name; any token will do for others.

    Raises:
        RetrievalError: if the file cannot be read, is empty, or has a line that is not a token.
    """

    def __init__(self, path: Path, needed: Mapping[str, str]) -> None:
        self._needed = needed
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
        needed = self._needed.get(handler_call_details.method)
        refusal = self._refusal(handler_call_details.invocation_metadata, needed)
        if refusal is not None:
            return self._refused(handler, refusal)
        note_accepted(shown_token(handler_call_details.invocation_metadata))
        return handler if handler.stream_stream is None else self._watched(handler, needed)

    def _refusal(self, metadata: Any, needed: str | None) -> Refusal | None:
        """Why a request is refused; None if it is not.

        Args:
            metadata: of the request.
            needed: the right that its method needs; None if any token will do.
        """
        rights = self._rights_of(shown_token(metadata))
        if rights is None:
            return UNKNOWN_TOKEN
        return None if needed is None or needed in rights else lacking(needed)

    def _watching(self, handler: Handler, needed: str | None) -> Handler:
        """Make a handler of streams that ends a stream when its token is good no longer."""
        answer: Any = handler.stream_stream

        async def known(requests: AsyncIterator[Any], context: Context) -> AsyncIterator[Any]:
            async for request in requests:
                refusal = self._refusal(context.invocation_metadata(), needed)
                if refusal is not None:
                    await _refuse(refusal, request, context)
                yield request

        async def watched(requests: AsyncIterator[Any], context: Context) -> AsyncIterator[Any]:
            async for response in answer(known(requests, context), context):
                yield response

        return grpc.stream_stream_rpc_method_handler(
            watched,
            handler.request_deserializer,
            handler.response_serializer,
        )

    def _rights_of(self, shown: bytes) -> frozenset[str] | None:
        """The rights of a token; None for one that is not known."""
        # Every token is compared, each in constant time: the time taken reveals nothing.
        tokens = self._tokens.content()
        known = [rights for token, rights in tokens if hmac.compare_digest(shown, token)]
        return frozenset().union(*known) if known else None


def _read(path: Path) -> tuple[tuple[bytes, frozenset[str]], ...]:
    """The tokens of a file, with their rights."""
    lines = [line.split() for line in file_content(path, "--token-file").splitlines()]
    tokens = []
    for number, (token, *words) in ((number, line) for number, line in enumerate(lines, 1) if line):
        if not _TOKEN.fullmatch(token):
            raise RetrievalError(
                f"{path} (--token-file) must hold one token a line, each of at least 16 visible "
                "ASCII characters. Make one with: openssl rand -hex 32"
            )
        written = b" ".join(words).decode(errors="replace") or SEARCH
        rights = frozenset(written.split(","))
        if not rights <= {SEARCH, CHANGE}:
            raise RetrievalError(
                f"{path} (--token-file), line {number}: behind a token may be {SEARCH}, {CHANGE} "
                f"or {SEARCH},{CHANGE}, and nothing else."
            )
        tokens.append((token, rights))
    return tuple(tokens)


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


def _refusing(handler: Handler, refusal: Refusal) -> Handler:
    """Make a handler of the same kind that refuses every request."""
    refuse: Any = partial(_refuse, refusal)
    if handler.unary_unary is not None:
        return grpc.unary_unary_rpc_method_handler(refuse, handler.request_deserializer)
    return grpc.stream_stream_rpc_method_handler(refuse, handler.request_deserializer)


async def _refuse(refusal: Refusal, request: object, context: Context) -> NoReturn:
    await context.abort(refusal.status, refusal.message)
    raise AssertionError("abort raises")
