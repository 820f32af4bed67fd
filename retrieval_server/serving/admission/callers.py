"""Who calls: what the fairness between callers goes by.

Callers are told apart by their tokens where the server demands tokens, else by their address. The
connections of one caller are told apart as well, so that two programs behind one address, or with
one token, do not starve each other.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, NamedTuple, Protocol

from retrieval_server.access.bearer_tokens import shown_token
from retrieval_server.access.caller_names import address_of


class Caller(NamedTuple):
    """A caller; the connection is one of its own.

    Attributes:
        name: its token, which is a secret, or its address without the port.
        connection: its address with the port.
    """

    name: bytes | str
    connection: str


class Peer(Protocol):
    """The context of a call, as far as it says who calls."""

    def peer(self) -> str:
        """The other end of the connection, such as ``ipv4:10.0.0.7:51234``."""

    def invocation_metadata(self) -> Any:
        """The metadata of the call."""


NOBODY = Caller("", "")  # work of the server itself
CURRENT: ContextVar[Caller] = ContextVar("caller", default=NOBODY)
"""The caller of the request in progress; tasks that work on it inherit the value."""


def caller_of(context: Peer, *, by_token: bool) -> Caller:
    """Tell who calls.

    Args:
        context: of the call.
        by_token: whether the server demands tokens; otherwise a caller could make up any number.
    """
    connection = context.peer()
    if by_token:
        return Caller(shown_token(context.invocation_metadata()), connection)
    return Caller(address_of(connection), connection)
