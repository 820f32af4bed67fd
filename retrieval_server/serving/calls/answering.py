"""What surrounds the work of a request: admission before it, the log and the status after it."""

from __future__ import annotations

import logging
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any, NoReturn, Protocol, TypeAlias, TypeVar

import grpc

from retrieval_server import errors
from retrieval_server.observability.metrics import ServerMetrics
from retrieval_server.observability.tracing import Tracing
from retrieval_server.serving.admission.admission import (
    CHEAP_KINDS,
    Admission,
    Cause,
    Kind,
    Overload,
)
from retrieval_server.serving.admission.arrivals import Arrivals
from retrieval_server.serving.admission.callers import CURRENT, caller_of
from retrieval_server.serving.admission.deadline import Deadline
from retrieval_server.serving.calls.messages import retry_metadata
from retrieval_server.serving.calls.request_log import RequestLog

log = logging.getLogger(__name__)

STATUS_OF_ERROR: dict[type[errors.RetrievalError], grpc.StatusCode] = {
    errors.UnknownProductError: grpc.StatusCode.NOT_FOUND,
    errors.QueryError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.EngineUnavailableError: grpc.StatusCode.UNAVAILABLE,
    errors.StoreUnavailableError: grpc.StatusCode.UNAVAILABLE,
    errors.EngineDeadlineError: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.LateError: grpc.StatusCode.DEADLINE_EXCEEDED,
    # Triton serves other models than the index's, or none: another replica may be right
    errors.ModelMismatchError: grpc.StatusCode.UNAVAILABLE,
    errors.ModelRepositoryError: grpc.StatusCode.UNAVAILABLE,
    errors.OutOfMemoryError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.ChangeWriteError: grpc.StatusCode.UNAVAILABLE,
    errors.ChangeLogError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.RetrievalError: grpc.StatusCode.INTERNAL,
}

OUT_OF_MEMORY = "The server has too little memory for this now. Try later, or with a smaller image."
LONGEST_MESSAGE = 500  # characters; a status travels in HTTP/2 headers, which hold 8 KiB

Response = TypeVar("Response")
Metadata: TypeAlias = tuple[tuple[str, str | bytes], ...]
Work: TypeAlias = Callable[[str, Deadline], Awaitable[tuple[Response, Mapping[str, object]]]]


class Call(Protocol):
    """The context of a call, as far as an answer needs it."""

    def peer(self) -> str:
        """The other end of the connection, such as ``ipv4:10.0.0.7:51234``."""

    def invocation_metadata(self) -> Any:
        """The metadata that the caller sent along."""

    def time_remaining(self) -> float | None:
        """Seconds until the caller's deadline; None if there is none."""

    def code(self) -> Any:
        """The status of the call, if it has one already."""

    def set_trailing_metadata(self, metadata: Metadata, /) -> None:
        """Set the metadata that the call ends with."""

    def abort(
        self, code: grpc.StatusCode, message: str, metadata: Metadata = (), /
    ) -> Coroutine[Any, Any, NoReturn]:
        """End the call with a status; raises."""


def status_of(error: errors.RetrievalError) -> grpc.StatusCode:
    """The status a caller sees: that of the error's nearest class in ``STATUS_OF_ERROR``."""
    return next(STATUS_OF_ERROR[kind] for kind in type(error).__mro__ if kind in STATUS_OF_ERROR)


