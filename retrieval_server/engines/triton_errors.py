"""What Triton's and gRPC's errors mean to us.

============================================ ====================== ===========
Triton says                                  becomes                tried again
============================================ ====================== ===========
UNAVAILABLE: no connection, model not ready  EngineUnavailableError yes
NOT_FOUND: no version of a model (a reload)  EngineUnavailableError yes
INTERNAL: a process of the model is dead     EngineUnavailableError yes
UNAVAILABLE: the queue is full, or was slow  EngineUnavailableError no: overload
DEADLINE_EXCEEDED                            EngineDeadlineError    no
NOT_FOUND: unknown model                     ModelRepositoryError   no
UNAVAILABLE: a restricted protocol           EngineError            no
INVALID_ARGUMENT and all others              EngineError            no
============================================ ====================== ===========

To describe an image twice does no harm, so whatever may pass is tried again.
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

# Statuses in the form in which tritonclient reports them.
UNAVAILABLE = str(grpc.StatusCode.UNAVAILABLE)
NOT_FOUND = str(grpc.StatusCode.NOT_FOUND)
INTERNAL = str(grpc.StatusCode.INTERNAL)
DEADLINE_EXCEEDED = str(grpc.StatusCode.DEADLINE_EXCEEDED)

# Where the status alone does not tell: words of Triton 24.10.
OVERLOADED = ("Exceeds maximum queue size", "Request timeout expired")
RESTRICTED = "protocol is restricted"
UNHEALTHY = "is not healthy"
UNKNOWN_MODEL = "is not found"


def is_late(error: InferenceServerException) -> bool:
    """Whether the deadline passed before an answer came."""
    return bool(error.status() == DEADLINE_EXCEEDED)


def may_pass(error: InferenceServerException) -> bool:
    """Whether another attempt may go better."""
    said = str(error.message())
    if error.status() == UNAVAILABLE:
        return not any(reason in said for reason in (*OVERLOADED, RESTRICTED))
    if error.status() == NOT_FOUND:
        return UNKNOWN_MODEL not in said
    return error.status() == INTERNAL and UNHEALTHY in said


def translated(error: InferenceServerException | None, url: str) -> RetrievalError:
    """Our error for one of Triton's.

    Args:
        error: what tritonclient raised; None for a deadline that had passed before the call.
        url: the server's, for the message.
    """
    if error is None or is_late(error):
        return EngineDeadlineError(
            f"Triton at {url} did not answer within the deadline. If it is only slow, allow more: "
            "--triton-timeout-s, or the caller's own deadline."
        )
    said = " ".join(str(error.message()).split())
    if RESTRICTED in said:
        return EngineError(
            f"Triton at {url} wants another access key: {said}. Set RETRIEVAL_TRITON_ACCESS_KEY to "
            "the NAME=VALUE that Triton was started with."
        )
    if any(reason in said for reason in OVERLOADED):
        return EngineUnavailableError(f"Triton at {url} is overloaded: {said}")
    if may_pass(error):
        return EngineUnavailableError(
            f"Triton at {url} cannot be used now: {said}. Check that it runs and that this is its "
            "gRPC address."
        )
    if error.status() == NOT_FOUND:
        return ModelRepositoryError(
            f"Triton at {url}: {said}. Let it serve the same model repository."
        )
    return EngineError(f"Triton at {url} failed with {error.status()}: {said}")
