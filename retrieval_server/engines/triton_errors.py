"""Translation of the errors of Triton and gRPC into the errors of ``retrieval_server.errors``.

================================================ ====================== ============
Triton's error                                   raised here            retried
================================================ ====================== ============
UNAVAILABLE: no connection, model not ready      EngineUnavailableError yes
NOT_FOUND: no version of a model (a reload)      EngineUnavailableError yes
INTERNAL: a process of the model has died        EngineUnavailableError yes
CANCELLED: Triton closes during a call           EngineUnavailableError yes
UNAVAILABLE: queue full, or timeout in the queue EngineUnavailableError no: overload
DEADLINE_EXCEEDED                                EngineDeadlineError    no
NOT_FOUND: unknown model                         ModelRepositoryError   no
UNAVAILABLE: a restricted protocol               EngineError            no
INVALID_ARGUMENT and all others                  EngineError            no
================================================ ====================== ============

Inference has no side effect, so a request can be sent again after every transient error.
"""

from __future__ import annotations

import grpc
from tritonclient.utils import InferenceServerException

from retrieval_server.errors import (
    EngineDeadlineError,
    EngineError,
    EngineUnavailableError,
    ModelRepositoryError,
    RetrievalError,
)

# Statuses as tritonclient reports them.
UNAVAILABLE = str(grpc.StatusCode.UNAVAILABLE)
NOT_FOUND = str(grpc.StatusCode.NOT_FOUND)
INTERNAL = str(grpc.StatusCode.INTERNAL)
CANCELLED = str(grpc.StatusCode.CANCELLED)  # by Triton: a call that we cancel raises no such error
DEADLINE_EXCEEDED = str(grpc.StatusCode.DEADLINE_EXCEEDED)

# Parts of Triton 24.10's messages, for errors that share a status.
OVERLOADED = ("Exceeds maximum queue size", "Request timeout expired")
RESTRICTED = "protocol is restricted"
UNHEALTHY = "is not healthy"
UNKNOWN_MODEL = "is not found"


def is_deadline_exceeded(error: InferenceServerException) -> bool:
    """Whether the deadline passed before Triton answered."""
    return bool(error.status() == DEADLINE_EXCEEDED)


def is_transient(error: InferenceServerException) -> bool:
    """Whether a retry may succeed."""
    message = str(error.message())
    if error.status() == UNAVAILABLE:
        return not any(reason in message for reason in (*OVERLOADED, RESTRICTED))
    if error.status() == NOT_FOUND:
        return UNKNOWN_MODEL not in message
    if error.status() == CANCELLED:
        return True
    return error.status() == INTERNAL and UNHEALTHY in message


def translated(error: InferenceServerException | None, url: str) -> RetrievalError:
    """The error of ``retrieval_server.errors`` for an error of Triton.

    Args:
        error: the error that tritonclient raised; None if the deadline passed before the call.
        url: Triton's address, for the message.
    """
    if error is None or is_deadline_exceeded(error):
        return EngineDeadlineError(
            f"Triton at {url} did not answer within the deadline. If it is only slow, allow more: "
            "--triton-timeout-s, or the caller's own deadline."
        )
    message = " ".join(str(error.message()).split())
    if RESTRICTED in message:
        return EngineError(
            f"Triton at {url} refuses the access key: {message}. Set RETRIEVAL_TRITON_ACCESS_KEY "
            "to the NAME=VALUE that Triton was started with."
        )
    if any(reason in message for reason in OVERLOADED):
        return EngineUnavailableError(f"Triton at {url} is overloaded: {message}")
    if is_transient(error):
        return EngineUnavailableError(
            f"Triton at {url} cannot be used now: {message}. Check that it runs and that this is "
            "its gRPC address."
        )
    if error.status() == NOT_FOUND:
        return ModelRepositoryError(
            f"Triton at {url}: {message}. Let it serve the same model repository."
        )
    return EngineError(f"Triton at {url} failed with {error.status()}: {message}")