class Answering:
    """Answers requests with what their work returns, or with a status.

    Args:
        admission: refuses the requests that cannot be answered in time.
        arrivals: counts the requests that only rank or read.
        metrics: counts requests that are refused or fail.
        tracing: has a span for the request in progress.
        by_token: whether callers are told apart by their tokens; else by their addresses.
    """

    def __init__(
        self,
        admission: Admission,
        arrivals: Arrivals,
        metrics: ServerMetrics,
        tracing: Tracing,
        *,
        by_token: bool,
    ) -> None:
        self._admission = admission
        self._arrivals = arrivals
        self._metrics = metrics
        self._shed = {cause: metrics.shed.labels(cause.value) for cause in Cause}
        self._tracing = tracing
        self._by_token = by_token
        self._log = RequestLog()

    async def answer(
        self, kind: Kind, work: Work[Response], context: Call, *, size: int = 1
    ) -> Response:
        """Answer a request, or abort its call.

        Args:
            kind: what the request needs.
            work: takes the request's id and its deadline; returns the response, and what the log
                says of it.
            context: of the call.
            size: how many requests its work is as much as.
        """
        request_id = f"{random.getrandbits(64):016x}"
        self._tracing.note(request_id=request_id)
        if kind in CHEAP_KINDS:
            self._arrivals.note()
        deadline = Deadline.after(context.time_remaining())
        caller = caller_of(context, by_token=self._by_token)
        overload = self._admission.overload(kind, deadline.remaining_s, size, caller)
        if overload is not None:
            await self._refuse(overload, request_id, context)
        CURRENT.set(caller)
        with self._admission.in_progress(kind, size, caller):
            context.set_trailing_metadata((("request-id", request_id),))
            return await self._worked(work, request_id, deadline, context)

    async def answer_change(self, work: Work[Response], context: Call) -> Response:
        """Answer a request that changes the catalogue; none of them is refused for the load.

        Args:
            work: see ``answer``.
            context: of the call.
        """
        request_id = self._began_change(context)
        deadline = Deadline.after(context.time_remaining())
        return await self._worked(work, request_id, deadline, context)

    @asynccontextmanager
    async def answering_changes(
        self, counts: Mapping[str, int], context: Call
    ) -> AsyncGenerator[str, None]:
        """Answer a stream of changes in the block, and log it at its end.

        Args:
            counts: what the log says of the stream, as it is at the end.
            context: of the stream.

        Yields:
            The id of the request.
        """
        request_id = self._began_change(context)
        status = grpc.StatusCode.OK
        try:
            yield request_id
        except grpc.aio.AbortError:
            status = context.code()
            raise
        except Exception as error:
            status, message = self._failure(error, request_id)
            await _abort(context, status, message)
        except BaseException:  # its caller has gone, or its deadline has passed
            status = grpc.StatusCode.CANCELLED
            raise
        finally:
            self._log.answered(request_id, status, **counts)

    async def answer_streamed_change(
        self, work: Awaitable[Response], request_id: str, context: Call
    ) -> Response:
        """Answer a change of a stream, which has no line of its own in the log.

        Args:
            work: returns the response.
            request_id: of the stream.
            context: of the change.
        """
        try:
            return await work
        except Exception as error:
            await _abort(context, *self._failure(error, request_id))
            raise

    def _began_change(self, context: Call) -> str:
        """Make the id of a request that changes the catalogue, and note its caller.

        Its work takes turns with the searches of the same connection, as if it came from another.
        """
        request_id = f"{random.getrandbits(64):016x}"
        self._tracing.note(request_id=request_id)
        context.set_trailing_metadata((("request-id", request_id),))
        caller = caller_of(context, by_token=self._by_token)
        CURRENT.set(caller._replace(connection=f"changes of {caller.connection}"))
        return request_id

    async def _refuse(self, overload: Overload, request_id: str, context: Call) -> NoReturn:
        """Refuse a request, at as little cost as possible: there may be very many."""
        self._shed[overload.cause].inc()
        self._log.refused(overload.cause.value)
        message = str(overload)
        retry = retry_metadata(message, overload.retry_after_s)
        metadata = (("request-id", request_id), *retry)
        await _abort(context, grpc.StatusCode.RESOURCE_EXHAUSTED, message, metadata)

    async def _worked(
        self, work: Work[Response], request_id: str, deadline: Deadline, context: Call
    ) -> Response:
        """Work, log it, and translate errors: ours to their status, others to INTERNAL."""
        try:
            response, said = await work(request_id, deadline)
        except Exception as error:
            status, message = self._failure(error, request_id)
            self._log.answered(request_id, status, message=message)
            await _abort(context, status, message)
        self._log.answered(request_id, grpc.StatusCode.OK, **said)
        return response

    def _failure(self, error: Exception, request_id: str) -> tuple[grpc.StatusCode, str]:
        """The status of a request that has failed, and what its caller is told."""
        if isinstance(error, MemoryError):
            log.error("request %s failed: there is not enough memory", request_id)
            error = errors.OutOfMemoryError(OUT_OF_MEMORY)
        if not isinstance(error, errors.RetrievalError):
            log.error("request %s failed", request_id, exc_info=error)
            message = f"Internal error; the log has request {request_id}."
            return grpc.StatusCode.INTERNAL, message
        self._metrics.count_failure(error)
        message = str(error)
        if len(message) > LONGEST_MESSAGE:  # it may quote a long request
            message = message[:LONGEST_MESSAGE] + " …"
        return status_of(error), message


async def _abort(
    context: Call, status: grpc.StatusCode, message: str, metadata: Metadata = ()
) -> NoReturn:
    await context.abort(status, message, metadata)
    raise AssertionError("abort raises")
