"""What can go wrong for a caller; gRPC's errors are translated here, once.

::

    RetrievalError              any status without a class of its own
    ├── UnavailableError        UNAVAILABLE: no server there, or its engine is down
    ├── ProductNotFoundError    NOT_FOUND
    ├── InvalidQueryError       INVALID_ARGUMENT: undecodable image, parameter out of range
    ├── TooLargeError           RESOURCE_EXHAUSTED: the request is larger than the server reads
    ├── DeadlineExceededError   DEADLINE_EXCEEDED
    ├── OverloadedError         RESOURCE_EXHAUSTED: the server is busy; says when to try again
    ├── SmokeTestError          no status: another product came first than should have
    └── UnreadableFileError     no status: a local file, before anything was sent
"""

import re
from typing import Any

import grpc


class RetrievalError(Exception):
    """A request that got no answer; ``str()`` is one line that says what to do."""

    def __init__(self, message: str, code: grpc.StatusCode | None = None) -> None:
        """Hold what happened.

        Args:
            message: one line.
            code: the gRPC status, or None if the request never left this machine.
        """
        super().__init__(message)
        self.code = code


class UnavailableError(RetrievalError):
    """No server at the address, or one that cannot answer now; gRPC's retries are used up."""


class ProductNotFoundError(RetrievalError):
    """The product id is not in the server's index."""


class InvalidQueryError(RetrievalError):
    """The server cannot use the image or a parameter; the message names the field."""


class TooLargeError(InvalidQueryError):
    """The request is larger than the server reads."""


class DeadlineExceededError(RetrievalError):
    """The time limit passed before the answer came."""


class OverloadedError(RetrievalError):
    """The server is busy and has refused the request at once.

    Attributes:
        retry_after_s: seconds after which another try makes sense; None if the server does not say.
    """

    retry_after_s: float | None = None


class SmokeTestError(RetrievalError):
    """The server answered, but not with the product that should have come first."""


class UnreadableFileError(RetrievalError):
    """A local file or folder is missing, empty or not readable."""


UNREACHABLE = (
    "Server {server} cannot be reached ({details}). "
    "Start one with 'make serve' (beauty-server), or name another with --server."
)

# How gRPC's own UNAVAILABLE begins where no connection came about (grpcio 1.81 to 1.85); nothing
# else tells it from the UNAVAILABLE of a server whose engine is down.
_NO_CONNECTION = (
    "connections to all backends failing",
    "errors resolving",
    "DNS resolution failed",
)

# gRPC's message where a request is above the limit of the server (grpcio 1.81 to 1.85).
_TOO_LARGE = re.compile(r"Received message larger than max \((\d+) vs\.? (\d+)\)")

_TRANSLATIONS: dict[grpc.StatusCode, tuple[type[RetrievalError], str]] = {
    grpc.StatusCode.UNAVAILABLE: (
        UnavailableError,
        "Server {server} cannot answer now: {details}. Try again, or look into the server's log.",
    ),
    grpc.StatusCode.NOT_FOUND: (
        ProductNotFoundError,
        "Not found on {server}: {details}. Take a product id from a search on the same server.",
    ),
    grpc.StatusCode.INVALID_ARGUMENT: (
        InvalidQueryError,
        "Server {server} refused the query: {details}.",
    ),
    grpc.StatusCode.DEADLINE_EXCEEDED: (
        DeadlineExceededError,
        "No answer from {server} within {timeout_s:g} s. "
        "Allow more with --timeout (timeout_s), or look into the server's log.",
    ),
    grpc.StatusCode.RESOURCE_EXHAUSTED: (
        OverloadedError,
        "Too much for server {server}: {details}. Send fewer requests at a time, or try later.",
    ),
    grpc.StatusCode.UNAUTHENTICATED: (
        RetrievalError,
        "Server {server} does not know us: {details}. Name a file with a token that it knows: "
        "--token-file.",
    ),
    grpc.StatusCode.PERMISSION_DENIED: (
        RetrievalError,
        "Server {server} does not allow this: {details}.",
    ),
    grpc.StatusCode.FAILED_PRECONDITION: (
        RetrievalError,
        "Server {server} refused the change: {details}.",
    ),
    grpc.StatusCode.UNIMPLEMENTED: (
        RetrievalError,
        "Server {server} does not speak retrieval_server.v1: {details}. "
        "Check the address, and that client and server are of the same version.",
    ),
}
_OTHERWISE = (
    RetrievalError,
    "Server {server} failed with {code}: {details}. The server's log says why.",
)


def translated_call(error: grpc.RpcError, server: str, timeout_s: float) -> RetrievalError:
    """Turn gRPC's error into ours; see ``translated``.

    Args:
        error: as raised by a stub.
        server: address called, for the message.
        timeout_s: time limit of the call, for the message.
    """
    return translated(error.code(), error.details(), server, timeout_s, _retry_after_s(error))


def translated(
    code: grpc.StatusCode,
    details: str | None,
    server: str,
    timeout_s: float,
    retry_after_s: float | None = None,
) -> RetrievalError:
    """Turn a status into an error.

    Args:
        code: the status.
        details: what the server says of it.
        server: address called, for the message.
        timeout_s: time limit of the call, for the message.
        retry_after_s: the delay that the server asks for, if it does.

    Returns:
        The exception to raise; its message is a single line.
    """
    details = " ".join((details or "no details").split()).rstrip(".")
    if (sizes := _TOO_LARGE.search(details)) is not None:
        return TooLargeError(too_large(server, int(sizes[1]), int(sizes[2])), code)
    kind, template = _TRANSLATIONS.get(code, _OTHERWISE)
    if kind is UnavailableError and details.startswith(_NO_CONNECTION):
        template = UNREACHABLE
    message = template.format(server=server, details=details, timeout_s=timeout_s, code=code.name)
    translation = kind(message, code)
    if isinstance(translation, OverloadedError):
        translation.retry_after_s = retry_after_s
    return translation


def closed(server: str) -> RetrievalError:
    """The error of a client that is closed.

    Args:
        server: address called, for the message.
    """
    return RetrievalError(
        f"The client of {server} is closed. Make a new one.", grpc.StatusCode.CANCELLED
    )


def stream_ended(server: str) -> RetrievalError:
    """The error of a stream that has ended before all was answered.

    Args:
        server: address called, for the message.
    """
    return UnavailableError(
        f"Server {server} has ended the stream. Send the rest again.", grpc.StatusCode.UNAVAILABLE
    )


def ungrouped(server: str) -> RetrievalError:
    """The error of an answer without the groups that were asked for.

    Args:
        server: address called, for the message.
    """
    return RetrievalError(
        f"Server {server} is older than group_by and has ignored it. Search without groups, or "
        "update the server.",
        grpc.StatusCode.UNIMPLEMENTED,
    )


def too_large(server: str, size: int, limit: int) -> str:
    """Say that a request is larger than the server reads.

    Args:
        server: address called.
        size: of the request in bytes.
        limit: of the server in bytes.
    """
    return (
        f"The request has {size:,} bytes; server {server} reads at most {limit:,}: an image of "
        "--max-image-bytes, and 1 MiB beside it. Send a smaller image."
    )


def _retry_after_s(error: grpc.RpcError) -> float | None:
    """The delay that the server asks for, as gRPC's own retries read it."""
    metadata: Any = error.trailing_metadata() or ()  # pairs; the stubs' entries are no tuples
    for key, value in metadata:
        if key == "grpc-retry-pushback-ms" and str(value).isdecimal():
            return int(value) / 1000
    return None
